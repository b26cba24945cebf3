"""What is live in a memory store: the latest versions, with the index rows by which they are found.

:class:`Walk` is one search's view of it, and ends at the search's deadline.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from server.fhir.errors import DeadlineExceeded
from server.search.match import Candidate, names_of
from server.store.port import Version

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Live:
    """The latest version of a resource that is not deleted, as a search sees it.

    ``date``: what it is ordered by without ``_sort``.  ``rid`` counts resources in the order of
    first storing.  ``fingerprint`` names the index that made the rows.
    """

    version: Version
    candidate: Candidate
    date: int
    rid: int
    fingerprint: str


class LiveResources:
    """Live resources by type and id, and by the names under which references mean them."""

    def __init__(self) -> None:
        self._all: dict[Place, Live] = {}
        self._named: dict[int, dict[Place, None]] = {}
        self._of_type: dict[str, dict[Place, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Live]:
        return iter(self._all.values())

    def of_types(self, types: Iterable[str]) -> Iterator[Live]:
        """Return every live resource of these types."""
        for type_ in dict.fromkeys(types):
            for place in self._of_type.get(type_, ()):
                yield self._all[place]

    def candidate(self, place: Place) -> Candidate:
        """Return a live resource; raises KeyError when it is none."""
        return self._all[place].candidate

    def named(self, target: int) -> list[Candidate]:
        """Return what a reference with that target hash names."""
        return [self._all[place].candidate for place in self._named.get(target, ())]

    def of_type(self, type_: str) -> list[Candidate]:
        """Return every live resource of the type."""
        return [self._all[place].candidate for place in self._of_type.get(type_, ())]

    def put(self, live: Live) -> None:
        """Keep a resource in place of its version before."""
        one = live.candidate
        self.remove(one.place)
        self._all[one.place] = live
        self._of_type.setdefault(one.place[0], {})[one.place] = None
        for name in names_of(one.resource, one.rows):
            self._named.setdefault(name, {})[one.place] = None

    def remove(self, place: Place) -> None:
        """Forget a resource, if it is there."""
        live = self._all.pop(place, None)
        if live is None:
            return
        del self._of_type[place[0]][place]
        for name in names_of(live.candidate.resource, live.candidate.rows):
            del self._named[name][place]
            if not self._named[name]:
                del self._named[name]

    def stale(self, fingerprint: str) -> list[Live]:
        """Return those whose rows another index made."""
        return [live for live in self if live.fingerprint != fingerprint]


class Walk:
    """A :class:`~server.search.match.World` that raises DeadlineExceeded behind its deadline.

    ``walked`` counts the resources that were looked at, ``reached`` those through chains.
    """

    def __init__(self, live: LiveResources, deadline_s: float) -> None:
        self._live = live
        self._deadline_s = deadline_s
        self._end = time.monotonic() + deadline_s
        self.walked = 0
        self.reached = 0

    def of_types(self, types: Iterable[str]) -> Iterator[Live]:
        """Return every live resource of these types."""
        for live in self._live.of_types(types):
            self._check()
            self.walked += 1
            yield live

    def named(self, target: int) -> Iterable[Candidate]:
        """Return what a reference with that target hash names."""
        return self._through(self._live.named(target))

    def of_type(self, type_: str) -> Iterable[Candidate]:
        """Return every live resource of the type."""
        return self._through(self._live.of_type(type_))

    def _through(self, found: list[Candidate]) -> Iterator[Candidate]:
        for one in found:
            self._check()
            self.reached += 1
            yield one

    def _check(self) -> None:
        if time.monotonic() >= self._end:
            raise DeadlineExceeded(
                f"the search ran longer than {self._deadline_s:g} s; its plan is to walk over all,"
                f" {self.walked} resources so far and {self.reached} others by chains"
            )
