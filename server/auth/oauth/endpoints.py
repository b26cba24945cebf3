"""The endpoints: what comes in over HTTP, who answers it, what audit is told."""

from collections.abc import Awaitable, Callable
from typing import Protocol as Shape

from fastapi import APIRouter, Request, Response

from server.access.context import AccessContext, Trace
from server.auth.discovery import openid_configuration
from server.auth.keys import MAX_AGE_S, Keys
from server.auth.oauth.client_auth import named
from server.auth.oauth.http import (
    Origins,
    error_answer,
    failure_answer,
    json_answer,
    public_answer,
    read_body,
    read_form,
)
from server.auth.oauth.introspect import Introspection, may_introspect
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.protocol import OAuthError, Protocol
from server.auth.oauth.register import Registration, is_registration_token
from server.auth.oauth.terms import Terms
from server.auth.oauth.told import TRACE
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, LoginRequired

Handler = Callable[[Request], Awaitable[Response]]


class TokenLimit(Shape):
    """How often the endpoints may be called."""

    def token(self, client: str, address: str) -> None:
        """Count a request; raise Throttled.  ``client``: here the endpoint, as nobody is known."""

    def registration(self, address: str) -> None:
        """Count a client that registers itself; raise Throttled."""


class Caller(Shape):
    """Who a bearer token stands for, and what it was granted."""

    async def __call__(self, authorization: bytes | None) -> AccessContext:
        """Return the caller's rights; raise LoginRequired."""

    async def scope(self, authorization: bytes) -> str:
        """Return what the token was granted; empty for tokens of administrators."""


class Endpoints:
    """All but the authorization endpoint, which the pages answer."""

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        protocol: Protocol,
        keys: Keys,
        caller: Caller,
        origins: Origins,
        registration: Registration,
        limit: TokenLimit | None,
        new_id: Callable[[], str],
    ) -> None:
        self._terms, self._ledger = terms, ledger
        self._protocol, self._keys, self._caller = protocol, keys, caller
        self._origins, self._registration, self._limit = origins, registration, limit
        self._new_id = new_id
        self._introspection = Introspection(ledger, terms)

    def router(self) -> APIRouter:
        """Return the routes."""
        made = APIRouter(tags=["authorization"])
        posts: dict[str, Handler] = {
            "token": self.token,
            "introspect": self.introspect,
            "revoke": self.revoke,
        }
        if self._terms.registration != "off":
            posts["register"] = self.register
        for name, handler in posts.items():
            path = f"/auth/{name}"
            made.add_api_route(path, self._guarded(handler), methods=["POST"], name=name)
            made.add_api_route(path, self._origins.preflight, methods=["OPTIONS"])
        made.add_api_route("/auth/jwks", self.jwks, methods=["GET"])
        path = "/.well-known/openid-configuration"
        made.add_api_route(path, self.openid_configuration, methods=["GET"])
        return made

    async def token(self, request: Request) -> Response:
        """RFC 6749 3.2; SMART app-launch.html#response-5."""
        form = await read_form(request)
        authorization = request.headers.get("authorization", "")
        answer = await self._protocol.token(authorization, form)
        if answer.error is not None:
            await self._ledger.refused("token", named(authorization, form), answer.error)
            error = OAuthError(
                answer.error, answer.body.get("error_description", ""), answer.status
            )
            return error_answer(error)
        return json_answer(answer.status, answer.body)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662."""
        form = await read_form(request)
        authorization = request.headers.get("authorization", "")
        only_of = await self._asks(authorization, form)
        if "token" not in form:
            raise OAuthError("invalid_request", "token is missing")
        return json_answer(200, await self._introspection.answer(form["token"], only_of=only_of))

    async def revoke(self, request: Request) -> Response:
        """RFC 7009: the token, and all that came of the same grant."""
        form = await read_form(request)
        client = await self._protocol.client(request.headers.get("authorization", ""), form)
        if "token" not in form:
            raise OAuthError("invalid_request", "token is missing")
        found = await self._ledger.find(form["token"])
        if found is not None and found[0].client == client.id:
            await self._ledger.end(found[0].id, "revoked by the app")
        return json_answer(200, {})

    async def register(self, request: Request) -> Response:
        """RFC 7591."""
        if self._terms.registration == "token":
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            known = scheme.lower() == "bearer" and await is_registration_token(
                self._ledger.store, token.strip()
            )
            if not known:
                raise OAuthError("invalid_token", "registration needs an initial token", 401)
        if self._limit is not None:
            self._limit.registration(request.client.host if request.client is not None else "")
        client, answer = await self._registration.register(await read_body(request))
        self._ledger.told.registered(client)
        return json_answer(201, answer)

    async def jwks(self, request: Request) -> Response:
        """RFC 7517: the keys that id_tokens are signed by."""
        return public_answer(fhir_json.dumps(await self._keys.published()), MAX_AGE_S)

    async def openid_configuration(self, request: Request) -> Response:
        """OpenID Connect Discovery 1.0, 4."""
        return public_answer(openid_configuration(self._terms), MAX_AGE_S)

    def _guarded(self, handler: Handler) -> Handler:
        """Return ``handler`` with limits, errors and CORS."""

        async def guarded(request: Request) -> Response:
            address = request.client.host if request.client is not None else ""
            trace = Trace(self._new_id(), address)
            TRACE.set(trace)
            try:
                if self._limit is not None:
                    self._limit.token(request.scope["path"], address)
                answer = await self._told(handler, request)
                await self._ledger.told.settled()
            except OAuthError as error:
                answer = error_answer(error, _challenge(request))
            except FhirError as error:
                answer = failure_answer(error)
            finally:
                self._ledger.told.answered(trace)
            answer.headers.update(await self._origins.headers(request))
            return answer

        guarded.__doc__ = handler.__doc__
        return guarded

    async def _told(self, handler: Handler, request: Request) -> Response:
        """Return the handler's answer; audit is told of who was not let in."""
        try:
            return await handler(request)
        except OAuthError as error:
            if error.status in (401, 403):
                name = request.scope["path"].rpartition("/")[2]
                await self._ledger.refused("token", "", f"{name}: {error.error}")
                await self._ledger.told.settled()
            raise

    async def _asks(self, authorization: str, form: dict[str, str]) -> str | None:
        """Return the client that may ask about its own tokens only; ``None``: about any.

        Raises:
            OAuthError: the caller may not ask.
        """
        if not authorization.lower().startswith("bearer "):
            client = await self._protocol.client(authorization, form)
            if client.auth == "none":
                raise OAuthError("invalid_client", "a client that can prove itself may ask", 401)
            return client.id
        raw = authorization.encode("latin-1")
        try:
            access = await self._caller(raw)
        except LoginRequired as error:
            raise OAuthError("invalid_token", "the token is not known", 401) from error
        if access.grant is None and access.unrestricted:
            return None
        if not may_introspect(await self._caller.scope(raw)):
            raise OAuthError("insufficient_scope", "the token may not introspect", 403)
        return None


def _challenge(request: Request) -> str:
    sent = request.headers.get("authorization", "").partition(" ")[0].lower()
    return "Bearer" if sent == "bearer" or request.scope["path"].endswith("/register") else "Basic"
