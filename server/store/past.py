"""Which past versions a caller may see, the same for every store.  Pure.

The latest version is open when its marks say so (:func:`server.access.narrow.decide`) or, where
they do not say, when the caller's limits hold for the live resource.  A past version is judged by
what it was: its own compartments, labels, release and content.  But the past must not tell what is
kept back now, so

1. the labels and the release of the latest version bind the versions before it, and
2. the latest version must be open too, seen as if it were in the compartments of the past one:
   a move to another compartment does not take away what was seen before.

A deletion has the content of the version before it.  What is not known is hidden.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from server.access.context import AccessContext, Interaction
from server.access.narrow import decide, limit
from server.fhir import json as fhir_json
from server.search.match import Candidate, Moment, matches
from server.search.query import EVERYTHING, Query
from server.search.rows import (
    ANY_TYPE,
    RELEASE,
    RELEASE_MARK,
    IndexRows,
    compartment_key,
    hash64,
    label_mark,
    param_hash,
)
from server.store.port import Index
from server.store.stored import compartment_hashes, type_key

log = logging.getLogger("tellonce")


def by_compartment_only(access: AccessContext) -> bool:
    """Tell whether nothing but compartments limits the caller: own marks then say everything."""
    return all(
        p.where == EVERYTHING and not p.hidden and p.released is None for p in access.permits
    )


def binding(access: AccessContext) -> frozenset[int]:
    """Return those marks of a latest version that bind the versions before it."""
    labels = {label for permit in access.permits for label in permit.hidden}
    return frozenset({_mark(label_mark(label)) for label in labels} | {_mark(RELEASE_MARK)})


def by_marks(
    access: AccessContext,
    interaction: Interaction,
    type_: str,
    own: Collection[int],
    last: Collection[int],
) -> bool | None:
    """Tell what the marks of a past version and of the latest say.

    ``None``: they do not, :meth:`Judge.holds` does.
    """
    was, now, bound = frozenset(own), frozenset(last), binding(access)
    then = decide(access, interaction, type_, was | (now & bound))
    if then is False:
        return False
    still = decide(access, interaction, type_, now | (was - bound))
    if still is False:
        return False
    return True if then and still else None


@dataclass(frozen=True, slots=True)
class Image:
    """What a version is judged by: the hashed marks kept with it, its content and its time.

    ``body``: of a deletion that of the version before it; ``None`` when there is none.
    """

    marks: frozenset[int]
    body: bytes | None
    at: int


class Judge:
    """What one caller may see of the past.

    Args:
        index: makes the index rows of a body anew.
        moment: the live resources that hops inside of limits lead to.
    """

    def __init__(
        self, access: AccessContext, interaction: Interaction, index: Index, moment: Moment
    ) -> None:
        self._access, self._interaction = access, interaction
        self._index, self._moment = index, moment
        self._binding = binding(access)
        self._queries: dict[str, Query] = {}
        self._last: tuple[Image, Candidate | None] | None = None

    def holds(self, type_: str, own: Image, last: Image) -> bool:
        """Tell whether the caller's limits hold for a version whose latest one is ``last``."""
        if (now := self._latest(type_, last)) is None:
            return False
        if own == last:
            return self._matches(type_, now)
        if (was := self._candidate(type_, own)) is None:
            return False
        return self._matches(type_, self._bound(type_, was, now)) and self._matches(
            type_, _added(now, own.marks - self._binding)
        )

    def _latest(self, type_: str, last: Image) -> Candidate | None:
        # A history asks for one latest version many times in a row.
        if self._last is None or self._last[0] != last:
            self._last = (last, self._candidate(type_, last))
        return self._last[1]

    def _matches(self, type_: str, one: Candidate) -> bool:
        query = self._queries.get(type_)
        if query is None:
            query = Query((type_,), limit(type_, self._access, self._interaction))
            self._queries[type_] = query
        return matches(query, one.resource, one.rows, updated=one.updated, world=self._moment)

    def _bound(self, type_: str, was: Candidate, now: Candidate) -> Candidate:
        """Return the past version with the labels and the release of the latest."""
        place = param_hash(ANY_TYPE, RELEASE)
        release = tuple(row for row in now.rows.dates if row[0] == place)
        rows = replace(was.rows, dates=was.rows.dates + release)
        return _added(replace(was, rows=rows), now.rows.keys & self._binding)

    def _candidate(self, type_: str, image: Image) -> Candidate | None:
        if image.body is None:
            return None
        try:
            resource = fhir_json.loads(image.body)
            made, compartments = self._index(resource)
        except Exception as error:  # what cannot be judged, whatever the reason, is hidden
            log.error("a past %s cannot be indexed: %s", type_, type(error).__name__)
            return None
        return Candidate(resource, _marked(made, type_, compartments, image.marks), image.at)


def _marked(
    made: IndexRows, type_: str, compartments: tuple[str, ...], marks: frozenset[int]
) -> IndexRows:
    """Return the rows with the marks that were kept, not those that would be made now."""
    keys = (made.keys - compartment_hashes(compartments)) | marks | {type_key(type_)}
    return replace(made, keys=keys)


@lru_cache(maxsize=4096)
def _mark(mark: str) -> int:
    return hash64(compartment_key(mark))


def _added(one: Candidate, keys: frozenset[int]) -> Candidate:
    return replace(one, rows=replace(one.rows, keys=one.rows.keys | keys))
