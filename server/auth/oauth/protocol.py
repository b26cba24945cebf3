"""authlib's protocol core behind an asynchronous door.

It is synchronous, so each request runs in a worker thread, of which there are few: they wait for
the store, they do not add to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    OAuth2Request,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from server.auth.keys import Keys
from server.auth.oauth.client_auth import (
    METHODS,
    Registered,
    Signatures,
    Unproven,
    check_one_method,
    signed,
)
from server.auth.oauth.client_jwks import ClientKeys
from server.auth.oauth.grants import BackendGrant, CodeGrant, IdToken, Pkce, RefreshGrant
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.terms import Terms
from server.auth.records import Client
from server.search.catalog import Catalog

THREADS = 8


class OAuthError(Exception):
    """An error of RFC 6749 5.2, with its HTTP status."""

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status


@dataclass(frozen=True, slots=True)
class Answer:
    """``error`` is ``None`` when tokens were issued."""

    status: int
    body: dict[str, Any]
    error: str | None = None


class Protocol:
    """The token endpoint, and the authentication of clients for the others."""

    def __init__(
        self,
        ledger: Ledger,
        terms: Terms,
        keys: Keys,
        client_keys: ClientKeys,
        now: Callable[[], int],
        catalog: Callable[[], Catalog],
    ) -> None:
        self._server = _Server(ledger, terms, catalog)
        self._signatures = Signatures(ledger, client_keys, terms.token_endpoint, now)
        self._server.register_client_auth_method("private_key_jwt", signed)
        self._server.register_client_auth_method("none", Unproven(ledger))
        self._server.register_grant(CodeGrant, [Pkce(required=True), IdToken(keys, terms)])
        self._server.register_grant(RefreshGrant)
        self._server.register_grant(BackendGrant)
        self._threads = anyio.CapacityLimiter(THREADS)

    async def token(self, authorization: str, form: Mapping[str, str]) -> Answer:
        """Return the answer to a request for a token."""
        request = await self._request(authorization, form)
        run = partial(self._server.respond, request)
        return await anyio.to_thread.run_sync(run, limiter=self._threads)

    async def client(self, authorization: str, form: Mapping[str, str]) -> Client:
        """Return the client that a request is from; public ones are taken at their word.

        Raises:
            OAuthError: it did not prove itself.
        """
        request = await self._request(authorization, form)
        run = partial(self._server.authenticated, request)
        return await anyio.to_thread.run_sync(run, limiter=self._threads)

    async def _request(self, authorization: str, form: Mapping[str, str]) -> "_Form":
        # Whether the transport is safe is for the listener to know: it binds loopback or has TLS.
        # authlib fails of a scheme with a space and nothing behind it.
        headers = {"Authorization": authorization.strip()}
        request = _Form("POST", "https://localhost/", headers=headers)
        request.payload = BasicOAuth2Payload(dict(form))
        request.proof = await self._signatures.proof(form)
        return request


class _Server(AuthorizationServer):  # type: ignore[misc] # authlib has no types
    """What authlib asks a framework for."""

    def __init__(self, ledger: Ledger, terms: Terms, catalog: Callable[[], Catalog]) -> None:
        super().__init__()
        self.ledger, self.terms, self.catalog = ledger, terms, catalog

    def respond(self, request: OAuth2Request) -> Answer:
        try:
            check_one_method(request.headers["Authorization"], request.form)
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        answer: Answer = self.create_token_response(request)
        return answer

    def authenticated(self, request: OAuth2Request) -> Client:
        try:
            check_one_method(request.headers["Authorization"], request.form)
            found: Registered = self.authenticate_client(request, METHODS)
        except OAuth2Error as error:
            raise OAuthError(error.error, _description(error), _status(error)) from error
        return found.kept

    def query_client(self, client_id: str) -> Registered | None:
        client = anyio.from_thread.run(self.ledger.client, client_id)
        return Registered(client) if client is not None else None

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        return Answer(status, body)

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Answer:
        description = _description(error)
        body = {"error": error.error}
        if description:
            body["error_description"] = description
        return Answer(_status(error), body, error.error)


class _Form(OAuth2Request):  # type: ignore[misc] # authlib has no types
    """A POST whose parameters come from its body only (RFC 6749 2.3.1).

    ``proof``: what came of the client's assertion.
    """

    proof: Registered | InvalidClientError | None = None

    @property
    def args(self) -> dict[str, str]:
        return {}

    @property
    def form(self) -> dict[str, str]:
        form: dict[str, str] = self.payload.data
        return form


def _description(error: OAuth2Error) -> str:
    """Return what an error says, in words for those who wrote the client."""
    said = str(error.get_error_description() or "")
    if isinstance(error, UnsupportedGrantTypeError):  # it repeats what was sent
        return "grant_type is not one of this server's"
    if isinstance(error, InvalidClientError) and "methods:" in said:  # it lists Python's names
        return (
            "the client is unknown, its secret is wrong, or it does not prove itself in the way "
            "that it is registered for"
        )
    return said


def _status(error: OAuth2Error) -> int:
    """RFC 6749 5.2."""
    return 401 if isinstance(error, InvalidClientError) else 400
