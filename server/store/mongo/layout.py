"""How the record lies in MongoDB: the documents of each collection.  Pure.

``resources``: one document for each resource, its latest version with all index rows::

    _id   "Observation/x"      rt "Observation"      id "x"
    v     number of the latest version               seq  its sequence number
    lu    its meta.lastUpdated, microseconds         op   its method
    del   whether it is a deletion; a deleted one has none of the index fields below
    born  seq of the first version: ties of every order end with it
    first its lastUpdated; the clinical date of what states none
    m     [hash] compartments and marks, as kept with the version (access, never search)
    c, b  codec and bytes of the body, or where its file is (``bodies.py``)
    fp    hash of the fingerprint of the definitions that made the index fields

    d     clinical date, microseconds; of what states none ``first``
    t     [hash] index keys, signed, with the type and the compartments, without those of ``k``
    k     [hash] keys of presence and other common keys (``server.store.presence``): no index
    s     [{p, v}] folded strings; p is the hash of the parameter everywhere
    dt    [{p, lo, hi}] dates        q  [{p, u, lo, hi}] numbers, u is the hash of the unit
    n     [hash] names by which references mean it: ``Type/id`` first, then canonical addresses
    r     [{p, n}] references: n is the hash of the target, to be found in ``n`` of another
    pt    [{p, la, lo}] points in degrees
    wn, wc  words of the narrative, and of everything: blank, words, blank; absent without words
    w     [text] the distinct words of ``wc``

An empty list is left out.  Hashes are signed 64-bit integers.  Indexes: ``migrations.py``.

``versions``: one document for each version, inserted and never changed, in the order of ``_id``::

    _id seq    r "Observation/x"    rt, id, v, at, op, m, c, b as above    sum  32 bytes (SHA-256)

``texts``: {_id: hash of the rest, p, v, h}: texts of which there are few, ``h`` a key of ``t``.
``records``, ``outbox``: ``records.py``.  ``dictionaries {_id: codec, rt, body}``: ``bodies.py``.
``state``: ``commit`` the counters (``commit.py``), ``schema`` (``migrations.py``), ``swept``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from struct import pack
from typing import Any, Literal

from server.search.rows import IndexRows, hash64, key_hash
from server.store.port import Version
from server.store.presence import presences
from server.store.stored import stored_keys

Document = dict[str, Any]

VERSION_FIELDS: Mapping[str, int] = {
    "rt": 1, "id": 1, "v": 1, "seq": 1, "lu": 1, "op": 1, "m": 1, "c": 1, "b": 1,
}  # fmt: skip
"""The projection of a document of ``resources`` of which a version is made."""

UNSURE = 0
"""``fp`` of rows that may have been made by definitions that are not those of now any more."""

INDEXED = ("d", "t", "k", "s", "dt", "q", "n", "r", "pt", "wn", "wc", "w")
"""The fields that follow from the index rows."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A body as it is kept: the codec, and bytes or where a file is (``None``: a deletion)."""

    codec: int
    kept: Any


@dataclass(frozen=True, slots=True)
class Birth:
    """``seq`` and ``meta.lastUpdated`` of the first version of a resource."""

    seq: int
    at: int


def field_of(key: str) -> Literal["t", "k"]:
    """Return the field that holds a key text: ``k`` has no index, ``t`` has one.

    >>> field_of("Patient|gender|?"), field_of("Patient|gender|c|male"), field_of("#Patient|x|?")
    ('k', 't', 't')
    """
    type_, bar, _ = key.partition("|")
    if not bar or not type_[:1].isupper():
        return "t"
    return "k" if key_hash(key) in presences(type_) else "t"


def name_of(type_: str, id_: str) -> int:
    """Return the hash under which references name a resource."""
    return hash64(f"{type_}/{id_}")


def resource_document(
    version: Version, birth: Birth, marks: Collection[int], stored: Stored, indexed: Document
) -> Document:
    """Return the document of ``resources``; ``indexed`` is of :func:`index_fields`, or empty."""
    return {
        "_id": f"{version.type}/{version.id}",
        "rt": version.type,
        "id": version.id,
        "v": version.number,
        "seq": version.seq,
        "lu": version.at,
        "op": version.method,
        "del": version.body is None,
        "born": birth.seq,
        "first": birth.at,
        "m": sorted(marks),
        "c": stored.codec,
        "b": stored.kept,
        **indexed,
    }


def version_document(version: Version, marks: Collection[int], stored: Stored) -> Document:
    """Return the document of ``versions``."""
    return {
        "_id": version.seq,
        "r": f"{version.type}/{version.id}",
        "rt": version.type,
        "id": version.id,
        "v": version.number,
        "at": version.at,
        "op": version.method,
        "m": sorted(marks),
        "c": stored.codec,
        "b": stored.kept,
        "sum": checksum(version, marks),
    }


def index_fields(
    rows: IndexRows, type_: str, id_: str, marks: Collection[int], birth: Birth, *, words: bool
) -> Document:
    """Return the fields of :data:`INDEXED` for a live resource, in a stable order.

    ``words``: whether its words are indexed as well.
    """
    keys = stored_keys(type_, rows, frozenset(marks))
    common = keys & presences(type_)
    made: Document = {
        "d": birth.at if rows.date is None else rows.date,
        "t": sorted(keys - common),
        "k": sorted(common),
        "s": [{"p": p, "v": v} for p, v in sorted(rows.strings)],
        "dt": [{"p": p, "lo": lo, "hi": hi} for p, lo, hi in sorted(rows.dates)],
        "q": [
            {"p": p, "u": u, "lo": float(lo), "hi": float(hi)}
            for p, lo, hi, u in sorted(rows.numbers)
        ],
        "n": [name_of(type_, id_), *sorted(rows.names)],
        "r": [{"p": p, "n": target} for p, target in sorted(rows.references)],
        "pt": [{"p": p, "la": la, "lo": lo} for p, la, lo in sorted(rows.points)],
    }
    if words and rows.content:
        made["wn"], made["wc"] = f" {rows.narrative} ", f" {rows.content} "
        made["w"] = sorted(set(rows.content.split()))
    return {name: value for name, value in made.items() if value != []}


def text_documents(rows: IndexRows) -> list[Document]:
    """Return the documents of ``texts`` that the rows need."""
    return [
        {"_id": hash64(f"{p}|{h}|{text}"), "p": p, "v": text, "h": h} for p, text, h in rows.texts
    ]


def version_of(document: Mapping[str, Any], body: bytes | None) -> Version:
    """Return the version of a document of ``resources`` or of ``versions``."""
    of_resource = "lu" in document
    return Version(
        document["rt"],
        document["id"],
        document["v"],
        int(document["seq" if of_resource else "_id"]),
        int(document["lu" if of_resource else "at"]),
        document["op"],
        body,
    )


def checksum(version: Version, marks: Collection[int]) -> bytes:
    """Return the SHA-256 over everything that a version's document says."""
    line = (
        f"{version.type}/{version.id}/{version.number}/{version.seq}/{version.at}"
        f"/{version.method}/{version.body is not None}\n"
    )
    packed = pack(f"<{len(marks)}q", *sorted(marks))
    return sha256(line.encode() + packed + (version.body or b"")).digest()


def fingerprint_hash(fingerprint: str) -> int:
    """Return ``fp`` of what these definitions indexed; never 0, which is of nobody's."""
    return hash64(f"fingerprint|{fingerprint}")
