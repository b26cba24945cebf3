"""Everything in the database that can be checked against something else, checked.

Checksums against bodies, version chains against themselves, resources against their latest
version, index fields against fields made anew, numbers of the feed against their count.
Each batch is read from one snapshot, so that writers go on.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import zstandard
from bson import ObjectId

from server.store.mongo.commit import Definitions
from server.store.mongo.layout import INDEXED, Document, checksum, text_documents, version_of
from server.store.mongo.reading import Reading
from server.store.mongo.reindex import fields_of
from server.store.port import CorruptStore

_RESOURCES = 200  # resources read from one snapshot
_MAX_FAULTS = 1000

_BODY: Mapping[str, tuple[type, ...]] = {
    "rt": (str,), "id": (str,), "v": (int,), "op": (str,), "m": (list,), "c": (int,),
    "b": (bytes, ObjectId, dict, type(None)),
}  # fmt: skip
_RESOURCE = {
    **_BODY,
    **dict.fromkeys(("seq", "lu", "born", "first"), (int,)),
    "del": (bool,),
}
_VERSION = {**_BODY, "r": (str,), "at": (int,), "sum": (bytes,)}


async def verify(reading: Reading, made_by: Definitions) -> list[str]:
    """Return one line per fault, ``[]`` if all is sound; stops after 1,000 faults."""
    faults: list[str] = []
    async for fault in _faults(reading, made_by):
        faults.append(fault)
        if len(faults) >= _MAX_FAULTS:
            return [*faults, f"stopped after {_MAX_FAULTS} faults"]
    return faults


async def _faults(reading: Reading, made_by: Definitions) -> AsyncIterator[str]:
    after = ""
    while True:
        async with reading.db.client.start_session(snapshot=True) as session:
            moment = replace(reading, session=session)
            resources = await _page(moment, after)
            chains = await _chains(moment, resources)
            missing = await _missing_texts(moment, resources)
        for one in resources:
            if wrong := _misshapen(one, _RESOURCE):
                yield f"{one['_id']}: {wrong}"
                continue
            for fault in await _resource(moment, made_by, one, chains[one["_id"]]):
                yield fault
            if lost := missing.get(one["_id"]):
                yield f"{one['_id']}: {lost} texts are missing"
        if not resources:
            break
        after = resources[-1]["_id"]
    async for fault in _whole(reading):
        yield fault


async def _page(moment: Reading, after: str) -> list[Document]:
    found = moment.db.resources.find({"_id": {"$gt": after}}, session=moment.session)
    return list(await found.sort("_id").limit(_RESOURCES).to_list())


async def _chains(moment: Reading, resources: Sequence[Document]) -> dict[str, list[Document]]:
    chains: dict[str, list[Document]] = {one["_id"]: [] for one in resources}
    found = moment.db.versions.find({"r": {"$in": list(chains)}}, session=moment.session)
    async for one in found.sort([("r", 1), ("v", 1)]):
        chains[one["r"]].append(one)
    return chains


async def _missing_texts(moment: Reading, resources: Sequence[Document]) -> dict[str, int]:
    """Return how many texts of each resource are not there."""
    wanted: dict[str, set[int]] = {}
    for one in resources:
        if _misshapen(one, _RESOURCE) or one["del"]:
            continue
        try:
            body = await moment.bodies.decode(one["rt"], one["c"], one["b"])
            rows, _ = fields_of(moment.index, body or b"{}", one, words=False)
        except Exception:  # noqa: S112 - what cannot be read is told of where it is checked
            continue
        keys = {*one.get("t", ()), *one.get("k", ())}
        texts = [text for text in text_documents(rows) if text["h"] in keys]
        wanted[one["_id"]] = {text["_id"] for text in texts}
    ids = list(set().union(*wanted.values()))
    found = moment.db.texts.find({"_id": {"$in": ids}}, {"_id": 1}, session=moment.session)
    there = {one["_id"] async for one in found} if ids else set()
    return {name: len(of - there) for name, of in wanted.items()}


async def _resource(
    reading: Reading, made_by: Definitions, document: Document, chain: Sequence[Document]
) -> list[str]:
    name = document["_id"]
    faults = [
        f"{name}: version {one['_id']} of the feed: {wrong}"
        for one in chain
        if (wrong := _misshapen(one, _VERSION))
    ]
    if faults:
        return faults
    numbers = [one["v"] for one in chain]
    if name != f"{document['rt']}/{document['id']}":
        faults.append(f"{name}: says that it is another")
    if numbers != list(range(1, len(chain) + 1)):
        faults.append(f"{name}: versions {numbers} instead of 1..{len(chain)}")
    if not chain or not _points_at(document, chain):
        faults.append(f"{name}: does not point at its latest version")
    body: bytes | None = None
    for one in [*chain, document]:
        before = body
        body, fault = await _body(reading, one)
        if fault:
            place = f"{name}/_history/{one['v']}" if one is not document else name
            faults.append(f"{place}: {fault}")
        elif one is document and chain and body != before:
            # It has no checksum of its own, and is what is read.
            faults.append(f"{name}: its body is not that of its latest version")
    if document["del"] and any(field in document for field in INDEXED):
        faults.append(f"{name}: is deleted and still has index fields")
    if body is not None and document.get("fp") == made_by.fp:
        faults += _made_anew(reading, made_by, body, document)
    return faults


def _misshapen(document: Document, shape: Mapping[str, tuple[type, ...]]) -> str | None:
    """Return which fields are missing or hold what they cannot hold."""
    wrong = [
        name
        for name, kinds in shape.items()
        if name not in document or not isinstance(document[name], kinds)
    ]
    return f"fields are missing or damaged ({', '.join(wrong)})" if wrong else None


def _points_at(document: Document, chain: Sequence[Document]) -> bool:
    first, last = chain[0], chain[-1]
    said = [document[field] for field in ("v", "seq", "lu", "op", "m", "born", "first", "del")]
    meant = [last["v"], last["_id"], last["at"], last["op"], last["m"], first["_id"], first["at"]]
    return said == [*meant, last["b"] is None]


async def _body(reading: Reading, document: Document) -> tuple[bytes | None, str | None]:
    """Return the body of a document, and what is wrong with it."""
    try:
        body = await reading.bodies.decode(document["rt"], document["c"], document["b"])
    except (zstandard.ZstdError, CorruptStore, TypeError, ValueError) as error:
        return None, f"the body cannot be read ({error})"
    kept = document.get("sum")
    if kept is None:
        return body, None
    own = document["r"] == f"{document['rt']}/{document['id']}"
    if not own or checksum(version_of(document, body), document["m"]) != kept:
        return None, "the checksum does not hold"
    return body, None


def _made_anew(
    reading: Reading, made_by: Definitions, body: bytes, document: Document
) -> Iterator[str]:
    name = document["_id"]
    try:
        _, wanted = fields_of(reading.index, body, document, words=made_by.words)
    except Exception as error:  # definitions are data, whatever they do is told
        yield f"{name}: cannot be indexed ({type(error).__name__})"
        return
    for field in INDEXED:
        if wanted.get(field) != document.get(field):
            yield f"{name}: index fields differ from fields made anew ({field})"


async def _whole(reading: Reading) -> AsyncIterator[str]:
    """Check what no single resource tells."""
    async with reading.db.client.start_session(snapshot=True) as session:
        last = seq = 0
        lost = back = 0
        async for one in _feed(reading, session):
            seq += 1
            at = one.get("at")
            if isinstance(at, int):  # else it is told of where its resource is checked
                back += at < last
                last = at
            if one["_id"] != seq:
                lost += one["_id"] - seq
                seq = one["_id"]
        counted = await reading.db.state.find_one({"_id": "commit"}, session=session)
        orphans = await _orphans(reading, session)
    if lost:
        yield f"versions: {lost} numbers of the feed are missing"
    if counted is None or counted.get("seq") != seq:
        yield "versions: the counter is not at the last of them"
    if back:
        yield f"versions: lastUpdated goes back {back} times"
    if orphans:
        yield f"versions: {orphans} belong to no resource"


def _feed(reading: Reading, session: Any) -> Any:
    return reading.db.versions.find({}, {"at": 1}, session=session).sort("_id")


async def _orphans(reading: Reading, session: Any) -> int:
    """Return how many versions 1 there are more than resources."""
    firsts = await reading.db.versions.count_documents({"v": 1}, session=session)
    resources = await reading.db.resources.count_documents({}, session=session)
    return max(firsts - resources, 0)
