"""What a code of one system is in another, by concept maps.  R4 conceptmap.html.

Pure: nothing is looked up elsewhere.  The maps that ``unmapped`` of ``other-map`` leads to are
handed in, and a chain of them that comes back to itself ends there and says so.

An equivalence is read from target to source, as R4 has it: ``wider`` says that the target means
more than the source.  Asked in reverse the two change places, and so does the word.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from server.fhir.errors import TooCostly
from terminology.concept_map import Beside, Coded, ConceptMap, Correspondence, Group, Unmapped

MAX_CHAIN = 10  # maps that send a code on to another one
MAX_MATCHES = 1_000  # of one code

NO_MATCH = frozenset(("unmatched", "disjoint"))
"""The equivalences that say that a code is none of the other system's."""

_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One answer: what the code is, how close that is, and the map that says so."""

    equivalence: str
    concept: Coded | None
    products: tuple[Beside, ...]
    source: str

    @property
    def counts(self) -> bool:
        """Whether it is a match at all, or says that there is none."""
        return self.concept is not None and self.equivalence not in NO_MATCH


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked.

    ``system`` of the wanted codes, any by default.  ``dependencies``: elements and their codes that
    the caller knows; a mapping that depends on another one is left out.  ``reverse``: from the
    targets of maps to their sources.
    """

    system: str | None = None
    dependencies: Mapping[str, tuple[Coded, ...]] = field(default_factory=dict)
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Translation:
    """All matches, each once, and what there is to say about them."""

    matches: tuple[Match, ...]
    messages: tuple[str, ...]

    @property
    def result(self) -> bool:
        """Whether one of the matches is one."""
        return any(match.counts for match in self.matches)


Find = Callable[[str], ConceptMap | None]


def _nowhere(_: str) -> ConceptMap | None:
    return None


def translate(
    maps: Iterable[ConceptMap],
    concept: Coded,
    wanted: Wanted | None = None,
    *,
    find: Find = _nowhere,
) -> Translation:
    """Return what ``concept`` is by ``maps``, in their order.

    A concept without system is asked of every group.  ``find`` gives the maps that these lead to.

    Raises:
        TooCostly: there are more than :data:`MAX_MATCHES`.
    """
    asked = _Asked(concept, wanted or Wanted(), find)
    for one in maps:
        asked.of_map(one, ())
    return Translation(tuple(asked.matches), tuple(asked.messages))


class _Asked:
    """One translation under way."""

    def __init__(self, concept: Coded, wanted: Wanted, find: Find) -> None:
        self._concept = concept
        self._wanted = wanted
        self._find = find
        self.matches: dict[Match, None] = {}
        self.messages: dict[str, None] = {}

    def of_map(self, map_: ConceptMap, path: tuple[str, ...]) -> None:
        if map_.canonical in path:
            shown = " -> ".join((*path, map_.canonical))[:500]
            self.messages[f"concept maps lead back to themselves: {shown}"] = None
            return
        if len(path) >= MAX_CHAIN:
            told = f"more than {MAX_CHAIN} concept maps lead to each other in a row"
            self.messages[told] = None
            return
        for group in map_.groups:
            if self._is_meant(group):
                self._of_group(map_, group, (*path, map_.canonical))

    def _is_meant(self, group: Group) -> bool:
        given, wanted = group.source, group.target
        version = group.source_version
        if self._wanted.reverse:
            given, wanted, version = wanted, given, group.target_version
        if self._concept.system and given != self._concept.system:
            return False
        if self._concept.version and version and version != self._concept.version:
            return False
        onward = not self._wanted.reverse and group.unmapped and group.unmapped.url
        return self._wanted.system in (None, wanted) or bool(onward)

    def _of_group(self, map_: ConceptMap, group: Group, path: tuple[str, ...]) -> None:
        reverse = self._wanted.reverse
        found = (group.backward if reverse else group.forward).get(self._concept.code)
        if found is None:
            if not reverse and group.unmapped is not None:
                self._of_unmapped(map_, group, group.unmapped, path)
            return
        for mapping in found:
            if not self._depends(map_, mapping):
                equivalence = mapping.equivalence
                if reverse:
                    equivalence = _REVERSED.get(equivalence, equivalence)
                concept = mapping.from_ if reverse else mapping.to
                self._add(Match(equivalence, concept, mapping.products, map_.canonical))

    def _of_unmapped(
        self, map_: ConceptMap, group: Group, unmapped: Unmapped, path: tuple[str, ...]
    ) -> None:
        """Nobody compared the code with what it becomes: that they are related is all there is."""
        if unmapped.mode == "provided":
            code, version = self._concept.code, group.target_version
            same = Coded(group.target, code, self._concept.display, version)
            self._add(Match("relatedto", same, (), map_.canonical))
        elif unmapped.mode == "fixed" and unmapped.fixed is not None:
            self._add(Match("relatedto", unmapped.fixed, (), map_.canonical))
        elif unmapped.mode == "other-map" and unmapped.url:
            other = self._find(unmapped.url)
            if other is None:
                told = f"the concept map {unmapped.url[:300]} that codes are sent on to is not here"
                self.messages[told] = None
            else:
                self.of_map(other, path)

    def _depends(self, map_: ConceptMap, mapping: Correspondence) -> bool:
        """Return whether it depends on something that is not so, or not known."""
        for needed in mapping.depends_on:
            given = self._wanted.dependencies.get(needed.element, ())
            if not any(_is(needed.value, one) for one in given):
                self.messages[
                    f"{map_.canonical[:300]} has a match that depends on {needed.element[:200]}"
                ] = None
                return True
        return False

    def _add(self, match: Match) -> None:
        wanted = self._wanted.system
        if wanted is not None and match.concept is not None and match.concept.system != wanted:
            return
        self.matches[match] = None
        if len(self.matches) > MAX_MATCHES:
            raise TooCostly(f"the code has more than {MAX_MATCHES:,} matches")


def _is(needed: Coded, given: Coded) -> bool:
    if needed.system and given.system and needed.system != given.system:
        return False
    return needed.code in (given.code, given.display)
