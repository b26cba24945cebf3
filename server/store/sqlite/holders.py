"""Who has an index key, in the file: no plan, no bodies, one walk of each posting list."""

from collections.abc import Collection

import apsw

from server.search.rows import key_hash
from server.store.port import Held
from server.store.presence import is_common
from server.store.sqlite.sql import numbers

_HOLDERS = (
    "select k.value, r.type, r.id, r.vid from carray(?) k cross join res r"
    " where r.rid in (select f.rid from tok f where f.h=k.value limit ?)"
)


def holders(
    db: apsw.Connection, keys: Collection[str], most: int
) -> dict[str, tuple[Held, ...] | None]:
    """See :meth:`server.store.port.Store.holders`."""
    hashes = {key: key_hash(key) for key in keys}
    by_hash: dict[int, list[Held]] = {hashed: [] for hashed in hashes.values()}
    for hashed, *held in db.execute(_HOLDERS, (numbers(list(by_hash)), most + 1)):
        by_hash[hashed].append(Held(*held))
    return {
        key: tuple(found) if len(found := by_hash[hashed]) <= most and not is_common(key) else None
        for key, hashed in hashes.items()
    }
