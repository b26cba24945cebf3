"""What SQL asks of Python: hashes, names, distances, values that only bodies hold."""

from array import array
from functools import lru_cache
from typing import Any

import apsw

from server.search import geodesic
from server.search.rows import hash64
from server.store.sqlite.bags import Bags, content_hash
from server.store.sqlite.rows import COMPARTMENTS, unpack

_MAX_KNOWN = 64  # sets of compartments of which is known whether one has a number
_NUMBERED = "select exists(select 1 from carray(?) c cross join sym s on s.h=c.value)"


def register(db: apsw.Connection) -> None:
    """Make the functions that depend on nothing but their arguments known to a connection."""

    def named(*given: Any) -> int:
        return name_of(*given)

    def bag_of(*members: Any) -> int:
        return content_hash(members)

    def distance(*places: Any) -> float:
        latitude, longitude, *other = places
        return geodesic.metres((latitude, longitude), (other[0], other[1]))

    db.create_scalar_function("name_of", named, 2, deterministic=True)
    db.create_scalar_function("bag_of", bag_of, 1, deterministic=True)
    db.create_scalar_function("distance", distance, 4, deterministic=True)


def register_keys(db: apsw.Connection, bags: Bags) -> None:
    """Make ``has_any`` known, whether ``res.keys`` holds one of a set of keys.

    ``in_compartment`` asks the compartments as well, where these are kept with the version only.
    """

    def has_any(*given: Any) -> bool:
        keys, wanted = given
        return not wanted.isdisjoint(bags.unpack(keys)[1])

    numbered: dict[int, tuple[frozenset[int], bool]] = {}

    def is_numbered(wanted: frozenset[int]) -> bool:
        known = numbered.get(id(wanted))
        if known is None or known[0] is not wanted:
            if len(numbered) >= _MAX_KNOWN:
                numbered.clear()
            found = db.execute(_NUMBERED, (apsw.carray(array("q", wanted)),)).get if wanted else 0
            known = numbered[id(wanted)] = (wanted, bool(found))
        return known[1]

    def in_compartment(*given: Any) -> bool:
        keys, compartments, wanted = given
        flags, longs = split_keys(keys)
        if flags & COMPARTMENTS and not wanted.isdisjoint(unpack(compartments)):
            return True
        # Compartments stand in the keys only where rows made anew have others than the version.
        return not wanted.isdisjoint(bags.unpack(keys)[1] if is_numbered(wanted) else longs)

    db.create_scalar_function("has_any", has_any, 2)
    db.create_scalar_function("in_compartment", in_compartment, 3)


def split_keys(packed: bytes) -> tuple[int, tuple[int, ...]]:
    """Return the flags of ``res.keys``, and those of its keys that have no short number."""
    begin = 3 + 2 * (packed[1] | packed[2] << 8)
    return packed[0], unpack(packed[begin:])


@lru_cache(maxsize=8192)
def name_of(type_: str, id_: str) -> int:
    """Return the hash by which references name a resource."""
    return hash64(f"{type_}/{id_}")
