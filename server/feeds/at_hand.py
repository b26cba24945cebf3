"""Versions that were read a moment ago, with their resources: most messages name the same wards.

A version never changes, so what is here is never old; whether it still is the latest is asked of
the store each time (:meth:`server.store.port.Store.holders`).
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from server.access.context import SYSTEM
from server.fhir import json as fhir_json
from server.store.port import Held, Store, Version

Hit = tuple[Version, dict[str, Any]]
"""A live version and its resource, which is never changed: others look at the same one."""

MOST_BYTES = 2 << 20  # of bodies; as objects they take several times that
LONGEST_BYTES = 64 << 10  # of one body that is kept


class AtHand:
    """The versions of one store that were used last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._hits: OrderedDict[Held, Hit] = OrderedDict()
        self._most = most_bytes
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits.values())

    def get(self, held: Held) -> Hit | None:
        """Return the version, if it is here."""
        hit = self._hits.get(held)
        if hit is not None:
            self._hits.move_to_end(held)
        return hit

    def put(self, version: Version) -> Hit:
        """Keep a live version in place of those that were used least."""
        body = version.body or b"{}"
        held, hit = Held(version.type, version.id, version.seq), (version, fhir_json.loads(body))
        if len(body) > LONGEST_BYTES or held in self._hits:
            return hit
        self._hits[held] = hit
        self.size_bytes += len(body)
        while self.size_bytes > self._most:
            _, (oldest, _) = self._hits.popitem(last=False)
            self.size_bytes -= len(oldest.body or b"{}")
        return hit


_of_store: WeakKeyDictionary[Store, AtHand] = WeakKeyDictionary()


def kept(store: Store) -> list[Hit]:
    """Return the versions of a store that are at hand."""
    return list(_of_store.setdefault(store, AtHand()))


async def latest(store: Store, wanted: Collection[Held]) -> dict[Held, Hit]:
    """Return the latest live versions of resources; what is deleted by now is left out.

    One that was stored meanwhile has another ``seq`` than asked.

    Raises:
        StoreUnavailable: the record could not be read now.
    """
    at_hand = _of_store.setdefault(store, AtHand())
    known = {held: hit for held in wanted if (hit := at_hand.get(held)) is not None}
    left = {(held.type, held.id): held for held in wanted if held not in known}
    if left:
        read = await store.read_many(SYSTEM, left)
        known |= {left[place]: at_hand.put(version) for place, version in read.items()}
    return known
