"""Concept maps: what a code of one system is in another.  R4 conceptmap.html.

Pure: a ConceptMap is compiled once into an index, then asked; nothing is looked up elsewhere.  The
maps that ``unmapped`` of ``other-map`` leads to are handed in, and a chain of them that comes back
to itself ends there and says so.

An equivalence is read from target to source, as R4 has it: ``wider`` says that the target means
more than the source.  Asked in reverse the two change places, and so does the word.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.fhir.errors import TooCostly

MAX_TARGETS = 250_000  # codes mapped by one map; more take too much memory for one answer
MAX_CHAIN = 10  # maps that send a code on to another one
MAX_MATCHES = 1_000  # of one code
MAX_KNOWN = 20_000  # codes whose synonyms are kept

SAME = frozenset(("equal", "equivalent"))
"""The equivalences that say that two codes mean the same."""

NO_MATCH = frozenset(("unmatched", "disjoint"))
"""The equivalences that say that a code is none of the other system's."""

_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Coded:
    """A code, and what is said of it; ``version`` of its system, if stated."""

    system: str
    code: str
    display: str | None = None
    version: str | None = None

    def to_fhir(self) -> dict[str, Any]:
        """Return it as a Coding."""
        said = (
            ("system", self.system),
            ("version", self.version),
            ("code", self.code),
            ("display", self.display),
        )
        return {name: value for name, value in said if value}


@dataclass(frozen=True, slots=True)
class Beside:
    """A ``dependsOn`` or ``product``: an element, and the code or text that it has."""

    element: str
    value: Coded


@dataclass(frozen=True, slots=True)
class Correspondence:
    """One target of one element.  ``to`` is ``None`` where nothing fits."""

    from_: Coded
    to: Coded | None
    equivalence: str
    depends_on: tuple[Beside, ...] = ()
    products: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """What becomes of codes that a group does not have: ``provided``, ``fixed``, ``other-map``."""

    mode: str
    fixed: Coded | None = None
    url: str | None = None


@dataclass(slots=True)
class Group:
    """The mappings from one code system to another, found by either code."""

    source: str
    source_version: str | None
    target: str
    target_version: str | None
    unmapped: Unmapped | None
    forward: dict[str, list[Correspondence]] = field(default_factory=dict)
    backward: dict[str, list[Correspondence]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConceptMap:
    """A compiled map; ``canonical`` is ``url|version``, ``url``, or ``ConceptMap/id``."""

    url: str
    canonical: str
    status: str
    source: str | None
    target: str | None
    groups: tuple[Group, ...]

    @property
    def leads_to(self) -> frozenset[str]:
        """The canonical URLs of the maps that it sends codes on to."""
        found = (group.unmapped.url for group in self.groups if group.unmapped)
        return frozenset(url for url in found if url)


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


def compiled(resource: Mapping[str, Any]) -> ConceptMap:
    """Return a valid ConceptMap as an index.

    Raises:
        TooCostly: it maps more codes than :data:`MAX_TARGETS`.
    """
    url, version, id_ = (resource.get(name, "") for name in ("url", "version", "id"))
    canonical = f"{url}|{version}" if url and version else url or f"ConceptMap/{id_}"
    count = 0
    groups = []
    for raw in resource.get("group", ()):
        made = _group(raw)
        groups.append(made)
        count += sum(len(found) for found in made.forward.values())
        if count > MAX_TARGETS:
            raise TooCostly(f"{canonical[:300]} maps more than {MAX_TARGETS:,} codes")
    return ConceptMap(
        url,
        canonical,
        resource.get("status", ""),
        resource.get("sourceUri") or resource.get("sourceCanonical"),
        resource.get("targetUri") or resource.get("targetCanonical"),
        tuple(groups),
    )


def _group(raw: Mapping[str, Any]) -> Group:
    made = Group(
        raw.get("source", ""),
        raw.get("sourceVersion"),
        raw.get("target", ""),
        raw.get("targetVersion"),
        _unmapped(raw.get("unmapped"), raw),
    )
    for element in raw.get("element", ()):
        code = element.get("code")
        if code is None:
            continue
        from_ = Coded(made.source, code, element.get("display"), made.source_version)
        listed = made.forward.setdefault(code, [])
        for target in element.get("target", ()):
            mapping = _mapping(made, from_, target)
            listed.append(mapping)
            if mapping.to is not None:
                made.backward.setdefault(mapping.to.code, []).append(mapping)
    return made


def _mapping(group: Group, from_: Coded, target: Mapping[str, Any]) -> Correspondence:
    code = target.get("code")
    to = None
    if code is not None:
        to = Coded(group.target, code, target.get("display"), group.target_version)
    return Correspondence(
        from_,
        to,
        target.get("equivalence", "relatedto"),
        _beside(target.get("dependsOn", ())),
        _beside(target.get("product", ())),
    )


def _beside(listed: Iterable[Mapping[str, Any]]) -> tuple[Beside, ...]:
    return tuple(
        Beside(
            one.get("property", ""),
            Coded(one.get("system", ""), one.get("value", ""), one.get("display")),
        )
        for one in listed
    )


def _unmapped(raw: Mapping[str, Any] | None, group: Mapping[str, Any]) -> Unmapped | None:
    if raw is None:
        return None
    fixed = None
    if raw.get("code") is not None:
        version = group.get("targetVersion")
        fixed = Coded(group.get("target", ""), raw["code"], raw.get("display"), version)
    return Unmapped(raw.get("mode", ""), fixed, raw.get("url"))


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
