"""Tokens of senders: each opens ``POST /hl7v2/{feed}`` of one feed, and nothing else.

Kept apart from administrator tokens (another kind of record), so that no mistake in a check can
make one of the other.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from secrets import token_urlsafe

from server.access.context import AccessContext
from server.auth.administrator import CACHE_SIZE, CACHE_US, ID_LENGTH
from server.fhir.errors import Forbidden, LoginRequired
from server.store.port import RecordStore, RecordWrite, Store

KIND = "feed-token"
PREFIX = "tellonce_feed_"

Authenticate = Callable[[bytes | None], Awaitable[AccessContext]]


async def new_feed_token(store: Store, feed: str, name: str) -> str:
    """Make and return a token for the senders of ``feed``; it cannot be shown again."""
    token = PREFIX + token_urlsafe(32)
    made = RecordWrite(KIND, _key(token), name.encode(), tag=feed, if_rev=0)
    await store.commit([], records=[made])
    return token


async def feed_tokens(store: RecordStore) -> list[tuple[str, str, str]]:
    """Return (id, feed, name) of every feed token, sorted by id."""
    found: list[tuple[str, str, str]] = []
    after = ""
    while page := await store.find_records(KIND, after=after):
        found += [(one.key[:ID_LENGTH], one.tag, one.value.decode()) for one in page]
        after = page[-1].key
    return found


async def remove_feed_token(store: Store, id_: str) -> str | None:
    """Remove the token with this id and return its name; ``None`` when there is none."""
    for record in await store.find_records(KIND, after=id_, limit=1):
        if len(id_) == ID_LENGTH and record.key.startswith(id_):
            await store.commit([], records=[RecordWrite(KIND, record.key, None)])
            return record.value.decode()
    return None


class FeedDoor:
    """Tells who sends messages of a feed: the holder of a token of it, or an administrator."""

    def __init__(
        self, store: RecordStore, authenticate: Authenticate, now: Callable[[], int]
    ) -> None:
        self._store, self._authenticate, self._now = store, authenticate, now
        self._known: dict[bytes, tuple[int, str, str]] = {}

    async def __call__(self, authorization: bytes | None, feed: str) -> str:
        """Return the sender's name.

        Raises:
            LoginRequired: no token, or one that is not known.
            Forbidden: a token of another feed, or one that may not do everything.
        """
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip().startswith(PREFIX):
            return await administrator(self._authenticate, authorization)
        of_feed, name = await self._look_up(token.strip())
        if of_feed != feed:
            raise Forbidden(f"this token is not one of feed {feed}")
        return f"feed/{of_feed}/{name}"

    async def _look_up(self, token: str) -> tuple[str, str]:
        key, now = token.encode(), self._now()
        known = self._known.get(key)
        if known is not None and now < known[0] <= now + CACHE_US:
            return known[1:]
        record = await self._store.get_record(KIND, _key(token))
        if record is None:
            raise LoginRequired("the token is unknown, or was removed")
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[key] = (now + CACHE_US, record.tag, record.value.decode())
        return record.tag, record.value.decode()


async def administrator(authenticate: Authenticate, authorization: bytes | None) -> str:
    """Return the name of an administrator; nobody else comes through, whatever they may read.

    Raises:
        LoginRequired, Forbidden: it is none.
    """
    access = await authenticate(authorization)
    by_token = access.client in ("token", "open") and access.grant is None
    if not (by_token and access.unrestricted):
        raise Forbidden("this is for administrators")
    return access.principal


def _key(token: str) -> str:
    return sha256(token.encode()).hexdigest()
