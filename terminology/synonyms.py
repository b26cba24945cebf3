"""Codes of which concept maps say that they mean the same.  R4 conceptmap.html.  Pure."""

from collections.abc import Iterable

from terminology.concept_map import Coded, ConceptMap, Correspondence, Group

MAX_KNOWN = 20_000  # codes whose synonyms are kept

SAME = frozenset(("equal", "equivalent"))
"""The equivalences that say that two codes mean the same."""


class Synonyms:
    """The codes of which maps say that they mean the same.  What was asked is kept."""

    def __init__(self, maps: Iterable[ConceptMap]) -> None:
        self._sources: dict[str, list[Group]] = {}
        self._targets: dict[str, list[Group]] = {}
        self._known: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
        for map_ in maps:
            for group in map_.groups:
                self._sources.setdefault(group.source, []).append(group)
                self._targets.setdefault(group.target, []).append(group)

    def of(self, code: tuple[str, str]) -> frozenset[tuple[str, str]]:
        """Return the codes, each with its system, that mean the same, in either direction.

        One step from code to code, never a chain of them.  What depends on something else, comes
        with a product, or is denied by another map, is left out: a synonym that is none makes a
        wrong answer.
        """
        known = self._known.get(code)
        if known is None:
            known = self._found(*code) if code[0] else frozenset()
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[code] = known
        return known

    def _found(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        same: set[tuple[str, str]] = set()
        other: set[tuple[str, str]] = set()
        for group in self._sources.get(system, ()):
            for mapping in group.forward.get(code, ()):
                _sort(mapping, mapping.to, same, other)
        for group in self._targets.get(system, ()):
            for mapping in group.backward.get(code, ()):
                _sort(mapping, mapping.from_, same, other)
        return frozenset(same - other - {(system, code)})


def _sort(
    mapping: Correspondence,
    found: Coded | None,
    same: set[tuple[str, str]],
    other: set[tuple[str, str]],
) -> None:
    if found is None:
        return
    plain = not mapping.depends_on and not mapping.products
    is_same = plain and mapping.equivalence in SAME
    (same if is_same else other).add((found.system, found.code))
