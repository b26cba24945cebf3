"""When the log of commits is played into the file, and by whom, so that no commit waits for it.

A log that is long enough is played by a thread with a connection of its own while the writer goes
on; the thread also waits for the disk.  Only a log that is played to its end begins anew, so the
writer itself plays the little that was committed meanwhile, between two commits.
"""

import os
import threading
from pathlib import Path
from queue import SimpleQueue

import apsw

from server.store.sqlite.connect import connect

CHECKPOINT_PAGES = 8000  # 32 MiB of log; of a large file an eighth of it, as most pages come again
MAX_CHECKPOINT_PAGES = 64_000  # 250 MiB
FEW_PAGES = 1000  # that the writer plays itself: a few milliseconds
_CACHE_KIB = 1024

_kept: dict[tuple[int, int], int] = {}  # descriptors by device and inode, see _descriptor


class Checkpoints:
    """The checkpoints of one file.  Used by the writer's thread only.

    Args:
        db: the writer's connection.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._player = _Player(Path(db.filename))
        self._pages = self._grown = 0
        self._next = CHECKPOINT_PAGES
        self._played = 0
        db.set_wal_hook(self._on_wal)

    def tend(self) -> None:
        """Do between two commits what is due; may be called after each.

        Raises:
            apsw.Error: a checkpoint failed; the commits are safe in the log.
        """
        pages, grown = self._pages, self._grown
        self._grown = 0
        if grown >= pages:  # it has begun anew
            self._played, self._next = 0, self._worth
        if pages < self._next:
            return
        must = pages >= self._next * 3 // 2 or grown >= CHECKPOINT_PAGES
        if self._player.busy and not must:
            return
        try:
            self._played = self._player.result(pages)
            few = pages - self._played <= FEW_PAGES
            if must or few or not self._player.begin():
                self._play_to_the_end()
        except apsw.Error:
            self._next = pages + self._worth
            raise

    def close(self) -> None:
        """End the thread, and with it the last checkpoint that it has begun."""
        self._player.close()

    def _play_to_the_end(self) -> None:
        pages, self._played = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        # A reader can keep the log from being played, or from beginning anew.
        self._next = pages + (FEW_PAGES if self._played == pages else self._worth)

    def _on_wal(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        # A commit is never empty, so a log that is no longer than before has begun anew.
        self._grown += pages - self._pages if pages > self._pages else pages
        self._pages = pages
        return apsw.SQLITE_OK

    @property
    def _worth(self) -> int:
        """The pages of the log that are worth a checkpoint."""
        return min(
            max(int(self._db.pragma("page_count")) // 8, CHECKPOINT_PAGES), MAX_CHECKPOINT_PAGES
        )


class _Player:
    """The thread beside the writer; it and its connection are made when they are first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._log = self._played = 0
        self._error: apsw.Error | None = None

    @property
    def busy(self) -> bool:
        """True while a checkpoint runs."""
        return not self._idle.is_set()

    def begin(self) -> bool:
        """Let a checkpoint run; ``False``: the system has no thread for it now."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="store-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        self._idle.clear()
        self._asked.put(True)
        return True

    def result(self, pages: int) -> int:
        """Return how much of a log of ``pages`` is in the file; waits while a checkpoint runs.

        Raises:
            apsw.Error: the last one failed.
        """
        self._idle.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._played if pages >= self._log else 0  # else it has begun anew since

    def close(self) -> None:
        """End; may be called when it never began."""
        self._asked.put(False)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        db: apsw.Connection | None = None
        while self._asked.get():
            try:
                db = db or connect(self._path, cache_kib=_CACHE_KIB)
                self._log, self._played = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                # SQLite waits for the disk only at the end of the log, which would be the writer.
                os.fsync(_descriptor(self._path))
            except apsw.Error as error:
                self._error = error
            except OSError as error:
                self._error = apsw.IOError(os.strerror(error.errno or 0))
            except Exception as error:  # the writer waits for this thread: it must not end
                self._error = apsw.Error(type(error).__name__)
            self._idle.set()
        if db is not None:
            db.close()


def _descriptor(path: Path) -> int:
    """Return an open descriptor of the file, which is never closed.

    To close any descriptor of a file lets go of all locks that the process has on it (fcntl(2)),
    SQLite's too.
    """
    there = path.stat()
    key = there.st_dev, there.st_ino
    if key not in _kept:
        _kept[key] = os.open(path, os.O_RDONLY)
    return _kept[key]
