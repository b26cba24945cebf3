"""Everything in the file that can be checked against something else, checked.

Checksums against bodies, version chains against themselves, resources against their latest
version, index rows against rows made anew, postings against what each resource remembers.
The reads are short, so that writers and their log go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import apsw
import zstandard

from server.fhir.errors import FhirError
from server.store.codec import Codec
from server.store.port import CorruptStore, Index
from server.store.sqlite import rows
from server.store.sqlite.bags import Bags
from server.store.sqlite.functions import name_of
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.reindex import filed
from server.store.sqlite.rows import KEPT
from server.store.sqlite.sight import version_of
from server.store.sqlite.versions import checksum

_RESOURCES = 200  # resources read in one transaction
_MAX_FAULTS = 1000

_RES = (
    f"select r.rid, r.id, r.number, r.vid, r.at, r.deleted, r.born, r.fp, v.vid is not null, {KEPT}"
    " from res r left join ver v on v.vid=r.vid where r.rid>? order by r.rid limit ?"
)
_NAMED = "select count(*) from name where h=? and rid=?"
_CHAIN = (
    f"select {COLUMNS}, v.sha256, v.type from ver v cross join res r on r.rid=v.rid"
    " where v.rid=? order by v.number"
)


@dataclass(frozen=True, slots=True)
class _Made:
    """How rows are made anew, for resources that the definitions ``fp`` have indexed."""

    index: Index
    fp: int
    bags: Bags
    words: bool


def verify(
    db: apsw.Connection, codec: Codec, index: Index, fp: int, *, words: bool = True
) -> list[str]:
    """Return one line per fault, ``[]`` if the file is sound; stops after 1,000 faults."""
    faults: list[str] = []
    made = _Made(index, fp, Bags(db), words)
    try:
        for fault in _faults(db, codec, made):
            faults.append(fault)
            if len(faults) >= _MAX_FAULTS:
                return [*faults, f"stopped after {_MAX_FAULTS} faults"]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        faults.append(f"file: {error}; restore a backup")
    return faults


def _faults(db: apsw.Connection, codec: Codec, made: _Made) -> Iterator[str]:
    for (line,) in db.execute("pragma quick_check(100)").fetchall():
        if line != "ok":
            yield f"file: {line}"
    after: Any = 0
    while True:
        # Faults are listed before they are handed on, so that no transaction waits for the reader.
        with db:
            resources = db.execute(_RES, (after, _RESOURCES)).fetchall()
            found = [f for res in resources for f in _resource(db, codec, made, res)]
        yield from found
        if not resources:
            break
        after = resources[-1][0]
    yield from _whole(db)


def _whole(db: apsw.Connection) -> Iterator[str]:
    """Check what no single resource tells: rows that belong to nothing, and the order of time."""
    with db:
        postings = db.execute("select count(*) from tok").get
        remembered = db.execute("select sum(postings) from res").get or 0
        orphans = {
            table: db.execute(
                f"select count(*) from {table} where rid not in"
                " (select rid from res where deleted=0)"
            ).get
            for table in ("str", "dat", "num", "edge", "alias", "point")
        }
        orphans["words"] = db.execute(
            "select count(*) from words_docsize"
            " where id not in (select rid from res where words<>0)"
        ).get
        names = (
            "select count(*) from name n where not exists(select 1 from res r where r.rid=n.rid)"
        )
        orphans["name"] = db.execute(names).get
        lost = db.execute("select count(*) from ver where rid not in (select rid from res)").get
        back = db.execute(
            "select count(*) from (select at, lag(at) over (order by vid) as before from ver)"
            " where at<before"
        ).get
    if postings != remembered:
        yield f"index: {postings} postings, {remembered} are remembered by resources"
    yield from (
        f"index: {n} rows of {t} belong to no live resource" for t, n in orphans.items() if n
    )
    if lost:
        yield f"versions: {lost} belong to no resource"
    if back:
        yield f"versions: lastUpdated goes back {back} times"


def _resource(
    db: apsw.Connection, codec: Codec, made: _Made, res: tuple[Any, ...]
) -> Iterator[str]:
    rid, id_, number, vid, at, deleted, born, made_by, latest, *row = res
    kept = rows.Kept(*row)
    name = f"{kept.type}/{id_}"
    chain = db.execute(_CHAIN, (rid,)).fetchall()
    numbers = [row[2] for row in chain]
    if numbers != list(range(1, len(chain) + 1)):
        yield f"{name}: versions {numbers} instead of 1..{len(chain)}"
    if not chain or (number, vid, at, bool(deleted)) != _latest(chain[-1]):
        yield f"{name}: does not point at its latest version"
    body: bytes | None = None
    for version in chain:
        body, fault = _body(version, codec)
        if fault:
            yield f"{name}/_history/{version[2]}: {fault}"
    if not latest:
        return  # which was told; what is kept with it cannot be compared
    filed = rows.read(db, made.bags, rid, kept)
    if deleted and filed != rows.Filed(kept.d):
        yield f"{name}: is deleted and still has index rows"
    yield from _rows(db, name, rid, filed)
    if not deleted and body is not None and made_by == made.fp:
        yield from _made_anew(made, body, (name, kept, born), filed)


def _latest(row: tuple[Any, ...]) -> tuple[int, int, int, bool]:
    return row[2], row[3], row[4], row[8] is None


def _body(row: tuple[Any, ...], codec: Codec) -> tuple[bytes | None, str | None]:
    """Return the body of a row of ``_CHAIN``, and what is wrong with it."""
    *columns, digest, type_ = row
    try:
        version = version_of(tuple(columns), codec)
    except (zstandard.ZstdError, CorruptStore) as error:
        return None, f"the body cannot be read ({error})"
    if checksum(version, columns[6]) != digest or type_ != version.type:
        return None, "the checksum does not hold"
    return version.body, None


def _rows(db: apsw.Connection, name: str, rid: int, kept: rows.Filed) -> Iterator[str]:
    """Check what the resource remembers against the tables that are not read by resource."""
    keys = list(kept.keys)
    marks = ",".join("?" * len(keys))
    found = db.execute(
        f"select count(*) from tok where h in ({marks}) and d=? and rid=?",
        (*keys, kept.d, rid),
    ).get
    if found != len(keys):
        yield f"{name}: {len(keys) - found} postings are missing"
    names = {name_of(*name.split("/", 1)), *kept.aliases}
    lost = [h for h in names if not db.execute(_NAMED, (h, rid)).get]
    if lost:
        yield f"{name}: {len(lost)} names are missing"
    if kept.words and not db.execute("select count(*) from words_docsize where id=?", (rid,)).get:
        yield f"{name}: its words are missing"


def _made_anew(
    made: _Made, body: bytes, resource: tuple[str, rows.Kept, int], kept: rows.Filed
) -> Iterator[str]:
    name, place, born = resource
    try:
        wanted = filed(made.index, body, place, born, made.bags, words=made.words)
    except FhirError as error:
        yield f"{name}: cannot be indexed ({error.diagnostics})"
        return
    lost = [row for row in wanted.texts if not made.bags.has_text(row)]
    if lost:
        yield f"{name}: {len(lost)} texts are missing"
    for column in fields(wanted):
        if column.compare and getattr(wanted, column.name) != getattr(kept, column.name):
            yield f"{name}: index rows differ from rows made anew ({column.name})"
