"""Where the public key is that a client's signature is checked by.

SMART client-confidential-asymmetric.html#signature-verification: from the set given at
registration, or from the address given then; never from an address that only the client's own
assertion names.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from server.auth.client_keys import algorithm_of
from server.auth.oauth.terms import SECOND
from server.auth.records import Client
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson
from server.safe_client import SafeClient, Unfetched

KTY: dict[str, type[RSAKey] | type[ECKey]] = {"RS384": RSAKey, "ES384": ECKey}
MAX_BYTES = 256 * 1024
TIMEOUT_S = 5.0
MAX_CACHED_S = 3600
RETRY_S = 60  # a key that is not in the cached set may be new: look again, but not at each request
FAILED_S = 5  # a host that does not answer is not asked by each request
MOST_SETS = 1000

_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,9})", re.ASCII)


class NoKey(Exception):
    """There is no one key for the signature; the text says why."""


@dataclass(frozen=True, slots=True)
class _Set:
    """What an address answered ``at`` a time, good ``until`` another; ``None``: with no key set."""

    at: int
    until: int
    jwks: Mapping[str, Any] | None


class ClientKeys:
    """``web`` is ``None`` where nothing may be fetched; ``now`` gives microseconds."""

    def __init__(self, web: SafeClient | None, now: Callable[[], int]) -> None:
        self._web, self._now = web, now
        self._sets: dict[str, _Set] = {}
        self._locks: dict[str, anyio.Lock] = {}  # of fetches in flight

    async def key(self, client: Client, alg: str, kid: str) -> Key:
        """Return the one key of the client with this ``kid`` that fits the algorithm.

        Raises:
            NoKey: none fits, several do, or the set cannot be had.
        """
        if client.jwks is not None:
            return _one(client.jwks, alg, kid)
        if client.jwks_uri is None:
            raise NoKey("the client has no keys")
        return await self._fetched_key(client.jwks_uri, alg, kid)

    async def _fetched_key(self, url: str, alg: str, kid: str) -> Key:
        asked = self._now()
        lock = self._locks.setdefault(url, anyio.Lock())
        try:
            async with lock:
                return await self._known_key(url, alg, kid, asked)
        finally:
            if not lock.statistics().tasks_waiting:
                self._locks.pop(url, None)

    async def _known_key(self, url: str, alg: str, kid: str, asked: int) -> Key:
        """Return the key; fetched at most once for all who waited for it.

        Anybody can name the client: what the client's host is asked must not grow with that.
        """
        known, now = self._sets.get(url), self._now()
        if known is not None and (known.at >= asked or known.at <= now < known.until):
            try:
                return _one(known.jwks, alg, kid)
            except NoKey:
                if known.at >= asked or now - known.at < RETRY_S * SECOND or known.jwks is None:
                    raise
        if len(self._sets) >= MOST_SETS:
            self._sets.clear()
        self._sets[url] = found = await self._fetch_set(url)
        return _one(found.jwks, alg, kid)

    async def _fetch_set(self, url: str) -> _Set:
        if self._web is None:
            raise NoKey("this server fetches no key sets")
        jwks, lasts_s = None, FAILED_S
        try:
            found = await self._web.fetch(url, max_bytes=MAX_BYTES, timeout_s=TIMEOUT_S)
            jwks = fhir_json.loads(found.body) if found.status == 200 else None
        except (Unfetched, InvalidJson):
            jwks = None
        if isinstance(jwks, dict):
            lasts_s = cached_s(found.headers.get("cache-control", ""))
        else:
            jwks = None
        now = self._now()
        return _Set(now, now + lasts_s * SECOND, jwks)


def cached_s(cache_control: str) -> int:
    """Return for how many seconds a key set may be kept: never longer than its header says.

    >>> cached_s("public, max-age=60"), cached_s("no-store, max-age=60"), cached_s("")
    (60, 0, 0)
    """
    said = cache_control.lower()
    found = _MAX_AGE.search(said)
    if found is None or "no-store" in said or "no-cache" in said:
        return 0
    return min(int(found[1]), MAX_CACHED_S)


def _one(jwks: Mapping[str, Any] | None, alg: str, kid: str) -> Key:
    if jwks is None:
        raise NoKey("the client's key set could not be fetched, or is none")
    kind = KTY[alg]
    listed = jwks.get("keys")
    found = [
        one
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and one.get("kid") == kid and one.get("kty") == kind.key_type
    ]
    if len(found) != 1:
        raise NoKey(f"the client has {'no' if not found else 'more than one'} key of this kid")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a weak key is refused below, not warned of
            key = kind.import_key(found[0])
            fits = algorithm_of(key) == alg
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise NoKey("the client's key cannot be read") from error
    if not fits:
        raise NoKey("the client's key is not for this algorithm")
    return key
