"""Concept maps, compiled once into an index: which codes of one system are which of another.

R4 conceptmap.html.  Pure.  :mod:`.translation` asks them, :mod:`.synonyms` those that say that two
codes mean the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.fhir.errors import TooCostly

MAX_TARGETS = 250_000  # codes mapped by one map; more take too much memory for one answer


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
