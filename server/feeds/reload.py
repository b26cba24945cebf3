"""Changed maps take effect without a restart: read, tested, then taken as a whole, or not at all.

A file with a fault, or a case that is not as expected, keeps the maps as they were; what is wrong
is logged and kept in ``problems`` until a later change mends it.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from mappings.cases import cases
from mappings.maps import MapError, Maps, load_maps

log = logging.getLogger(__name__)

POLL_S = 2.0
_MOST_LOGGED = 20  # faults of one load; `tellonce map check` tells them all


class MapWatch:
    """Watches the folders of a site's maps.  ``problems``: why the last change was not taken."""

    def __init__(self, maps: Maps, folders: Sequence[Path], *, poll_s: float = POLL_S) -> None:
        self.problems: tuple[str, ...] = ()
        self._maps, self._folders, self._poll_s = maps, tuple(folders), poll_s
        self._seen = _state(self._folders)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "MapWatch":
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while self._folders:
            await asyncio.sleep(self._poll_s)
            await asyncio.to_thread(self.look)

    def look(self) -> bool:
        """Take the files if they changed since the last look; return whether they were taken."""
        state = _state(self._folders)
        if state == self._seen:
            return False
        self._seen = state
        try:
            made = load_maps(self._folders)
        except MapError as error:
            return self._refuse(error.problems)
        except OSError as error:  # a file went away while it was read: the next look sees more
            return self._refuse((f"{error.filename}: {error.strerror}",))
        if told := [line for case in cases(self._folders) for line in case.differences(made)]:
            return self._refuse(told)
        self.problems = self._maps.refused = ()
        if made.version != self._maps.version:
            self._maps.adopt(made)
            log.info("maps of version %s are in use", made.version)
        return True

    def _refuse(self, problems: Sequence[str]) -> bool:
        self.problems = self._maps.refused = tuple(problems)
        log.error("the changed maps are not used; %d faults:", len(problems))
        for problem in problems[:_MOST_LOGGED]:
            log.error("%s", problem)
        return False


def _state(folders: Sequence[Path]) -> frozenset[tuple[str, int, int]]:
    """Return name, time and size of every file: equal when nothing changed."""
    found: set[tuple[str, int, int]] = set()
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                stat = path.stat()
            except OSError:
                continue
            if path.is_file():
                found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)
