"""The extensions of a Questionnaire that say how it is populated.  SDC 4.0, expressions.html."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SDC: Final = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"

LAUNCH_CONTEXT: Final = f"{_SDC}launchContext"
INITIAL: Final = f"{_SDC}initialExpression"
CALCULATED: Final = f"{_SDC}calculatedExpression"
POPULATION_CONTEXT: Final = f"{_SDC}itemPopulationContext"
SOURCE_QUERIES: Final = f"{_SDC}sourceQueries"
LINK_PERIOD: Final = (f"{_SDC}observationLinkPeriod", f"{_CORE}questionnaire-observationLinkPeriod")
VARIABLE: Final = f"{_CORE}variable"
UNIT: Final = f"{_CORE}questionnaire-unit"
UNIT_OPTION: Final = f"{_CORE}questionnaire-unitOption"

FHIRPATH: Final = "text/fhirpath"
QUERY: Final = "application/x-fhir-query"


@dataclass(frozen=True, slots=True)
class Stated:
    """An Expression: ``name`` is that of the variable it makes, ``place`` where it stands."""

    language: str
    text: str
    name: str | None
    place: str


def expressions(raw: Mapping[str, Any], url: str, place: str) -> list[Stated]:
    """Return the expressions of one extension, in their order."""
    return [
        Stated(
            said.get("language", ""),
            said.get("expression", ""),
            said.get("name"),
            f"{place}.extension[{n}]",
        )
        for n, one in enumerate(raw.get("extension", ()))
        if one.get("url") == url and (said := one.get("valueExpression")) is not None
    ]


def first(raw: Mapping[str, Any], place: str, *urls: str) -> Stated | None:
    """Return the first expression of the first of several extensions that there is."""
    return next((one for url in urls for one in expressions(raw, url, place)), None)


def value(raw: Mapping[str, Any], *urls: str) -> dict[str, Any] | None:
    """Return the value of the first such extension that has one with elements."""
    return next(values(raw, *urls), None)


def values(raw: Mapping[str, Any], *urls: str) -> Iterator[dict[str, Any]]:
    """Yield the values of such extensions; a value of another type than theirs is none."""
    for one in raw.get("extension", ()):
        if one.get("url") in urls:
            found = (one[key] for key in one if key.startswith("value"))
            yield from (each for each in found if isinstance(each, dict))


def launch_contexts(raw: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the contexts that a form declares: the resource types by name, none means any."""
    made: dict[str, frozenset[str]] = {}
    for one in raw.get("extension", ()):
        if one.get("url") != LAUNCH_CONTEXT:
            continue
        inner = one.get("extension", ())
        names = [_code(part) for part in inner if part.get("url") == "name"]
        types = [_code(part) for part in inner if part.get("url") == "type"]
        for name in names:
            if name:
                made[name] = made.get(name, frozenset()) | frozenset(filter(None, types))
    return made


def _code(part: Mapping[str, Any]) -> str | None:
    coding = part.get("valueCoding", {})
    return coding.get("code") or part.get("valueId") or part.get("valueCode")
