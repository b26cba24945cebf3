"""A copy of the file while the server runs: SQLite's online backup of one moment."""

import os
from pathlib import Path

import apsw

from server.fhir.errors import StoreUnavailable
from server.store.sqlite.connect import READER_CACHE_KIB, connect, unavailable

_STEP_PAGES = 500  # copied between two chances of other threads to run


def backup(source: Path, target: Path) -> None:
    """Write the copy beside ``target`` and give it its name when it is complete and on the disk.

    A file at ``target`` is replaced; the record's own file is refused, and so is the place of one
    whose log is still there: SQLite would play the foreign log into the copy.
    """
    if target.exists() and target.samefile(source):
        raise StoreUnavailable("a backup cannot replace the data it is a copy of")
    wal = target.with_name(target.name + "-wal")
    if wal.exists():
        raise StoreUnavailable(f"{wal.name} is there: {target.name} is in use, or was not closed")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        _copy(source, partial)
        partial.replace(target)
        _sync_folder(target.parent)
    except apsw.Error as error:
        raise unavailable(error) from error
    except OSError as error:
        raise StoreUnavailable(f"the backup failed: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, partial: Path) -> None:
    # Made with the rights of its owner only, before SQLite writes patients into it.
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    there = connect(source, cache_kib=READER_CACHE_KIB, readonly=True)
    here = apsw.Connection(str(partial))
    try:
        # An open transaction pins the moment: writers go on, the copy does not start anew.
        there.execute("begin")
        there.execute("select count(*) from sqlite_schema").fetchall()
        with here.backup("main", there, "main") as copy:
            while not copy.done:
                copy.step(_STEP_PAGES)
        there.execute("commit")
    finally:
        here.close()
        there.close()
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
