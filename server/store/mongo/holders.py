"""Who has an index key, in MongoDB: no plan, no bodies, one walk of their index."""

import asyncio
from collections.abc import Collection

from server.search.rows import key_hash
from server.store.mongo.reading import Reading
from server.store.mongo.versions import READ_MS
from server.store.port import Held
from server.store.presence import is_common

_FIELDS = {"rt": 1, "id": 1, "seq": 1, "t": 1}


async def holders(
    reading: Reading, keys: Collection[str], most: int
) -> dict[str, tuple[Held, ...] | None]:
    """See :meth:`server.store.port.Store.holders`."""
    hashes = {key: key_hash(key) for key in keys if not is_common(key)}
    told: dict[str, tuple[Held, ...] | None] = dict.fromkeys(keys)
    found = await _together(reading, set(hashes.values()), most)
    if found is None:
        alone = await asyncio.gather(*(_together(reading, {h}, most) for h in hashes.values()))
        found = {h: held for some in alone if some is not None for h, held in some.items()}
    for key, hashed in hashes.items():
        if hashed in found and len(found[hashed]) <= most:
            told[key] = tuple(found[hashed])
    return told


async def _together(reading: Reading, hashes: set[int], most: int) -> dict[int, list[Held]] | None:
    """Return by key who has it, ``None`` when those of one may have left no room for another's."""
    if not hashes:
        return {}
    limit = len(hashes) * (most + 1)
    asked = reading.db.resources.find(
        {"t": {"$in": list(hashes)}}, _FIELDS, limit=limit, max_time_ms=READ_MS
    )
    documents = await asked.to_list()
    if len(documents) == limit:
        return None
    found: dict[int, list[Held]] = {hashed: [] for hashed in hashes}
    for one in documents:
        for hashed in hashes.intersection(one["t"]):
            found[hashed].append(Held(one["rt"], one["id"], one["seq"]))
    return found
