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
from server.continuity.citations import cited
from server.continuity.extract.items import Answer, Given, part, value_of
from server.continuity.known import Candidate
from server.continuity.same import answer_value, same_value, says
from server.fhir import json as fhir_json
from server.fhir.errors import TooCostly
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search import extract
from server.store.port import Version

KNOWN: Final = "https://tellonce.org/fhir/StructureDefinition/known"
ORIGIN: Final = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
MAX_SOURCES: Final = 5_000  # versions that one response names
_TOUCHED: Final = ("override", "manual")
_OF_MANY: Final = frozenset(
    ("Bundle", "Composition", "Coverage", "Patient", "Person", "QuestionnaireResponse")
)
"""Resources that hold many statements: without the element it is not known which is meant."""

Standing = Literal["new", "changed", "carried", "confirmed"]


@dataclass(frozen=True, slots=True)
class Prior:
    """How an answer stands to the record.

    ``sources``: the versions that say it, as :func:`.cited` names them.  ``marked``: the response
    itself says that it was filled in; else it was found to be what the record has.
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
    equal = [one for one in known if same_value(answer_value(one.value), value)]
    saying = tuple(dict.fromkeys(cited(source) for one in equal for source in one.sources))
    if not marks and _is_untouched(item, answer):
        return Prior("carried", (), marked=True)
    if not marks:
        facts = tuple(text for text in saying if not text.startswith("QuestionnaireResponse/"))
        return Prior("confirmed", facts) if facts else NEW
    if not any(text in there for text in marks):
        return NEW
    touched = _is_touched(item, answer)
    if not saying and not known:
        saying = _saying(marks, value, there, untouched=_origin(answer) != "override")
    if not saying:
        return Prior("changed", tuple(marks), marked=True)
    again = [text for text in saying if touched and _is_whole(text)]
    return Prior("confirmed" if again else "carried", tuple(again) or saying, marked=True)


def _saying(
    marks: Sequence[str], value: Any, there: Mapping[str, dict[str, Any]], *, untouched: bool
) -> tuple[str, ...]:
    """Return the versions that say the value, where the record has no answer to compare with."""
    if isinstance(value, bool):  # no element says "yes": only who asked knows what was filled in
        return tuple(text for text in marks if text in there and untouched)
    return tuple(text for text in marks if text in there and says(there[text], value))


def _is_whole(source: str) -> bool:
    """Tell whether a source is one statement, so that confirming it confirms nothing else."""
    return "#" in source or source.partition("/")[0] not in _OF_MANY


def _is_touched(item: Given, answer: Answer) -> bool:
    """Tell whether somebody said the answer, and did not only leave it as it was filled in."""
    if _confirmed(item, answer) or _origin(answer) in _TOUCHED:
        return True
    # Where nothing was filled in, what is there was typed.
    return _origin(answer) is None and _state(item, answer) not in ("known", "confirm", None)


def _is_untouched(item: Given, answer: Answer) -> bool:
    """Tell whether an answer was filled in with nothing of the record, and nobody touched it.

    A default, or what the form computed.  Where the form has defaults, another value was chosen.
    """
    if _state(item, answer) not in ("known", "confirm") or _origin(answer) != "auto":
        return False
    listed = [*(item.item.raw.get("initial") or ()), *_selected(item.item.raw)]
    value, defaults = answer_value(answer.raw), [answer_value(one) for one in listed]
    return not _confirmed(item, answer) and (
        not defaults or any(same_value(value, one) for one in defaults)
    )


def _selected(item: Mapping[str, Any]) -> list[Any]:
    return [one for one in item.get("answerOption") or () if one.get("initialSelected") is True]


def _state(item: Given, answer: Answer) -> str | None:
    """Return what was known of the item when it was filled in."""
    for holder in (answer.raw, item.raw):
        for one in holder.get("extension") or ():
            if one.get("url") == KNOWN:
                said = part(one, "state")
                return said if isinstance(said, str) else None
    return None


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
    """Return those versions of the patient that are there for the caller.

    Raises:
        TooCostly: the response names more than :data:`MAX_SOURCES`.
    """
    found: dict[str, dict[str, Any]] = {}
    named = set(named)
    if len(named) > MAX_SOURCES:
        raise TooCostly(
            f"the answers name more than {MAX_SOURCES:,} sources",
            expression=("QuestionnaireResponse",),
        )
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
