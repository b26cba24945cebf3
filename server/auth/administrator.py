"""Administrator tokens: opaque, 256 bits, kept only as SHA-256, checked on every request.

They stand in until people and apps log in; they will stay for operators.  A token travels as
``Authorization: Bearer`` (RFC 6750 2.1), never in a URL.
"""

from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe

from server.access.context import AccessContext, Permit
from server.fhir.errors import LoginRequired
from server.store.port import RecordStore, RecordWrite, Store

KIND = "token"
PREFIX = "tellonce_"
CACHE_US = 2_000_000  # a removed token works for at most two seconds more
CACHE_SIZE = 4096
ID_LENGTH = 12  # characters of the hash by which an operator names a token

_EVERYTHING = (Permit("*"),)


async def new_token(store: Store, name: str) -> str:
    """Make and return an administrator token; it cannot be shown again.

    ``name`` is what logs and audit call its holder.
    """
    token = PREFIX + token_urlsafe(32)
    await store.commit([], records=[RecordWrite(KIND, _key(token), name.encode(), if_rev=0)])
    return token


async def tokens(store: RecordStore) -> list[tuple[str, str]]:
    """Return (id, name) of every token, sorted by id; an id is no secret and opens nothing."""
    found: list[tuple[str, str]] = []
    after = ""
    while page := await store.find_records(KIND, after=after):
        found += [(record.key[:ID_LENGTH], record.value.decode()) for record in page]
        after = page[-1].key
    return found


async def remove_token(store: Store, id_: str) -> str | None:
    """Remove the token with this id and return its name; ``None`` when there is none.

    It stops working within two seconds (:data:`CACHE_US`).
    """
    for record in await store.find_records(KIND, after=id_, limit=1):
        if len(id_) == ID_LENGTH and record.key.startswith(id_):
            await store.commit([], records=[RecordWrite(KIND, record.key, None)])
            return record.value.decode()
    return None


async def has_token(store: RecordStore) -> bool:
    """Tell whether any administrator token was ever made and not removed."""
    return bool(await store.find_records(KIND, limit=1))


class Authenticator:
    """Tells from request headers who calls.

    ``now`` gives microseconds; answers are kept for :data:`CACHE_US`.
    """

    def __init__(self, store: RecordStore, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._known: dict[bytes, tuple[int, AccessContext]] = {}

    async def __call__(self, authorization: bytes | None) -> AccessContext:
        """Return the caller's rights.

        Raises:
            LoginRequired: no ``Authorization`` header, not a Bearer token, or one not known.
        """
        if authorization is None:
            raise LoginRequired("this server needs a token: send Authorization: Bearer TOKEN")
        now = self._now()
        known = self._known.get(authorization)
        # Bounded above as well: a clock that was set back must not keep a removed token alive.
        if known is not None and now < known[0] <= now + CACHE_US:
            return known[1]
        access = await self._look_up(authorization)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[authorization] = (now + CACHE_US, access)
        return access

    async def _look_up(self, authorization: bytes) -> AccessContext:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise LoginRequired("the Authorization header is not a Bearer token")
        record = await self._store.get_record(KIND, _key(token.strip()))
        if record is None:
            raise LoginRequired("the token is unknown, or was removed")
        return AccessContext(f"administrator/{record.value.decode()}", "token", _EVERYTHING)


class OpenHouse:
    """Lets everybody do everything: ``--open``, on loopback only."""

    async def __call__(self, authorization: bytes | None) -> AccessContext:
        """Return unrestricted access whatever the header says."""
        return _OPEN


_OPEN = AccessContext("anybody", "open", _EVERYTHING)


def _key(token: str) -> str:
    return sha256(token.encode()).hexdigest()
