"""What SQL asks of Python: hashes, names, distances, values that only bodies hold."""

from typing import Any

import apsw

from server.search import geodesic
from server.search.rows import hash64
from server.store.sqlite.bags import Bags, content_hash


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
    """Make ``has_any(keys, wanted)`` known: whether ``res.keys`` holds one of a set of keys."""

    def has_any(*given: Any) -> bool:
        keys, wanted = given
        return not wanted.isdisjoint(bags.unpack(keys)[1])

    db.create_scalar_function("has_any", has_any, 2)


def name_of(type_: str, id_: str) -> int:
    """Return the hash by which references name a resource."""
    return hash64(f"{type_}/{id_}")
