"""Observation -> statements: its value, and that of each component.  R4 observation.html."""

from collections.abc import Iterator
from typing import Any, Final

from server.continuity.statement import About, Says, Standing, Statement
from server.continuity.statements.read import (
    Reading,
    Resource,
    codes,
    is_unknown,
    moment,
    origins,
    source,
)

_FINAL: Final = frozenset(("final", "amended", "corrected"))
_OPEN: Final = frozenset(("preliminary",))


def statements(resource: Resource, version: int, reading: Reading) -> Iterator[Statement]:
    """Yield what is observed; one with a focus is about that (C5)."""
    period = resource.get("effectivePeriod", {})
    said_at, until = moment(
        resource.get("effectiveDateTime"),
        resource.get("effectiveInstant"),
        period.get("end") or period.get("start"),
    )
    about: About = "other" if resource.get("focus") else reading.about(resource.get("subject"))
    for part, path in _parts(resource):
        value = {k: v for k, v in part.items() if k.startswith("value") and k[5:6].isupper()}
        asked = codes(part.get("code"))
        topic = reading.policy.of_codes(asked)
        told = codes(value.get("valueCodeableConcept"))
        said: Says = "unknown" if not value or any(map(is_unknown, told)) else "present"
        yield Statement(
            topic=topic.name if topic is not None else "",
            codes=asked,
            value=value or None,
            says=said,
            said_at=said_at,
            author=reading.author(*resource.get("performer", ())),
            source=source(resource, version, path),
            encounter=reading.local(resource.get("encounter")),
            element="Observation.value",
            about=about,
            standing=_standing(resource),
            said_until=until,
            origins=origins(resource, reading),
            note=_note(resource),
        )


def _note(resource: Resource) -> str:
    if resource.get("bodySite"):
        return "It was measured at one place of the body."
    return "It was estimated." if codes(resource.get("method")) & _ESTIMATED else ""


_ESTIMATED: Final = frozenset((("http://snomed.info/sct", "414135002"),))


def _parts(resource: Resource) -> Iterator[tuple[dict[str, Any], str]]:
    yield resource, ""
    for index, component in enumerate(resource.get("component", ())):
        yield component, f"Observation.component[{index}]"


def _standing(resource: Resource) -> Standing:
    status = resource.get("status")
    if status in _FINAL:
        return "current"
    return "unsure" if status in _OPEN else "withdrawn"
