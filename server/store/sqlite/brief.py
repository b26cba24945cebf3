"""Searches that end soon, on the event loop's own connection.

The way to a reading thread and back costs more than most searches do: 350 us of CPU instead of
600 for a page of 20 hits.  So each is begun here, counted in steps of SQLite's machine, and only
what turns out to be long is begun again in a thread.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

import apsw

from server.store.sqlite.readers import CHECK_EVERY, Reader

T = TypeVar("T")

LOOKS = 10  # times CHECK_EVERY steps: about a millisecond, for which the other requests wait
VALUES = 500  # keys and values of a query; planning it takes some microseconds each
ROWS = 100  # of an answer; each costs some microseconds in Python as well
BODY_BYTES = 256 * 1024  # of bodies as kept; steps say nothing of how long a value is
SHORTEST_S = 0.01  # deadline that this cannot miss by anything worth mentioning


class TooLong(Exception):
    """The work is not a brief one; nothing came of it."""


def briefly(reader: Reader, work: Callable[[Reader], T]) -> T:
    """Return ``work(reader)``, run in a read transaction; raises :class:`TooLong`."""
    db = reader.db
    # SQLite counts a statement's steps on from one use to the next, so one look tells nothing.
    looks = count(1)
    db.set_progress_handler(lambda: next(looks) > LOOKS, CHECK_EVERY)
    db.row_trace = _weighing()
    try:
        reader.counts.begin()
        db.execute("begin")
        return work(reader)
    except apsw.InterruptError:
        raise TooLong from None
    finally:
        db.row_trace = None
        db.set_progress_handler(None)
        if not db.get_autocommit():
            db.execute("commit")


def _weighing() -> Callable[[apsw.Cursor, tuple[Any, ...]], tuple[Any, ...]]:
    """Return a row trace that ends the work when its rows hold too many bytes."""
    left = BODY_BYTES

    def weigh(_: apsw.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal left
        if type(row[-1]) is bytes:  # the body is the last column wherever it is read
            left -= len(row[-1])
            if left < 0:
                raise TooLong
        return row

    return weigh
