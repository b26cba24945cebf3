"""Dictionaries are learnt beside the commits.

One takes 30 ms and more of a processor, and a feed brings several types to that point together.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from server.store.codec import train


class Training:
    """Learns dictionaries in a thread of its own.  Used by the writer's thread only."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._learnt: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

    @property
    def busy(self) -> bool:
        """True while something is being learnt."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def done(self) -> bool:
        """True when there is something to take."""
        return not self._learnt.empty()

    def begin(self, type_: str, bodies: Sequence[bytes]) -> None:
        """Learn the dictionary of a type from its bodies; nothing, without a thread to spare."""
        thread = threading.Thread(
            target=self._learn, args=(type_, bodies), name="store-training", daemon=True
        )
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def take(self) -> list[tuple[str, bytes]]:
        """Return what was learnt since: types and their dictionaries."""
        made: list[tuple[str, bytes]] = []
        with suppress(Empty):
            while True:
                made.append(self._learnt.get_nowait())
        return made

    def _learn(self, type_: str, bodies: Sequence[bytes]) -> None:
        words = train([*bodies])
        if words is not None:
            self._learnt.put((type_, words))
