"""Connections to the data file, and the refusal of files that are not ours or cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from server.fhir.errors import FhirError, StoreUnavailable
from server.store.port import CorruptStore
from server.store.sqlite.migrations import STEPS, check_version, migrate

APPLICATION_ID = 0x54454C4C  # "TELL"
OLDEST_SQLITE = (3, 51, 3)  # 3.7.0 to 3.51.2 can lose a committed WAL: "WAL-reset bug"
PAGE_SIZE_BYTES = 4096  # a commit logs whole pages; 8192 wrote 1.5 times the bytes
CACHE_KIB = 64 * 1024
POINT_CACHE_KIB = 64 * 1024  # where most searches run: holds the lists of the common codes
READER_CACHE_KIB = 24 * 1024
BUSY_MS = 5000
STATEMENTS = 400  # prepared statements kept per connection

_HEADER = b"SQLite format 3\0"


def prepare(path: Path) -> None:
    """Make or upgrade the file at ``path``; the caller has the lock.

    Raises:
        CorruptStore: it is not a file of this server, or it is damaged.
        NewerSchema: a newer server wrote it.
        StoreUnavailable: it cannot be opened or written.
    """
    with explained(path):
        _check_header(path)
        path.touch(mode=0o600)  # its log and its index take the same mode: owner only
        db = connect(path, create=True)
        try:
            _check_owner(db, path)
            migrate(db)
        finally:
            db.close()


def check(path: Path) -> bool:
    """Tell whether the file is up to date, for use beside the server that owns it."""
    with explained(path):
        _check_header(path)
        db = connect(path)
        try:
            _check_owner(db, path)
            return check_version(db) == len(STEPS)
        finally:
            db.close()


def connect(
    path: Path, *, create: bool = False, cache_kib: int = CACHE_KIB, readonly: bool = False
) -> apsw.Connection:
    """Open a connection with this store's settings.  ``readonly``: writing is refused by SQLite."""
    _check_library()
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    db = apsw.Connection(str(path), flags=flags, statementcachesize=STATEMENTS)
    db.set_busy_timeout(BUSY_MS)
    # Built with STAT4, SQLite compiles a statement anew whenever a value that is compared to an
    # indexed column changes, that is always; our statements say their join order themselves.
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    if create:
        db.pragma("page_size", PAGE_SIZE_BYTES)
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "full")
    db.pragma("cache_size", -cache_kib)
    db.pragma("temp_store", "memory")
    db.pragma("wal_autocheckpoint", 0)
    # What is damaged must not spread.  Reading spreads nothing, and it is 40 % of reading a page.
    db.pragma("cell_size_check", "off" if readonly else "on")
    # A file that was tampered with must not be able to run functions through its schema.
    db.pragma("trusted_schema", "off")
    if readonly:
        db.pragma("query_only", "on")
    return db


def unavailable(error: apsw.Error) -> FhirError:
    """Return what a client is told when SQLite could not do it: nothing was acknowledged."""
    what = {
        apsw.FullError: "the disk is full",
        apsw.IOError: "the disk failed",
        apsw.ReadOnlyError: "the data cannot be written",
        apsw.BusyError: "the data is locked by another program",
        apsw.CorruptError: "the data is damaged, run the verify command",
        apsw.NotADBError: "the data is damaged, run the verify command",
    }.get(type(error), "the data cannot be reached")
    return StoreUnavailable(what, retry_after_s=5)


def _check_library() -> None:
    have = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if have < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnavailable(f"SQLite {apsw.sqlite_lib_version()} can lose data, use {wanted}")


def _check_header(path: Path) -> None:
    """Look before SQLite does: opening would already write beside a foreign file."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise CorruptStore(f"{path.name} is not an SQLite file: it is damaged, or not ours")


def _check_owner(db: apsw.Connection, path: Path) -> None:
    owner = db.pragma("application_id")
    empty = db.execute("select count(*) from sqlite_schema").get == 0
    if owner == 0 and empty:
        db.pragma("application_id", APPLICATION_ID)
    elif owner != APPLICATION_ID:
        raise CorruptStore(f"{path.name} belongs to another program (application_id {owner})")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors at opening into what an operator can act on."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise CorruptStore(f"{path.name} is damaged ({error}): restore a backup") from error
    except apsw.Error as error:
        raise StoreUnavailable(f"{path.name} cannot be opened: {error}") from error
