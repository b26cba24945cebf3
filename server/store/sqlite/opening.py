"""The file opened: the lock and its schema first, then connections that search."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from server.fhir import json as fhir_json
from server.fhir.errors import StoreUnavailable
from server.search import sorting
from server.search.catalog import Catalog
from server.search.query import SortKey
from server.store.codec import Codec
from server.store.port import CorruptStore, Scalar
from server.store.sqlite import functions
from server.store.sqlite.bags import Bags
from server.store.sqlite.connect import check, connect, prepare
from server.store.sqlite.counts import Counts, Large
from server.store.sqlite.lock import FileLock
from server.store.sqlite.readers import Reader
from server.store.sqlite.settled import Settled


def open_file(path: Path, lock: FileLock, *, beside: bool) -> None:
    """Take the lock and bring the file up to date; beside a server, check that it is.

    Raises:
        CorruptStore, NewerSchema, StoreUnavailable: see :class:`.store.SqliteStore`.
    """
    try:
        lock.acquire(briefly=beside)
    except StoreUnavailable:
        if not beside:
            raise
        if not check(path):
            raise StoreUnavailable("the data is being upgraded, try again") from None
        return
    try:
        prepare(path)
    except BaseException:
        lock.release()
        raise
    if beside:
        lock.release()


def open_reader(
    path: Path, cache_kib: int, counted: tuple[Large, Settled], catalog: Callable[[], Catalog]
) -> Reader:
    """Return a connection that searches, with what all connections know of counts."""
    db = connect(path, cache_kib=cache_kib, readonly=True)
    codec = codec_of(db)

    def sort_value(*given: Any) -> Scalar:
        how, kept, at, param, kind, descending = given
        # Only codes and addresses are read: the literal form of numbers does not matter.
        resource = fhir_json.glance(codec.decode(how, kept))
        key = SortKey(param, kind, bool(descending))
        return sorting.sort_value(resource, key, at, catalog=catalog())

    db.create_scalar_function("sort_value", sort_value, 6, deterministic=True)
    functions.register(db)
    functions.register_keys(db, Bags(db))
    return Reader(db, codec, Counts(db, *counted))


def codec_of(db: apsw.Connection) -> Codec:
    """Return a codec of the connection's own, with the dictionaries that the file has."""

    def load(number: int) -> bytes:
        words = db.execute("select body from dict where codec=?", (number,)).get
        if words is None:
            raise CorruptStore(f"dictionary {number} is missing")
        return bytes(words)

    codec = Codec(load)
    known: list[tuple[Any, ...]] = db.execute(
        "select type, codec from dict order by codec"
    ).fetchall()
    for type_, number in known:
        codec.use(type_, number)
    return codec
