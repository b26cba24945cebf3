"""Which versions a caller sees, of rows that were read: by their marks, and where these do not
say, by the caller's limits (:mod:`server.store.past`)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import apsw

from server.access.context import SHARED, AccessContext, Interaction, shared_types
from server.access.narrow import decide, limit
from server.store.codec import Codec
from server.store.past import Image, Judge, by_compartment_only, by_marks
from server.store.port import Index, Version
from server.store.sqlite.counts import Counts
from server.store.sqlite.live import LiveRecord
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.rows import pack, unpack
from server.store.sqlite.sql import TRUE, Sql, any_of, is_in
from server.store.stored import compartment_hashes

_CONTENT = (
    "select codec, body from ver where rid=? and number<=? and body is not null"
    " order by number desc limit 1"
)

Row = tuple[Any, ...]


def version_of(row: Sequence[Any], codec: Codec) -> Version:
    """Return the version of a row of :data:`~server.store.sqlite.pages.COLUMNS`."""
    type_, id_, number, vid, at, method, _compartments, how, kept = row
    body = None if kept is None else codec.decode(how, kept)
    return Version(type_, id_, number, vid, at, method, body)


class Sight(Protocol):
    """What one caller sees of versions ``v`` of resources ``r``."""

    @property
    def columns(self) -> str:
        """What is to be selected of each."""

    @property
    def join(self) -> str:
        """What is to be joined to ``v`` and ``r``."""

    @property
    def perhaps(self) -> Sql:
        """A condition on ``v`` that holds for all that are open: SQL skips the others faster."""

    def seen(self, rows: Sequence[Row]) -> Iterator[Version]:
        """Return the versions that are open, in the order of the rows."""


class ByMarks:
    """The sight of a caller whom compartments limit, or nothing."""

    columns = COLUMNS
    join = ""

    def __init__(self, codec: Codec, access: AccessContext, interaction: Interaction) -> None:
        self._codec, self._access, self._interaction = codec, access, interaction

    @property
    def perhaps(self) -> Sql:
        """See :attr:`Sight.perhaps`."""
        return perhaps(self._access, self._interaction)

    def seen(self, rows: Sequence[Row]) -> Iterator[Version]:
        """See :meth:`Sight.seen`."""
        everything = self._access.unrestricted
        for row in rows:
            if everything or decide(self._access, self._interaction, row[0], unpack(row[6])):
                yield version_of(row, self._codec)


class ByLimits:
    """The sight of a caller whom content limits as well, or labels, or release.

    A row begins with the resource, its latest version, and the number, time and marks of that.
    """

    columns = f"r.rid, r.vid, w.number, w.at, w.compartments, {COLUMNS}"
    join = " cross join ver w on w.vid=r.vid"

    def __init__(
        self,
        db: apsw.Connection,
        codec: Codec,
        counts: Counts,
        judge: Callable[[LiveRecord], Judge],
        access: AccessContext,
        interaction: Interaction,
    ) -> None:
        self._db, self._codec = db, codec
        self._access, self._interaction = access, interaction
        self._live = LiveRecord(db, counts)
        self._judge = judge(self._live)
        self._last: tuple[int, Image] | None = None

    @property
    def perhaps(self) -> Sql:
        """See :attr:`Sight.perhaps`."""
        return perhaps(self._access, self._interaction)

    def seen(self, rows: Sequence[Row]) -> Iterator[Version]:
        """See :meth:`Sight.seen`."""
        told = [self._by_marks(row) for row in rows]
        asked = [row for row, open_ in zip(rows, told, strict=True) if open_ is None]
        live = self._open([row for row in asked if _is_live(row)])
        for row, said in zip(rows, told, strict=True):
            open_ = said
            if open_ is None:
                open_ = row[0] in live if _is_live(row) else self._holds(row)
            if open_:
                yield version_of(row[5:], self._codec)

    def _by_marks(self, row: Row) -> bool | None:
        _, latest, _, _, last, type_, _, _, vid, _, _, own, *_ = row
        if vid == latest:
            return decide(self._access, self._interaction, type_, unpack(own))
        return by_marks(self._access, self._interaction, type_, unpack(own), unpack(last))

    def _open(self, rows: Sequence[Row]) -> set[int]:
        """Return the resources for whose live version the limits hold; one search for a type."""
        by_type: dict[str, dict[str, int]] = {}
        for row in rows:
            by_type.setdefault(row[5], {})[row[6]] = row[0]
        found: set[int] = set()
        for type_, ids in by_type.items():
            held = self._live.open(type_, limit(type_, self._access, self._interaction), ids)
            found.update(ids[id_] for id_ in held)
        return found

    def _holds(self, row: Row) -> bool:
        rid, latest, *last, type_, _, number, vid, at, _, marks, _, _ = row
        own = self._image(rid, number, marks, at)
        if vid == latest:
            return self._judge.holds(type_, own, own)
        if self._last is None or self._last[0] != latest:
            last_number, last_at, last_marks = last
            self._last = (latest, self._image(rid, last_number, last_marks, last_at))
        return self._judge.holds(type_, own, self._last[1])

    def _image(self, rid: int, number: int, marks: bytes, at: int) -> Image:
        """Return what a version is judged by; a deletion by the content of the version before."""
        found = self._db.execute(_CONTENT, (rid, number)).fetchone()
        body = None if found is None else self._codec.decode(*found)
        return Image(frozenset(unpack(marks)), body, at)


def sight(
    db: apsw.Connection,
    codec: Codec,
    counts: Counts,
    index: Index,
    access: AccessContext,
    interaction: Interaction,
) -> Sight:
    """Return the sight of a caller; ``index`` makes rows of past versions."""
    if access.unrestricted or by_compartment_only(access):
        return ByMarks(codec, access, interaction)
    return ByLimits(
        db,
        codec,
        counts,
        lambda live: Judge(access, interaction, index, live),
        access,
        interaction,
    )


def perhaps(access: AccessContext, interaction: Interaction) -> Sql:
    """Return a condition on ``v`` that holds for every version that a permit could open.

    Marks are looked for as bytes, wherever they begin; what is found by chance is judged as well.
    """
    ways: list[Sql] = []
    for permit in access.permits:
        if interaction not in permit.interactions:
            continue
        if permit.compartment is not None:
            marks = pack(compartment_hashes((permit.compartment,)))
            ways.append(Sql("instr(v.compartments,?)", (marks,)))
        elif permit.type == "*":
            return TRUE
        else:
            shared = shared_types() if permit.type == SHARED else frozenset()
            types = permit.types | shared | {permit.type}
            # The sign keeps the order of the walk: an index by type would have to be sorted.
            ways.append(is_in("+v.type", tuple(sorted(types))))
    return any_of(list(dict.fromkeys(ways)))


def _is_live(row: Row) -> bool:
    return row[8] == row[1] and row[-1] is not None
