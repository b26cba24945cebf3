"""Which answers of a response only say again what the record says.

An answer that was filled in beforehand names its sources (the extension ``known`` of its item); it
is *confirmed* when somebody says so (``confirmed``, or Da Vinci DTR's ``information-origin`` is not
``auto``) and it still says what the source says.  One that nobody touched is *carried*: nothing is
made of it, and nobody said it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from server.access.context import AccessContext
from server.continuity.extract.items import Answer, Given, part, value_of
from server.continuity.known import Candidate
from server.continuity.same import answer_value, same_value, says
from server.fhir import json as fhir_json
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search import extract
from server.store.port import Version

KNOWN: Final = "https://tellonce.org/fhir/StructureDefinition/known"
ORIGIN: Final = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
_TOUCHED: Final = ("override", "manual")

Standing = Literal["new", "changed", "carried", "confirmed"]


@dataclass(frozen=True, slots=True)
class Prior:
    """How an answer stands to the record.

    ``sources``: the versions that say it, as references.  ``marked``: the response itself says that
    it was filled in; else it was found to be what the record has.
    """

    standing: Standing = "new"
    sources: tuple[str, ...] = ()
    marked: bool = False

    @property
    def left(self) -> bool:
        """Whether nothing is to be made of the answer."""
        return self.standing in ("carried", "confirmed")


NEW: Final = Prior()


async def priors(
    services: Services,
    access: AccessContext,
    patient: str | None,
    items: Iterable[Given],
    known: Mapping[str, Sequence[Candidate]],
) -> dict[str, Prior]:
    """Return how each answer stands to the record, by its path.

    ``patient`` is ``Patient/x``; ``known``: what the record has now for each linkId, as the caller
    may see it.  Sources that the caller may not see, or of another patient, are none.
    """
    every = [(one, answer) for item in items for one in item.walk() for answer in one.answers]
    named = {text for item, answer in every for text in _sources(item, answer)}
    there = await _versions(services, access, patient, named)
    return {
        answer.path: _prior(item, answer, known.get(item.item.link_id, ()), there)
        for item, answer in every
    }


def _prior(
    item: Given,
    answer: Answer,
    known: Sequence[Candidate],
    there: Mapping[str, dict[str, Any]],
) -> Prior:
    value = answer_value(answer.raw)
    marks = _sources(item, answer)
    sources = [text for text in marks if text in there]
    equal = [one for one in known if same_value(answer_value(one.value), value)]
    if not marks:
        found = tuple(dict.fromkeys(s.reference for one in equal for s in one.sources))
        return Prior("confirmed", found) if found else NEW
    if not sources:
        return NEW
    found = _saying(sources, value, equal, there, untouched=_origin(answer) != "override")
    if known and not equal:
        found = ()
    if not found:
        return Prior("changed", tuple(sources), marked=True)
    said_again = _confirmed(item, answer) or _origin(answer) in _TOUCHED
    return Prior("confirmed" if said_again else "carried", found, marked=True)


def _saying(
    sources: Sequence[str],
    value: Any,
    equal: Sequence[Candidate],
    there: Mapping[str, dict[str, Any]],
    *,
    untouched: bool,
) -> tuple[str, ...]:
    """Return the sources that say the value."""
    by_candidate = {f"{s.type}/{s.id}" for one in equal for s in one.sources}
    if by_candidate:
        return tuple(text for text in sources if text.partition("/_history/")[0] in by_candidate)
    if isinstance(value, bool):  # no element says "yes": only who asked knows what was filled in
        return tuple(sources) if untouched else ()
    return tuple(text for text in sources if says(there[text], value))


def _sources(item: Given, answer: Answer) -> list[str]:
    """Return the versioned references that the extension ``known`` names."""
    found = []
    for holder in (item.raw, answer.raw):
        for one in holder.get("extension") or ():
            if one.get("url") != KNOWN:
                continue
            for inner in one.get("extension") or ():
                named = value_of(inner) if inner.get("url") == "source" else None
                text = named.get("reference") if isinstance(named, dict) else None
                if isinstance(text, str) and "/_history/" in text:
                    found.append(text)
    return list(dict.fromkeys(found))


def _confirmed(item: Given, answer: Answer) -> bool:
    return any(
        part(one, "confirmed") is True
        for holder in (item.raw, answer.raw)
        for one in holder.get("extension") or ()
        if one.get("url") == KNOWN
    )


def _origin(answer: Answer) -> str | None:
    for one in answer.raw.get("extension") or ():
        if one.get("url") == ORIGIN:
            said = part(one, "source")
            return said if isinstance(said, str) else None
    return None


async def _versions(
    services: Services, access: AccessContext, patient: str | None, named: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return those versions of the patient that are there for the caller."""
    found: dict[str, dict[str, Any]] = {}
    for text in sorted(named):
        one = split_reference(text, services.base_url)
        if one.type is None or one.id is None or not (one.version or "").isdigit():
            continue
        version = await services.store.vread(access, one.type, one.id, int(one.version or 0))
        if version is not None and _is_of(services, version, patient):
            found[text] = fhir_json.loads(version.body or b"{}")
    return found


def _is_of(services: Services, version: Version, patient: str | None) -> bool:
    if version.body is None:
        return False
    resource = fhir_json.glance(version.body)
    within = extract.compartments(resource, services.base_url, catalog=services.catalog)
    return patient is not None and (patient in within or f"{version.type}/{version.id}" == patient)
