"""How many rows a driver has: bounded counts, remembered for a while where they are large.

A remembered count can be old.  That costs speed, never correctness: every list that is not known
to have rows is counted in the search's own transaction.
"""

import time

import apsw

from server.store.sqlite.plan import FEW, MOST, Driver

_REMEMBER_S = 60.0
_MAX_REMEMBERED = 50_000


class Counts:
    """Counts for one connection; not for two threads at once."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._large: dict[int, tuple[int, int, float]] = {}

    def count(self, driver: Driver, limit: int) -> tuple[int, tuple[int, ...]]:
        """Return the rows of a driver, at most ``limit``, and its lists that are not empty."""
        if driver.rows is not None:
            text = f"select count(*) from ({driver.rows.text} limit ?)"
            return self._db.execute(text, (*driver.rows.values, limit)).get, ()
        total, keys = 0, []
        for key in driver.keys:
            # Beyond the limit only emptiness counts, so that every list with rows is walked.
            size = self._list(key, limit if total < limit else 1)
            if size:
                keys.append(key)
            total += size
        return min(total, limit), tuple(keys)

    def count_now(self, driver: Driver, limit: int) -> tuple[int, tuple[int, ...]]:
        """Count without remembering, for the writer: its rows change under it."""
        self._large.clear()
        return self.count(driver, limit)

    def _list(self, key: int, limit: int) -> int:
        size, counted_to, until = self._large.get(key, (0, 0, 0.0))
        if limit <= max(counted_to, size) and until > time.monotonic():
            return min(size, limit)
        text = "select count(*) from (select 1 from tok where h=? limit ?)"
        size = int(self._db.execute(text, (key, limit)).get)
        if size > FEW:
            if len(self._large) >= _MAX_REMEMBERED:
                self._large.clear()
            exact = size < limit
            counted_to = MOST if exact else limit
            self._large[key] = (size, counted_to, time.monotonic() + _REMEMBER_S)
        return size
