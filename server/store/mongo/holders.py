"""Who has an index key, in MongoDB: no plan, no bodies, one walk of their index."""

from collections.abc import Collection

from server.search.rows import key_hash
from server.store.mongo.reading import Reading
from server.store.mongo.versions import READ_MS
from server.store.port import Held

_FIELDS = {"rt": 1, "id": 1, "seq": 1, "t": 1}


async def holders(
    reading: Reading, keys: Collection[str], most: int
) -> dict[str, tuple[Held, ...] | None]:
    """See :meth:`server.store.port.Store.holders`."""
    if not keys:
        return {}
    hashes = {key: key_hash(key) for key in keys}
    by_hash: dict[int, list[Held]] = {hashed: [] for hashed in hashes.values()}
    limit = len(by_hash) * (most + 1)
    asked = reading.db.resources.find(
        {"t": {"$in": list(by_hash)}}, _FIELDS, limit=limit, max_time_ms=READ_MS
    )
    documents = await asked.to_list()
    if len(documents) == limit:  # those of one key may have left no room for another's
        return dict.fromkeys(hashes)
    for one in documents:
        for hashed in by_hash.keys() & set(one["t"]):
            by_hash[hashed].append(Held(one["rt"], one["id"], one["seq"]))
    return {
        key: tuple(found) if len(found := by_hash[hashed]) <= most else None
        for key, hashed in hashes.items()
    }
