"""Versions in MongoDB, and the reads of them: see :mod:`server.store.port`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from server.access.context import SHARED, AccessContext, Interaction, shared_types
from server.access.narrow import decide
from server.store.mongo import sight
from server.store.mongo.layout import VERSION_FIELDS, Document, checksum
from server.store.mongo.reading import Reading
from server.store.past import by_compartment_only
from server.store.port import Digest, Version
from server.store.stored import compartment_hashes

READ_MS = 10_000  # that one read may take, in the database
_BATCH = 200


async def latest(reading: Reading, access: AccessContext, type_: str, id_: str) -> Version | None:
    """See :meth:`server.store.port.Store.read`; most reads end here."""
    found = await reading.db.resources.find_one(
        {"_id": f"{type_}/{id_}"}, VERSION_FIELDS, max_time_ms=READ_MS
    )
    if found is None:
        return None
    open_ = access.unrestricted or decide(access, "read", type_, found["m"])
    if open_ is None:
        return await numbered(reading, access, type_, id_, found["v"])
    return await reading.version(found) if open_ else None


async def numbered(
    reading: Reading, access: AccessContext, type_: str, id_: str, number: int
) -> Version | None:
    """See :meth:`server.store.port.Store.vread`."""
    if number.bit_length() > 63:
        return None
    found = await reading.db.versions.find_one(
        {"r": f"{type_}/{id_}", "v": number}, max_time_ms=READ_MS
    )
    if found is None:
        return None
    return next(iter(await _seen(reading, access, "read", (found,))), None)


async def many(
    reading: Reading, access: AccessContext, references: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Version]:
    """See :meth:`server.store.port.Store.read_many`."""
    if not references:
        return {}
    names = list({f"{type_}/{id_}" for type_, id_ in references})
    resources = reading.db.resources.find(
        {"_id": {"$in": names}, "del": False}, VERSION_FIELDS, max_time_ms=READ_MS
    )
    open_: list[Mapping[str, Any]] = []
    asked: list[int] = []
    for one in await resources.to_list():
        said = access.unrestricted or decide(access, "read", one["rt"], one["m"])
        if said:
            open_.append(one)
        elif said is None:
            asked.append(one["seq"])
    seen = await reading.versions(open_)
    if asked:
        wanted = reading.db.versions.find({"_id": {"$in": asked}}, max_time_ms=READ_MS)
        seen += await _seen(reading, access, "read", await wanted.to_list())
    found = {(one.type, one.id): one for one in seen}
    return {place: found[place] for place in references if place in found}


async def history(
    reading: Reading,
    access: AccessContext,
    place: tuple[str | None, str | None],
    bounds: tuple[int | None, int | None, int | None],
    limit: int,
    without: Collection[str] = (),
) -> list[Version]:
    """See :meth:`server.store.port.Store.history`; ``bounds`` are since, until, before."""
    type_, id_ = place
    since, until, before = bounds
    interaction: Interaction = "search" if id_ is None else "read"
    low = await _first_at(reading, since) if since is not None else None
    end = await _first_at(reading, until) if until is not None else None
    below = min((bound for bound in (before, end) if bound is not None), default=None)
    where: list[Document] = [perhaps(access, interaction)]
    if id_ is not None:
        where.append({"r": f"{type_}/{id_}"})
    elif type_ is not None:
        where.append({"rt": type_})
    if without:
        where.append({"rt": {"$nin": list(without)}})
    if low is not None:
        where.append({"_id": {"$gte": low}})
    # Of one resource the chain is in the order of the numbers, and has an index of its own.
    order = [("v", -1)] if id_ is not None else [("_id", -1)]
    seen: list[Version] = []
    while len(seen) < limit:
        upto: list[Document] = [{"_id": {"$lt": below}}] if below is not None else []
        size = min(limit - len(seen), _BATCH)
        rows = await _find(reading, [*where, *upto], order, size)
        seen += await _seen(reading, access, interaction, rows)
        if len(rows) < size:
            break
        below = rows[-1]["_id"]
    return seen


async def changes(
    reading: Reading,
    access: AccessContext,
    after: int,
    limit: int,
    type_: str | None,
    without: Collection[str] = (),
) -> list[Version]:
    """See :meth:`server.store.port.Store.changes`.

    Commits are serial, so that a smaller number is never seen after a greater one.
    """
    where: list[Document] = [perhaps(access, "search")]
    if type_ is not None:
        where.append({"rt": type_})
    if without:
        where.append({"rt": {"$nin": list(without)}})
    seen: list[Version] = []
    while len(seen) < limit:
        size = min(limit - len(seen), _BATCH)
        rows = await _find(reading, [*where, {"_id": {"$gt": after}}], [("_id", 1)], size)
        seen += await _seen(reading, access, "search", rows)
        if len(rows) < size:
            break
        after = rows[-1]["_id"]
    return seen


async def digests(
    reading: Reading, type_: str, after: int, limit: int, *, anew: bool
) -> list[Digest]:
    """See :meth:`server.store.port.Store.digests`."""
    if limit <= 0:
        return []
    fields = None if anew else {"id": 1, "sum": 1}
    found = await (
        reading.db.versions.find({"rt": type_, "_id": {"$gt": after}}, fields, max_time_ms=READ_MS)
        .sort("_id")
        .limit(limit)
        .to_list()
    )
    if not anew:
        return [Digest(int(one["_id"]), one["id"], bytes(one["sum"])) for one in found]
    made = await reading.versions(found)
    return [
        Digest(version.seq, version.id, checksum(version, one["m"]))
        for version, one in zip(made, found, strict=True)
    ]


def perhaps(access: AccessContext, interaction: Interaction) -> Document:
    """Return a condition on versions that holds for every one that a permit could open."""
    if access.unrestricted:
        return {}
    ways: list[Document] = []
    for permit in access.permits:
        if interaction not in permit.interactions:
            continue
        if permit.compartment is not None:
            ways.append({"m": {"$in": list(compartment_hashes((permit.compartment,)))}})
        elif permit.type == "*":
            return {}
        else:
            shared = shared_types() if permit.type == SHARED else frozenset()
            ways.append({"rt": {"$in": sorted(permit.types | shared | {permit.type})}})
    return {"$or": ways} if ways else {"_id": {"$lt": 0}}


async def _seen(
    reading: Reading,
    access: AccessContext,
    interaction: Interaction,
    documents: Sequence[Mapping[str, Any]],
) -> list[Version]:
    if access.unrestricted:
        return await reading.versions(documents)
    if by_compartment_only(access):
        return await reading.versions(
            [one for one in documents if decide(access, interaction, one["rt"], one["m"])]
        )
    return await sight.seen(reading, access, interaction, documents)


async def _find(
    reading: Reading, where: Sequence[Document], order: list[tuple[str, int]], limit: int
) -> list[Document]:
    found = reading.db.versions.find({"$and": list(where)}, max_time_ms=READ_MS)
    return list(await found.sort(order).limit(limit).to_list())


async def _first_at(reading: Reading, at: int) -> int:
    """Return the smallest ``seq`` whose ``at`` is not before ``at``; one behind the last if none.

    ``at`` never goes back along ``seq`` (S10).
    """
    at = max(min(at, 2**63 - 1), -(2**63))
    found = await reading.db.versions.find_one(
        {"at": {"$gte": at}}, {"_id": 1}, sort=[("at", 1), ("_id", 1)], max_time_ms=READ_MS
    )
    return int(found["_id"]) if found is not None else 2**62
