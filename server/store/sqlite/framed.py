"""Rows of resources that share most of them: what they share is looked up once for all.

AuditEvents and Provenances come by the thousand and differ in a dozen rows of fifty
(:class:`server.search.rows.Framed`).  What is written is what ``rows.py`` would write.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.search.rows import Framed, IndexRows
from server.store.presence import presences
from server.store.sqlite.bags import Bags, content_hash
from server.store.sqlite.rows import ALL_DERIVED
from server.store.stored import type_key

_MOST = 4096  # frames at hand
_SETTLED = 40  # uses behind which every key of a frame that is often met has its short number


@dataclass(slots=True, eq=False)
class Prepared:
    """A frame as this file keeps it; ``rest`` are the keys that ``res.keys`` must name."""

    frame: IndexRows
    keys: tuple[int, ...]
    shape: int
    strings: tuple[tuple[int, str], ...]
    edges: tuple[tuple[int, int], ...]
    rest: frozenset[int]
    packed: bytes = b""
    uses: int = 0


class Frames:
    """The frames that were met last; ``forget`` whenever ``bags`` does."""

    def __init__(self, bags: Bags) -> None:
        self._bags = bags
        self.forget()

    def forget(self) -> None:
        """Forget everything; needed after a change was undone."""
        self._kept: dict[tuple[int, str], Prepared] = {}
        self._by_params: dict[tuple[int, ...], int] = {}

    def of(self, frame: IndexRows, type_: str) -> Prepared:
        """Return what the file keeps of a frame."""
        place = (id(frame), type_)
        found = self._kept.get(place)
        if found is None:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            # It holds the frame, so that no other object can take its address.
            found = self._kept[place] = self._prepared(frame, type_)
        if found.uses < _SETTLED:
            found.uses += 1
            found.packed = self._bags.pack(ALL_DERIVED, found.rest)
        return found

    def edges(self, references: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the rows of ``edge`` for references: bag, target."""
        by_target: dict[int, tuple[int, ...]] = {}
        for param, target in references:
            by_target[target] = (*by_target.get(target, ()), param)
        return [(self._bag(params), target) for target, params in by_target.items()]

    def _bag(self, params: tuple[int, ...]) -> int:
        found = self._by_params.get(params)
        if found is None:
            found = self._by_params[params] = self._bags.bag(frozenset(params))
        return found

    def _prepared(self, frame: IndexRows, type_: str) -> Prepared:
        bags = self._bags
        present = frame.keys & presences(type_)
        derived = {param ^ target for param, target in frame.references} | {type_key(type_)}
        return Prepared(
            frame,
            tuple(sorted((frame.keys - present) | {content_hash(present)})),
            bags.bag(present),
            tuple((bags.number(param), text) for param, text in frame.strings),
            tuple(self.edges(frame.references)),
            frame.keys - present - derived,
        )


def is_framed(rows: IndexRows | Framed | None) -> bool:
    """Tell whether the fast way is open: only keys, strings, dates and references."""
    if not isinstance(rows, Framed):
        return False
    frame = rows.frame
    return not (frame.numbers or frame.texts or frame.names or frame.points or frame.content)
