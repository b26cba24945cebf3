"""Dynamic client registration: an app makes itself known.  RFC 7591; off unless asked for.

Such an app gets people's codes only: backend services are registered by the operator, who agrees
to what they may do (SMART backend-services.html#scopes).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

from server.access import scopes
from server.auth.client_checks import check_redirect
from server.auth.clients import Clients, new_secret, secret_to_keep
from server.auth.ending import walk
from server.auth.oauth.protocol import OAuthError
from server.auth.oauth.terms import SECOND, Terms
from server.auth.records import Client, key_of
from server.auth.unfit import Unfit
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson
from server.store.port import RecordStore, RecordWrite, Store

KIND = "registration-token"
ID_LENGTH = 12
_LIFE_DAYS = 30
MOST_CLIENTS = 5_000  # all are looked through for the origins that browsers may call from
_GRANTS = frozenset(("authorization_code", "refresh_token"))
_AUTH = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")


async def new_registration_token(store: Store, name: str, now: int) -> str:
    """Make and return an initial access token (RFC 7591, 1.2), good for 30 days."""
    token = token_urlsafe(32)
    expires = now + _LIFE_DAYS * 86_400 * SECOND
    kept = RecordWrite(KIND, key_of(token), name.encode(), if_rev=0, expires_at=expires)
    await store.commit([], records=[kept])
    return token


async def registration_tokens(store: RecordStore) -> list[tuple[str, str]]:
    """Return (id, name) of every initial access token, sorted by id."""
    found = [record async for record in walk(store, KIND)]
    return [(one.key[:ID_LENGTH], one.value.decode()) for one in found]


async def remove_registration_token(store: Store, id_: str) -> str | None:
    """Remove the token with this id and return its name; ``None`` when there is none."""
    async for record in walk(store, KIND):
        if record.key[:ID_LENGTH] == id_:
            await store.commit([], records=[RecordWrite(KIND, record.key, None)])
            return record.value.decode()
    return None


async def is_registration_token(store: RecordStore, token: str) -> bool:
    """Tell whether a token opens registration."""
    return await store.get_record(KIND, key_of(token)) is not None


@dataclass(frozen=True, slots=True)
class Registration:
    """Registers clients."""

    clients: Clients
    terms: Terms

    async def register(self, body: bytes) -> tuple[Client, dict[str, Any]]:
        """Return the client, and the client information response (RFC 7591, 3.2.1).

        Raises:
            OAuthError: ``invalid_client_metadata`` or ``invalid_redirect_uri``.
        """
        said = _read(body)
        secret = new_secret() if _auth(said).startswith("client_secret") else None
        client = await self._add(self._client(said, secret))
        made: dict[str, Any] = {
            "client_id": client.id,
            "client_id_issued_at": client.created // SECOND,
            "client_name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "token_endpoint_auth_method": client.auth,
            "grant_types": list(client.grants),
            "response_types": ["code"],
            "scope": client.scope,
        }
        if secret is not None:
            made |= {"client_secret": secret, "client_secret_expires_at": 0}
        for name in ("jwks", "jwks_uri", "logo_uri"):
            if (value := getattr(client, name)) is not None:
                made[name] = value
        return client, made

    def _client(self, said: Mapping[str, Any], secret: str | None) -> Client:
        if set(_texts(said, "response_types", ("code",))) != {"code"}:
            raise _unfit("response_types must be code")
        grants = _texts(said, "grant_types", ("authorization_code",))
        if not set(grants) <= _GRANTS or "authorization_code" not in grants:
            raise _unfit("grant_types may be authorization_code and refresh_token")
        jwks = said.get("jwks")
        if jwks is not None and not isinstance(jwks, dict):
            raise _unfit("jwks must be a key set")
        return Client(
            id=token_urlsafe(16).lstrip("-_") or "x",
            name=_text(said, "client_name") or "An app without a name",
            auth=_auth(said),
            secret=secret_to_keep(secret) if secret is not None else None,
            redirect_uris=_texts(said, "redirect_uris", ()),
            scope=self._scope(said),
            grants=grants,
            jwks=jwks,
            jwks_uri=_text(said, "jwks_uri"),
            logo_uri=_text(said, "logo_uri"),
            registered_by="itself",
        )

    def _scope(self, said: Mapping[str, Any]) -> str:
        allowed = scopes.parse(self.terms.registration_scope)
        asked = _text(said, "scope")
        found = scopes.intersect(scopes.parse(asked), allowed) if asked is not None else allowed
        if not found.of:
            raise _unfit("none of the scopes may be had by registering")
        return found.text

    async def _add(self, client: Client) -> Client:
        name = "invalid_redirect_uri"
        try:
            if not client.redirect_uris:
                raise Unfit("redirect_uris are missing")
            for address in client.redirect_uris:
                check_redirect(address)
            name = "invalid_client_metadata"
            if await self.clients.count() >= MOST_CLIENTS:
                raise OAuthError("temporarily_unavailable", "too many apps are registered", 503)
            return await self.clients.add(client)
        except Unfit as error:
            raise OAuthError(name, str(error)) from error


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        said = fhir_json.loads(body)
    except InvalidJson as error:
        raise _unfit("the body is not JSON") from error
    if not isinstance(said, dict):
        raise _unfit("the body is not a JSON object")
    return said


def _auth(said: Mapping[str, Any]) -> Any:
    asked = said.get("token_endpoint_auth_method", "client_secret_basic")  # RFC 7591, 2
    if asked not in _AUTH:
        raise _unfit("token_endpoint_auth_method is not one of this server's")
    return asked


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise _unfit(f"{name} must be a text")
    return value


def _texts(said: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = said.get(name, default)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise _unfit(f"{name} must be a list of texts")
    return tuple(value)


def _unfit(text: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", text)
