"""HL7's own code systems (FHIR, v2, v3) and value sets of R4, as codes and displays.

Apart from ``definitions`` because it is the largest table and only terminology needs it; read
when first asked for.  Lists of other bodies (SNOMED, LOINC, DICOM, NUBC) are not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import orjson
import zstandard


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """A code system; columns are as long as ``codes`` and in its order, parents before children.

    ``parents``: index of the concept above, -1 at the top.  ``edges``: more (above, below) pairs
    where a concept has several parents.  ``abstract`` concepts are only for selecting others.
    """

    url: str
    version: str
    name: str
    content: str
    case_sensitive: bool
    hierarchy_meaning: str
    value_set: str
    codes: tuple[str, ...]
    displays: tuple[str, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    abstract: frozenset[int]
    inactive: frozenset[int]


@dataclass(frozen=True, slots=True)
class Include:
    """One ``ValueSet.compose.include`` or ``exclude``.

    ``concepts`` are (code, display), none where all of the system, a filter or other value sets
    are meant; ``withheld`` is how many are not shipped because they belong to a third party.
    """

    system: str
    version: str
    concepts: tuple[tuple[str, str], ...]
    filters: tuple[tuple[str, str, str], ...]
    value_sets: tuple[str, ...]
    withheld: int


@dataclass(frozen=True, slots=True)
class ValueSet:
    """What a value set is composed of."""

    url: str
    version: str
    name: str
    include: tuple[Include, ...]
    exclude: tuple[Include, ...]


@cache
def code_system_urls() -> frozenset[str]:
    """Return the URLs of all code systems that are known, those without concepts too."""
    return frozenset(_table()["systems"])


@cache
def value_set_urls() -> frozenset[str]:
    """Return the URLs of all value sets that R4 publishes."""
    return frozenset(_table()["value_sets"])


def code_system(url: str) -> CodeSystem | None:
    """Return a code system by URL without version."""
    return _code_system(url) if url in _table()["systems"] else None


@cache  # of known ones only: clients may ask for any
def _code_system(url: str) -> CodeSystem:
    found = _table()["systems"][url]
    codes = tuple(found.get("codes", ()))
    return CodeSystem(
        url=url,
        version=found.get("version", ""),
        name=found.get("name", ""),
        content=found["content"],
        case_sensitive=found.get("caseSensitive", True),
        hierarchy_meaning=found.get("hierarchyMeaning", "is-a"),
        value_set=found.get("valueSet", ""),
        codes=codes,
        displays=_displays(codes, found.get("displays")),
        parents=tuple(found.get("parents", [-1] * len(codes))),
        edges=tuple((above, below) for above, below in found.get("edges", ())),
        abstract=frozenset(found.get("abstract", ())),
        inactive=frozenset(found.get("inactive", ())),
    )


def value_set(url: str) -> ValueSet | None:
    """Return a value set by URL without version."""
    return _value_set(url) if url in _table()["value_sets"] else None


@cache
def _value_set(url: str) -> ValueSet:
    found = _table()["value_sets"][url]
    return ValueSet(
        url=url,
        version=found.get("version", ""),
        name=found.get("name", ""),
        include=tuple(_include(each) for each in found.get("include", ())),
        exclude=tuple(_include(each) for each in found.get("exclude", ())),
    )


def _include(found: Mapping[str, Any]) -> Include:
    codes = tuple(found.get("codes", ()))
    return Include(
        system=found.get("system", ""),
        version=found.get("version", ""),
        concepts=tuple(zip(codes, _displays(codes, found.get("displays")), strict=True)),
        filters=tuple((prop, op, value) for prop, op, value in found.get("filter", ())),
        value_sets=tuple(found.get("valueSet", ())),
        withheld=found.get("withheld", 0),
    )


def _displays(codes: tuple[str, ...], displays: list[str] | None) -> tuple[str, ...]:
    """Return a display for each code: the code itself where the table leaves it out."""
    if displays is None:
        return codes
    return tuple(display or code for code, display in zip(codes, displays, strict=True))


@cache
def _table() -> Mapping[str, Any]:
    packed = files("server.fhir").joinpath("data/codes.json.zst").read_bytes()
    return MappingProxyType(orjson.loads(zstandard.decompress(packed)))
