"""Who administers: the holder of an administrator token, or of a token for ``admin/tellonce``.

What somebody may read in the record opens nothing here: the scope is asked for apart, is shown on
the page of consent, and goes to administrators and pre-agreed services only.
"""

from collections.abc import Awaitable, Callable

from server.access import scopes
from server.access.context import AccessContext
from server.auth.records import AccessToken, Client, User, key_of
from server.fhir.errors import Forbidden
from server.store.port import RecordStore

SCOPE = "admin/tellonce"

Authenticate = Callable[[bytes | None], Awaitable[AccessContext]]


class AdminDoor:
    """``authenticate`` knows every kind of token, and refuses those that have ended."""

    def __init__(self, store: RecordStore, authenticate: Authenticate) -> None:
        self._store, self._authenticate = store, authenticate

    async def __call__(self, authorization: bytes | None) -> AccessContext:
        """Return who calls.

        Raises:
            LoginRequired: no token, or one that is unknown or has ended.
            Forbidden: a good one, of somebody who does not administer.
        """
        access = await self._authenticate(authorization)
        if access.client in ("token", "open") and access.grant is None and access.unrestricted:
            return access
        if await self._has_scope(authorization or b"") and await self._administers(access):
            return access
        raise Forbidden(f"this is for administrators, with the scope {SCOPE}")

    async def name(self, authorization: bytes | None) -> str:
        """As calling it; return the principal only."""
        return (await self(authorization)).principal

    async def _has_scope(self, authorization: bytes) -> bool:
        token = authorization.decode("latin-1").partition(" ")[2].strip()
        kept = await self._store.get_record(AccessToken.KIND, key_of(token))
        if kept is None:
            return False
        return SCOPE in scopes.parse(AccessToken.unpack(kept.value).scope).others

    async def _administers(self, access: AccessContext) -> bool:
        """Look again, on each request: a role that was taken back ends this at once."""
        kind, _, name = access.principal.partition("/")
        if kind == "user":
            record = await self._store.get_record(User.KIND, name)
            user = User.unpack(record.value) if record is not None else None
            return user is not None and user.active and "admin" in user.roles
        if kind == "client":
            record = await self._store.get_record(Client.KIND, name)
            client = Client.unpack(record.value) if record is not None else None
            return client is not None and SCOPE in scopes.parse(client.scope).others
        return False
