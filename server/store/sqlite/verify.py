"""Everything in the file that can be checked against something else, checked.

Checksums against bodies, version chains against themselves, resources against their latest
version, index rows against rows made anew, postings against what each resource remembers.
The reads are short, so that writers and their log go on.
"""

from collections.abc import Iterator
from typing import Any

import apsw
import zstandard

from server.fhir.errors import FhirError
from server.store.port import CorruptStore, Index
from server.store.sqlite import rows
from server.store.sqlite.codec import Codec
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.reindex import filed
from server.store.sqlite.versions import checksum, version_of

_RESOURCES = 200  # resources read in one transaction
_MAX_FAULTS = 1000

_RES = (
    "select rid, type, id, number, vid, at, deleted, born, d, fp from res"
    " where rid>? order by rid limit ?"
)
_CHAIN = (
    f"select {COLUMNS}, v.sha256, v.type from ver v cross join res r on r.rid=v.rid"
    " where v.rid=? order by v.number"
)


def verify(db: apsw.Connection, codec: Codec, index: Index, fp: int) -> list[str]:
    """Return one line per fault, ``[]`` if the file is sound; stops after 1,000 faults."""
    faults: list[str] = []
    try:
        for fault in _faults(db, codec, index, fp):
            faults.append(fault)
            if len(faults) >= _MAX_FAULTS:
                return [*faults, f"stopped after {_MAX_FAULTS} faults"]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        faults.append(f"file: {error}; restore a backup")
    return faults


def _faults(db: apsw.Connection, codec: Codec, index: Index, fp: int) -> Iterator[str]:
    for (line,) in db.execute("pragma quick_check(100)").fetchall():
        if line != "ok":
            yield f"file: {line}"
    after: Any = 0
    while True:
        # Faults are listed before they are handed on, so that no transaction waits for the reader.
        with db:
            resources = db.execute(_RES, (after, _RESOURCES)).fetchall()
            found = [f for res in resources for f in _resource(db, codec, index, fp, res)]
        yield from found
        if not resources:
            break
        after = resources[-1][0]
    yield from _whole(db)


def _whole(db: apsw.Connection) -> Iterator[str]:
    """Check what no single resource tells: rows that belong to nothing, and the order of time."""
    with db:
        postings = db.execute("select count(*) from tok").get
        remembered = db.execute("select sum(length(hashes))/8 from keys").get or 0
        orphans = {
            table: db.execute(
                f"select count(*) from {table} where rid not in"
                " (select rid from res where deleted=0)"
            ).get
            for table in ("keys", "str", "dat", "num")
        }
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
    db: apsw.Connection, codec: Codec, index: Index, fp: int, res: tuple[Any, ...]
) -> Iterator[str]:
    rid, type_, id_, number, vid, at, deleted, born, d, made_by = res
    name = f"{type_}/{id_}"
    chain = db.execute(_CHAIN, (rid,)).fetchall()
    numbers = [row[2] for row in chain]
    if numbers != list(range(1, len(chain) + 1)):
        yield f"{name}: versions {numbers} instead of 1..{len(chain)}"
    if not chain or (number, vid, at, bool(deleted)) != _latest(chain[-1]):
        yield f"{name}: does not point at its latest version"
    body: bytes | None = None
    for row in chain:
        body, fault = _body(row, codec)
        if fault:
            yield f"{name}/_history/{row[2]}: {fault}"
    kept = rows.read(db, rid, d)
    if deleted and (kept.keys or kept.strings or kept.dates or kept.numbers):
        yield f"{name}: is deleted and still has index rows"
    if not deleted and body is not None:
        yield from _rows(db, name, rid, kept)
        if made_by == fp:
            yield from _made_anew(index, body, (name, type_, born), kept)


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
    keys = list(kept.keys)
    marks = ",".join("?" * len(keys))
    found = db.execute(
        f"select count(*) from tok where h in ({marks}) and d=? and rid=?",
        (*keys, kept.d, rid),
    ).get
    if found != len(keys):
        yield f"{name}: {len(keys) - found} postings are missing"


def _made_anew(
    index: Index, body: bytes, resource: tuple[str, str, int], kept: rows.Filed
) -> Iterator[str]:
    name, type_, born = resource
    try:
        wanted = filed(index, body, type_, born)
    except FhirError as error:
        yield f"{name}: cannot be indexed ({error.diagnostics})"
        return
    for what in ("d", "keys", "strings", "dates", "numbers"):
        if getattr(wanted, what) != getattr(kept, what):
            yield f"{name}: index rows differ from rows made anew ({what})"
