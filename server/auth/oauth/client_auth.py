"""How a client proves who it is at the token endpoint.  RFC 6749 2.3; SMART
client-confidential-symmetric.html, client-confidential-asymmetric.html.

authlib's own ``private_key_jwt`` refuses the algorithms that SMART asks for and accepts assertions
that live for years, so ours takes its place.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import anyio.from_thread
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.models import ClientMixin

from server.auth.clients import has_secret
from server.auth.oauth import assertion
from server.auth.oauth.client_jwks import ClientKeys, NoKey
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.terms import SECOND
from server.auth.records import Client, RefreshToken, key_of

METHODS = ["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]


class Registered(ClientMixin):  # type: ignore[misc] # authlib has no types
    """A client as authlib asks for it."""

    def __init__(self, client: Client) -> None:
        self.kept = client

    def get_client_id(self) -> str:
        """Return its id."""
        return self.kept.id

    def check_client_secret(self, client_secret: str) -> bool:
        """Tell whether this is the client's secret, in the same time for all."""
        return has_secret(self.kept, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client is registered to prove itself in this way: in one only."""
        return method == self.kept.auth

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether it may use a grant; who may ask for codes may refresh what it was given."""
        return grant_type in self.kept.grants or (
            grant_type == "refresh_token" and "authorization_code" in self.kept.grants
        )


class Signatures:
    """Checks assertions, before authlib's thread is entered: a key set that comes slowly must not
    hold one of the few threads."""

    def __init__(
        self, ledger: Ledger, keys: ClientKeys, audience: str, now: Callable[[], int]
    ) -> None:
        self._ledger, self._keys = ledger, keys
        self._audience, self._now = audience, now

    async def proof(self, form: Mapping[str, str]) -> "Registered | InvalidClientError | None":
        """Return the client that signed, or why it is not proven; ``None``: no assertion is there.

        SMART client-confidential-asymmetric.html#response: the error is ``invalid_client``.
        """
        text = form.get("client_assertion")
        if text is None or form.get("client_assertion_type") != assertion.ASSERTION_TYPE:
            return None
        try:
            return Registered(await self._signer(text, form.get("client_id")))
        except (assertion.InvalidAssertion, NoKey) as error:
            return InvalidClientError(description=str(error))

    async def _signer(self, text: str, named: str | None) -> Client:
        header = assertion.read(text)
        client = await self._ledger.client(header.client_id)
        if client is None or named not in (None, header.client_id):
            raise assertion.InvalidAssertion("the client is not registered")
        if client.auth != "private_key_jwt":
            raise assertion.InvalidAssertion("the client does not authenticate by a signature")
        if header.jku is not None and header.jku != client.jwks_uri:
            raise assertion.InvalidAssertion("jku is not the address given at registration")
        key = await self._keys.key(client, header.alg, header.kid)
        now_s = self._now() / SECOND
        jti, exp = assertion.verify(text, header, key, audience=self._audience, now_s=now_s)
        until = (exp + assertion.LEEWAY_S + 1) * SECOND
        if not await self._ledger.first_use(client.id, jti, until):
            raise assertion.InvalidAssertion("the assertion was used before (jti)")
        return client


def signed(query_client: Any, request: Any) -> Registered | None:
    """Return who signed, as :class:`Signatures` found; authlib's ``private_key_jwt`` method."""
    if isinstance(request.proof, InvalidClientError):
        raise request.proof
    proven: Registered | None = request.proof
    return proven


class Unproven:
    """The ``none`` method: public clients are taken at their word; it runs in authlib's thread.

    A refresh token says whose it is: npm's fhirclient sends no ``client_id`` with it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, query_client: Any, request: Any) -> Registered | None:
        """Return the client that is named; ``None`` when none is."""
        sent = request.form
        if "client_secret" in sent:
            return None
        found: Registered | None = query_client(sent.get("client_id") or self._owner(sent))
        return found

    def _owner(self, sent: dict[str, str]) -> str:
        if sent.get("grant_type") != "refresh_token":
            return ""
        kept = anyio.from_thread.run(
            self._ledger.store.get_record,
            RefreshToken.KIND,
            key_of(sent.get("refresh_token", "")),
        )
        return RefreshToken.unpack(kept.value).client if kept is not None else ""


def named(authorization: str, form: Mapping[str, str]) -> str:
    """Return who a request says to be from, for audit; nothing of it is proven."""
    if (client_id := form.get("client_id")) is not None:
        return client_id
    try:
        if authorization.lower().startswith("basic "):
            pair = b64decode(authorization[6:].strip(), validate=True).decode()
            return unquote(pair.partition(":")[0])
        return assertion.read(form.get("client_assertion", "")).client_id
    except (ValueError, assertion.InvalidAssertion):
        return ""


def check_one_method(authorization: str, form: dict[str, str]) -> None:
    """Refuse a request with several kinds of proof (RFC 6749 2.3), or a header out of order."""
    ways = (
        authorization.lower().startswith("basic "),
        "client_secret" in form,
        "client_assertion" in form,
    )
    if sum(ways) > 1:
        raise InvalidRequestError("more than one way to authenticate the client was used")
    if ways[0]:
        try:
            pair = b64decode(authorization[6:].strip(), validate=True).decode()
        except ValueError:
            pair = ""
        if not pair:  # authlib would fail of it
            raise InvalidClientError(description="the secret cannot be read")
