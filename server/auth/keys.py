"""The server's own signing keys: made at the first start, rotated, published as a key set.

OpenID Connect Core 10.1.1: a new key is published before it signs, and an old one for as long as
what it signed may be looked at.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio.to_thread
from joserfc.jwk import RSAKey

from server.auth.records import Kept
from server.store.port import CommitConflict, RecordWrite, Store

ALGORITHM = "RS256"  # SMART #scopes-for-requesting-identity-data: "RSA SHA-256"
BITS = 2048  # keys live for months, what they sign for an hour
HOUR = 3_600_000_000  # microseconds
ANNOUNCED = HOUR  # and as long may the key set be cached
KEPT = 2 * HOUR  # past its last signature; an id_token lives an hour
MAX_AGE_S = 3600
_CACHED = 10_000_000
_KEY = "signing"


@dataclass(frozen=True, slots=True)
class SigningKeys(Kept):
    """All signing keys, oldest first.  Each: ``jwk`` (private), ``since`` and ``until``, between
    which it is published, and ``signs``, from when it signs (microseconds; ``until`` may be null).
    """

    KIND: ClassVar[str] = "key"
    keys: tuple[dict[str, Any], ...] = ()


class Keys:
    """``now`` gives microseconds."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store, self._now = store, now
        self._known: tuple[int, tuple[dict[str, Any], ...]] | None = None
        self._parsed: dict[str, RSAKey] = {}

    async def signing(self) -> RSAKey:
        """Return the key that signs now; made when there is none."""
        keys = await self._all()
        now = self._now()  # not before: the first key signs from its making on
        # A clock that was set back before the first key leaves that one.
        jwk = [one["jwk"] for one in keys if one is keys[0] or one["signs"] <= now][-1]
        if jwk["kid"] not in self._parsed:
            self._parsed[jwk["kid"]] = RSAKey.import_key(jwk)
        return self._parsed[jwk["kid"]]

    async def published(self) -> dict[str, Any]:
        """Return the key set (RFC 7517, 5) of public keys."""
        now = self._now()
        live = [one for one in await self._all() if one["until"] is None or now < one["until"]]
        return {"keys": [RSAKey.import_key(one["jwk"]).as_dict(private=False) for one in live]}

    async def rotate(self) -> str:
        """Announce a new key, which signs in an hour; return its ``kid``.

        Raises:
            CommitConflict: somebody else rotates at this moment.
        """
        keys, rev = await self._load()
        now = self._now()
        signs = now + ANNOUNCED if keys else now
        live = [one for one in keys if one["until"] is None or now < one["until"]]
        ended = [{**one, "until": one["until"] or signs + KEPT} for one in live]
        made = await _new_key()
        new = {"jwk": made, "since": now, "signs": signs, "until": None}
        kept = SigningKeys((*ended, new))
        write = RecordWrite(SigningKeys.KIND, _KEY, kept.pack(), if_rev=rev)
        await self._store.commit([], records=[write])
        self._known = None
        return str(made["kid"])

    async def _all(self) -> tuple[dict[str, Any], ...]:
        now = self._now()
        if self._known is not None and 0 <= now - self._known[0] < _CACHED:
            return self._known[1]
        keys, _ = await self._load()
        if not keys:
            with suppress(CommitConflict):  # another process made the first key
                await self.rotate()
            keys, _ = await self._load()
        self._known = (now, keys)
        return keys

    async def _load(self) -> tuple[tuple[dict[str, Any], ...], int]:
        record = await self._store.get_record(SigningKeys.KIND, _KEY)
        if record is None:
            return (), 0
        return SigningKeys.unpack(record.value).keys, record.rev


async def _new_key() -> dict[str, Any]:
    return await anyio.to_thread.run_sync(_generate)


def _generate() -> dict[str, Any]:
    key = RSAKey.generate_key(BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    return dict(key.as_dict(private=True))
