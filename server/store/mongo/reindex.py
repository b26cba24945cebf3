"""Making index fields anew while the store runs."""

import logging
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne

from server.fhir import json as fhir_json
from server.search.rows import IndexRows
from server.store.mongo.commit import Definitions
from server.store.mongo.layout import INDEXED, Birth, Document, index_fields, text_documents
from server.store.mongo.reading import Reading
from server.store.mongo.texts import Texts
from server.store.port import Index
from server.store.stored import compartment_hashes, given

log = logging.getLogger("tellonce")

_AT_ONCE = 100  # resources read and written together


@dataclass(slots=True)
class Progress:
    """How many were left when that was last counted."""

    left: int | None = None


async def batch(
    reading: Reading, texts: Texts, made_by: Definitions, at: Progress, limit: int
) -> int:
    """Make the fields of at most ``limit`` resources anew; return how many are left.

    What cannot be read or indexed keeps its fields, and counts as done.
    """
    if at.left is None:
        at.left = await reading.db.resources.count_documents(_stale(made_by.fp))
    done = 0
    while at.left and done < limit:
        size = min(_AT_ONCE, limit - done)
        found = await reading.db.resources.find(_stale(made_by.fp)).limit(size).to_list()
        changes = [await _change(reading, texts, made_by, one) for one in found]
        if changes:
            await reading.db.resources.bulk_write(changes, ordered=False)
        done += len(found)
        # Updates make fields anew as well, so an empty batch, not the count, is the end.
        at.left = max(at.left - len(found), 1) if len(found) == size else 0
    return at.left


def fields_of(
    index: Index, body: bytes, document: Document, *, words: bool
) -> tuple[IndexRows, Document]:
    """Return what a stored body is to be found by, by the definitions of ``index``."""
    made, compartments = index(fhir_json.loads(body))
    marks = compartment_hashes(compartments)
    marks |= given(document["rt"], frozenset(document["m"]))
    birth = Birth(int(document["born"]), int(document["first"]))
    place = document["rt"], document["id"]
    return made, index_fields(made, *place, marks, birth, words=words)


async def _change(
    reading: Reading, texts: Texts, made_by: Definitions, document: Document
) -> UpdateOne:
    name = document["_id"]
    fields: Document = {"fp": made_by.fp}
    gone: Document = {}
    try:
        body = await reading.bodies.decode(document["rt"], document["c"], document["b"])
        assert body is not None, "what is live has a body"
        rows, made = fields_of(reading.index, body, document, words=made_by.words)
    except Exception as error:  # one resource must not keep all others from being found
        log.error("a %s cannot be indexed anew: %s", document["rt"], type(error).__name__)
    else:
        await texts.keep(text_documents(rows))
        fields |= made
        gone = {field: "" for field in INDEXED if field in document and field not in made}
    # Only of the version that was read: a later one has been indexed with its commit.
    place: dict[str, Any] = {"_id": name, "seq": document["seq"]}
    return UpdateOne(place, {"$set": fields, **({"$unset": gone} if gone else {})})


def _stale(fp: int) -> Document:
    # What is deleted has no such field, and so none of these.
    return {"$or": [{"fp": {"$lt": fp}}, {"fp": {"$gt": fp}}]}
