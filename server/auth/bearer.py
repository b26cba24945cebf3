"""Whom a bearer token stands for, asked for every request.

RFC 6750; SMART app-launch.html#response-6.

A token is looked up with its grant, client, user and session; what was found is kept for at most
two seconds, so that whatever is taken back works no longer than that.  Taken back in this process,
it works no more at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from server.access.context import AccessContext
from server.auth.administrator import CACHE_SIZE, CACHE_US, PREFIX
from server.auth.person import Rights
from server.auth.records import AccessToken, Client, Grant, Session, User, key_of
from server.fhir.errors import LoginRequired, StoreUnavailable
from server.store.port import CommitConflict, Record, RecordWrite, Store

MINUTE = 60_000_000  # microseconds

Administrators = Callable[[bytes | None], Awaitable[AccessContext]]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a token stood for from ``since`` on; it is asked again at ``until``."""

    since: int
    until: int
    access: AccessContext
    scope: str


class Bearer:
    """The caller of an ``Authorization`` header.

    ``administrators`` knows the tokens of operators.  ``audience`` is the FHIR base of this server:
    tokens that were asked for another one open nothing.  ``now`` gives microseconds.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], int],
        audience: str,
        rights: Rights,
        administrators: Administrators,
    ) -> None:
        self._store, self._now, self._audience = store, now, audience
        self._rights, self._administrators = rights, administrators
        self._known: dict[bytes, _Known] = {}
        self._ended = 0
        self._noting: set[asyncio.Task[None]] = set()

    async def __call__(self, authorization: bytes | None) -> AccessContext:
        """Return the caller's rights.

        Raises:
            LoginRequired: no token, not a Bearer token, or one that is not in force.
        """
        # Bounded below as well: a clock that was set back must not keep a token alive.
        known = self._known.get(authorization or b"")
        if known is not None and known.since <= self._now() < known.until:
            return known.access
        return (await self._found(authorization)).access

    async def scope(self, authorization: bytes) -> str:
        """Return what the token was granted; empty for one of an administrator."""
        return (await self._found(authorization)).scope

    async def access_of(self, user: User) -> AccessContext:
        """Return what a user may see by the policy alone: for pages, where no app is between."""
        return await self._rights.of_user(user, self._now())

    def forget(self, grant: str) -> None:
        """Ask again about the tokens of a grant: it ended."""
        self._ended += 1
        for key in [k for k, one in self._known.items() if one.access.grant == grant]:
            del self._known[key]

    async def settled(self) -> None:
        """Return when every last use is noted."""
        while self._noting:
            await asyncio.wait(self._noting)

    async def _found(self, authorization: bytes | None) -> _Known:
        token = _token(authorization)
        if token.startswith(PREFIX):
            access = await self._administrators(authorization)
            return _Known(0, 0, access, "")  # it has a cache of its own
        now, ended = self._now(), self._ended
        known = await self._look_up(token, now)
        if ended == self._ended:  # what ended meanwhile may have been this
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            self._known[authorization or b""] = known
        return known

    async def _look_up(self, token: str, now: int) -> _Known:
        record = await self._store.get_record(AccessToken.KIND, key_of(token))
        kept = AccessToken.unpack(record.value) if record is not None else None
        if kept is None or now >= kept.expires:
            raise _unknown()
        found = await self._store.get_record(Grant.KIND, kept.grant)
        if found is None:
            raise _unknown()
        grant = Grant.unpack(found.value)
        client, user = await self._client(grant), await self._user(grant)
        if grant.audience != self._audience:
            raise _unknown()
        access = await self._rights.of_grant(grant, client, user, kept.scope, now)
        if now - grant.used >= MINUTE:
            self._note_use(found, grant, now)
        return _Known(now, min(now + CACHE_US, kept.expires), access, kept.scope)

    async def _client(self, grant: Grant) -> Client:
        record = await self._store.get_record(Client.KIND, grant.client)
        client = Client.unpack(record.value) if record is not None else None
        if client is None or not client.active:
            raise _unknown()
        return client

    async def _user(self, grant: Grant) -> User | None:
        """Return the user, who may still act; ``None`` for backend services."""
        if grant.user is None:
            return None
        record = await self._store.get_record(User.KIND, grant.user)
        user = User.unpack(record.value) if record is not None else None
        if user is None or not user.active:
            raise _unknown()
        if grant.session is not None:  # online access ends with the session
            session = await self._store.get_record(Session.KIND, grant.session)
            if session is None:
                raise _unknown()
        return user

    def _note_use(self, record: Record, grant: Grant, now: int) -> None:
        """Write down, beside the request, that the grant is used; for the page of apps."""
        task = asyncio.create_task(self._write_use(record, replace(grant, used=now)))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_use(self, record: Record, grant: Grant) -> None:
        write = RecordWrite(
            Grant.KIND, grant.id, grant.pack(), record.tag, record.rev, record.expires_at
        )
        # Another request wrote it, or the grant ended; or it is written at the next use.
        with suppress(CommitConflict, StoreUnavailable):
            await self._store.commit([], records=[write])


def _token(authorization: bytes | None) -> str:
    if authorization is None:
        raise LoginRequired("this server needs a token: send Authorization: Bearer TOKEN")
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise LoginRequired("the Authorization header is not a Bearer token")
    return token.strip()


def _unknown() -> LoginRequired:
    """One text for all: why a token is not in force is nobody's business who has only that."""
    return LoginRequired("the token is unknown, has expired, or was revoked")
