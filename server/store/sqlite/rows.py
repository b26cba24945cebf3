"""The index rows of resources in the file: what they are, and as they are read back.

A resource's postings carry its clinical date ``d``; when that moves, all of them move.  Otherwise
an update touches only the rows that differ: ``res.keys`` remembers what a resource is filed under.
Keys that follow from other rows (type, compartments, references, presence) are not kept there.
"""

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import apsw

from server.search.rows import IndexRows
from server.store.presence import presences
from server.store.sqlite.bags import Bags, content_hash
from server.store.stored import stored_keys, type_key

COMPARTMENTS, _REFERENCES, _TYPE = 1, 2, 4  # flags of res.keys: these follow from other rows
ALL_DERIVED = COMPARTMENTS | _REFERENCES | _TYPE


@dataclass(frozen=True, slots=True)
class Filed:
    """Everything a resource is filed under, as it stands in the tables.

    ``keys``: posting hashes, that of the bag ``shape`` for all keys of presence.  ``strings`` (p,
    v), ``dates`` (p, lo, hi), ``points`` (p, lat, lon): p numbers a parameter.  ``numbers`` (bag,
    lo, hi), ``edges`` (bag, dst).  ``aliases``: names beside Type/id.  ``words``: their checksum.
    ``texts`` and ``spoken`` are only there when they were made, not when they were read.
    """

    d: int
    keys: frozenset[int] = frozenset()
    shape: int = 0
    strings: frozenset[tuple[int, str]] = frozenset()
    dates: frozenset[tuple[int, int, int]] = frozenset()
    numbers: frozenset[tuple[int, float, float]] = frozenset()
    edges: frozenset[tuple[int, int]] = frozenset()
    aliases: frozenset[int] = frozenset()
    points: frozenset[tuple[int, float, float]] = frozenset()
    words: int = 0
    texts: tuple[tuple[int, str, int], ...] = field(default=(), compare=False)
    spoken: tuple[str, str] = field(default=("", ""), compare=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a resource's own row that tells what it is filed under."""

    type: str
    d: int
    shape: int
    words: int
    keys: bytes
    compartments: bytes  # of the latest version


KEPT = "r.type, r.d, r.shape, r.words, r.keys, v.compartments"
_OWN = {
    "edge": "s, dst, null",
    "str": "p, v, null",
    "dat": "p, lo, hi",
    "num": "s, lo, hi",
    "point": "p, lat, lon",
    "alias": "h, null, null",
}
# One statement: each call of SQLite lets the other threads run, and waits for its turn again.
_OF_ROW = " union all ".join(
    f"select {n}, {columns} from {table} where rid=?1"
    for n, (table, columns) in enumerate(_OWN.items())
)


def filed(
    made: IndexRows,
    type_: str,
    compartments: Collection[int],
    born: int,
    bags: Bags,
    *,
    words: bool = True,
) -> Filed:
    """Return what a resource first stored at ``born`` is to be filed under.

    ``words``: whether its words are indexed as well.
    """
    keys = stored_keys(type_, made, frozenset(compartments))
    present = keys & presences(type_)
    shape = 0
    if present:
        shape = bags.bag(present)
        keys = (keys - present) | {content_hash(present)}
    number = bags.number
    return Filed(
        born if made.date is None else made.date,
        keys,
        shape,
        frozenset([(number(p), v) for p, v in made.strings]),
        frozenset([(number(p), lo, hi) for p, lo, hi in made.dates]),
        _bagged(bags, [((lo, hi), p ^ u) for p, lo, hi, u in made.numbers]),
        _bagged(bags, [((dst,), p) for p, dst in made.references]),
        frozenset(made.names),
        frozenset([(number(p), lat, lon) for p, lat, lon in made.points]),
        _checksum(made) if words else 0,
        tuple([(number(p), v, h) for p, v, h in made.texts]),
        (made.narrative, made.content),
    )


def pack(hashes: Collection[int]) -> bytes:
    """Return hashes as bytes: sorted, 8 each, little endian.

    >>> unpack(pack({3, -1}))
    (-1, 3)
    """
    return struct.pack(f"<{len(hashes)}q", *sorted(hashes))


def unpack(packed: bytes) -> tuple[int, ...]:
    """Return the hashes that :func:`pack` packed."""
    return struct.unpack(f"<{len(packed) // 8}q", packed)


def remembered(new: Filed, type_: str, compartments: Collection[int], bags: Bags) -> bytes:
    """Return ``res.keys`` of a resource of which ``compartments`` are kept with its version."""
    rest = set(new.keys)
    flags = 0
    for flag, derived in (
        (COMPARTMENTS, set(compartments)),
        (_REFERENCES, _references(new.edges, bags)),
        (_TYPE, {type_key(type_)}),
    ):
        if derived <= new.keys:
            flags |= flag
            rest -= derived
    if new.shape:
        rest.discard(bags.key(new.shape))
    return bags.pack(flags, rest)


def read(db: apsw.Connection, bags: Bags, rid: int, kept: Kept) -> Filed:
    """Return what the resource is filed under, as remembered in ``res`` and in its own rows."""
    found: tuple[list[tuple[Any, ...]], ...] = tuple([] for _ in _OWN)
    for table, *row in db.execute(_OF_ROW, (rid,)):
        found[table].append(tuple(row))
    edges, strings, dates, numbers, points, aliases = found
    pairs = frozenset([(bag, dst) for bag, dst, _ in edges])
    return Filed(
        kept.d,
        _keys(kept, pairs, bags),
        kept.shape,
        frozenset([(p, v) for p, v, _ in strings]),
        frozenset(dates),
        frozenset(numbers),
        pairs,
        frozenset([h for h, _, _ in aliases]),
        frozenset(points),
        kept.words,
    )


def _keys(kept: Kept, edges: frozenset[tuple[int, int]], bags: Bags) -> frozenset[int]:
    flags, listed = bags.unpack(kept.keys)
    keys = set(listed)
    if flags & COMPARTMENTS:
        keys.update(unpack(kept.compartments))
    if flags & _REFERENCES:
        keys |= _references(edges, bags)
    if kept.shape:
        keys.add(content_hash(bags.members(kept.shape)))
    if flags & _TYPE:
        keys.add(type_key(kept.type))
    return frozenset(keys)


def _references(edges: Iterable[tuple[int, int]], bags: Bags) -> set[int]:
    return {param ^ dst for bag, dst in edges for param in bags.members(bag)}


def _bagged(bags: Bags, members: Sequence[tuple[tuple[Any, ...], int]]) -> frozenset[Any]:
    """Return a row for each different value: its bag of members, and the value."""
    if not members:
        return frozenset()
    by_value: dict[tuple[Any, ...], frozenset[int]] = {}
    for value, member in members:
        one, had = frozenset((member,)), by_value.get(value)
        by_value[value] = one if had is None else had | one
    return frozenset([(bags.bag(found), *value) for value, found in by_value.items()])


def _checksum(made: IndexRows) -> int:
    if not made.narrative and not made.content:
        return 0
    spoken = f"{made.narrative}\0{made.content}".encode("utf-8", "surrogatepass")
    return crc32(spoken) or 1
