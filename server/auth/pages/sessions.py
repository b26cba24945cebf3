"""Logged-in browsers: 256 random bits in a cookie, kept as SHA-256 only.

A session ends 30 minutes after the last page, and 12 hours after the login whatever happens
(NIST SP 800-63B 4.2.3).  Each login makes a new one, so that nobody can plant one beforehand.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from secrets import token_urlsafe

from server.auth.ending import walk
from server.auth.records import Grant, Launch, Session, User, key_of
from server.auth.users import Users
from server.store.port import CommitConflict, Record, RecordWrite, Store

MINUTE_US = 60_000_000
IDLE_US = 30 * MINUTE_US
ABSOLUTE_US = 12 * 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session that is good now, whose it is, and the key it is kept under."""

    key: str
    session: Session
    user: User


class Sessions:
    """All sessions.  ``now`` gives microseconds; ``end_grant`` gets a grant's id and the reason."""

    def __init__(
        self,
        store: Store,
        users: Users,
        now: Callable[[], int],
        end_grant: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._store, self._users, self._now, self._end_grant = store, users, now, end_grant

    async def of(self, cookie: str | None) -> LoggedIn | None:
        """Return who a cookie stands for, and count it as used; ``None``: log in first."""
        if not cookie:
            return None
        record = await self._store.get_record(Session.KIND, key_of(cookie))
        if record is None:
            return None
        session = Session.unpack(record.value)
        user = await self._users.get(session.user)
        if user is None or not user.active:
            await self.end(record.key, session.user)
            return None
        await self._keep_alive(record, session)
        return LoggedIn(record.key, session, user)

    async def begin(self, user: User) -> str:
        """Return the cookie of a new session."""
        cookie, now = token_urlsafe(32), self._now()
        session = Session(user.name, now, token_urlsafe(32))
        await self._store.commit([], records=[_write(key_of(cookie), session, now)])
        return cookie

    async def end(self, key: str, user: str) -> None:
        """End a session, its launches, and what was granted for as long as it lasts."""
        launches = [
            RecordWrite(Launch.KIND, record.key, None)
            async for record in walk(self._store, Launch.KIND, user)
            if Launch.unpack(record.value).session == key
        ]
        gone = [RecordWrite(Session.KIND, key, None), *launches]
        await self._store.commit([], records=gone)
        async for record in walk(self._store, Grant.KIND, user):
            if Grant.unpack(record.value).session == key:
                await self._end_grant(record.key, "the session that it was granted in has ended")

    async def _keep_alive(self, record: Record, session: Session) -> None:
        """Put the end off.  Once a minute is enough: pages need no write each."""
        now = self._now()
        if record.expires_at is None or record.expires_at >= _end(session, now) - MINUTE_US:
            return
        try:
            await self._store.commit([], records=[_write(record.key, session, now, record.rev)])
        except CommitConflict:  # another page did, or it was ended: that must not bring it back
            return


def matches(told: str, kept: str) -> bool:
    """Compare two secrets in a time that tells nothing about them."""
    return compare_digest(told.encode(), kept.encode())


def _end(session: Session, now: int) -> int:
    return min(now + IDLE_US, session.auth_time + ABSOLUTE_US)


def _write(key: str, session: Session, now: int, rev: int = 0) -> RecordWrite:
    end = _end(session, now)
    return RecordWrite(Session.KIND, key, session.pack(), session.user, rev, end)
