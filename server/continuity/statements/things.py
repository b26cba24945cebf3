"""Allergies, problems, medicines, procedures, vaccines, implants, family -> statements.

Each resource tells of one thing of its topic: that it is there, that it is not (refuted, not
done, not taken), or that there is none of all (a code of the topic's ``none``).  R4 sections of the
same names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.statement import About, Author, Code, Says, Standing, Statement
from server.continuity.statements.read import (
    Reading,
    Resource,
    codes,
    is_over,
    is_unknown,
    moment,
    origins,
    source,
    status,
    weaker,
)
from server.continuity.validity import Topic

ELEMENTS: Final[Mapping[str, str]] = {
    "AllergyIntolerance": "AllergyIntolerance.code",
    "Condition": "Condition.code",
    "MedicationStatement": "MedicationStatement.medication",
    "MedicationRequest": "MedicationRequest.medication",
    "Procedure": "Procedure.code",
    "Immunization": "Immunization.vaccineCode",
    "DeviceUseStatement": "DeviceUseStatement.device",
    "Device": "Device.type",
    "FamilyMemberHistory": "FamilyMemberHistory.condition",
}
"""Types that tell of things, and the element that names the thing."""


NOBODY: Final = Author()


@dataclass(frozen=True, slots=True)
class _Told:
    """What one resource says of one thing."""

    concept: dict[str, Any]
    says: Says = "present"
    standing: Standing = "current"
    about: About = "patient"
    author: Author = NOBODY
    dates: tuple[Any, ...] = ()
    encounter: Any = None
    critical: bool = False
    path: str = ""


def statements(resource: Resource, version: int, reading: Reading) -> Iterator[Statement]:
    """Yield what the resource says of its things."""
    type_ = resource["resourceType"]
    for told in _TOLD[type_](resource, reading):
        topic = reading.topic(type_)
        named = codes(told.concept)
        said_at, until = moment(*told.dates)
        said = _says(told.says, named, reading, type_)
        standing = told.standing if named else weaker(told.standing, "unsure")
        yield Statement(
            topic=_topic(reading, topic, resource).name,
            codes=named,
            value={"valueCodeableConcept": told.concept} if told.concept else None,
            says=said,
            said_at=said_at,
            author=told.author,
            source=source(resource, version, told.path),
            encounter=reading.local(told.encounter),
            element=ELEMENTS[type_],
            about=told.about,
            standing=standing,
            said_until=until,
            origins=origins(resource, reading),
            critical=told.critical,
            note=_note(type_, named),
        )


def _says(own: Says, named: frozenset[Code], reading: Reading, type_: str) -> Says:
    """Return what is said, when the code may say that there is none, or that nobody knows."""
    if own != "present":
        return own
    if any(is_unknown(code) for code in named):
        return "unknown"
    return "none-known" if named & reading.policy.none(type_) else own


def _note(type_: str, named: frozenset[Code]) -> str:
    if not named:
        return "It was said in words only, without a code."
    if type_ == "MedicationRequest":
        return "It was ordered; nobody said that it is taken."
    return ""


def _topic(reading: Reading, topic: Topic, resource: Resource) -> Topic:
    """Return the topic of the resource's category, where the policy has one."""
    listed = resource.get("category", ())
    for one in reading.policy.all_of_type(resource["resourceType"]) if listed else ():
        if one.category and one.category in listed:
            return one
    return topic


def _allergy(resource: Resource, reading: Reading) -> Iterator[_Told]:
    yield _Told(
        resource.get("code", {}),
        "absent" if status(resource.get("verificationStatus")) == "refuted" else "present",
        _diagnosed(resource),
        reading.about(resource.get("patient")),
        reading.author(resource.get("asserter"), resource.get("recorder")),
        (resource.get("recordedDate"),),
        resource.get("encounter"),
        resource.get("criticality") == "high",
    )


def _condition(resource: Resource, reading: Reading) -> Iterator[_Told]:
    yield _Told(
        resource.get("code", {}),
        "absent" if status(resource.get("verificationStatus")) == "refuted" else "present",
        _diagnosed(resource),
        reading.about(resource.get("subject")),
        reading.author(resource.get("asserter"), resource.get("recorder")),
        (resource.get("recordedDate"),),
        resource.get("encounter"),
    )


def _diagnosed(resource: Resource) -> Standing:
    """Return how a problem or allergy stands, by its two statuses."""
    verification = status(resource.get("verificationStatus"))
    clinical = status(resource.get("clinicalStatus"))
    if verification == "entered-in-error":
        return "withdrawn"
    if clinical in ("inactive", "resolved", "remission"):
        return "ended"
    abated = any(name.startswith("abatement") for name in resource)
    sure = verification in ("", "confirmed", "refuted") and clinical in _ACTIVE
    return "current" if sure and not abated else "unsure"


def _medicine(resource: Resource, reading: Reading) -> Iterator[_Told]:
    own = resource.get("status", "")
    standing = _USE.get(own, "withdrawn")
    referred = reading.referred(resource, resource.get("medicationReference"))
    if referred.get("status") == "entered-in-error":
        standing = "withdrawn"
    if any(is_over(one, reading.now) for one in _taken(resource)):
        standing = weaker(standing, "unsure")
    concept = resource.get("medicationCodeableConcept") or referred.get("code") or {}
    ordered = resource["resourceType"] == "MedicationRequest"
    plan = ordered and resource.get("intent") in ("proposal", "option")
    context = resource.get("encounter" if ordered else "context")
    yield _Told(
        concept,
        "absent" if own == "not-taken" or resource.get("doNotPerform") is True else "present",
        "withdrawn" if plan else standing,
        reading.about(resource.get("subject")),
        reading.author(
            resource.get("requester") if ordered else resource.get("informationSource"),
            resource.get("recorder"),
        ),
        (resource.get("authoredOn") if ordered else resource.get("dateAsserted"),),
        context,
    )


def _taken(resource: Resource) -> Iterator[Any]:
    """Yield the periods in which a medicine is taken."""
    yield resource.get("effectivePeriod")
    yield resource.get("dispenseRequest", {}).get("validityPeriod")
    for dosage in (*resource.get("dosage", ()), *resource.get("dosageInstruction", ())):
        yield dosage.get("timing", {}).get("repeat", {}).get("boundsPeriod")


def _procedure(resource: Resource, reading: Reading) -> Iterator[_Told]:
    own = resource.get("status", "")
    period = resource.get("performedPeriod", {})
    performers = [one.get("actor") for one in resource.get("performer", ())]
    yield _Told(
        resource.get("code", {}),
        "absent" if own == "not-done" else "present",
        "current" if own in ("completed", "not-done") else "withdrawn",
        reading.about(resource.get("subject")),
        reading.author(resource.get("asserter"), *performers, resource.get("recorder")),
        (resource.get("performedDateTime"), period.get("end"), period.get("start")),
        resource.get("encounter"),
    )


def _immunization(resource: Resource, reading: Reading) -> Iterator[_Told]:
    own = resource.get("status", "")
    performers = [one.get("actor") for one in resource.get("performer", ())]
    standing: Standing = "current" if own in ("completed", "not-done") else "withdrawn"
    if resource.get("isSubpotent") is True:  # R4: not to be counted as protecting
        standing = weaker(standing, "unsure")
    yield _Told(
        resource.get("vaccineCode", {}),
        "absent" if own == "not-done" else "present",
        standing,
        reading.about(resource.get("patient")),
        reading.author(*performers),
        (resource.get("recorded"), resource.get("occurrenceDateTime")),
        resource.get("encounter"),
    )


def _device_use(resource: Resource, reading: Reading) -> Iterator[_Told]:
    device = reading.referred(resource, resource.get("device"))
    own = _USE.get(resource.get("status", ""), "withdrawn")
    if device.get("status") == "entered-in-error":
        own = "withdrawn"
    elif device.get("status", "active") != "active" or is_over(
        resource.get("timingPeriod"), reading.now
    ):
        own = weaker(own, "unsure")
    yield _Told(
        device.get("type", {}),
        "present",
        own,
        reading.about(resource.get("subject")),
        reading.author(resource.get("source")),
        (resource.get("recordedOn"),),
    )


def _device(resource: Resource, reading: Reading) -> Iterator[_Told]:
    own = resource.get("status", "active")
    yield _Told(
        resource.get("type", {}),
        "present",
        {"active": "current", "inactive": "ended"}.get(own, "withdrawn"),  # type: ignore[arg-type]
        reading.about(resource.get("patient")),
    )


def _family(resource: Resource, reading: Reading) -> Iterator[_Told]:
    own = resource.get("status", "")
    mine = reading.about(resource.get("patient"))
    for index, one in enumerate(resource.get("condition", ())):
        yield _Told(
            one.get("code", {}),
            "present",
            "current" if own in ("completed", "partial") else "withdrawn",
            "family" if mine == "patient" else "other",
            dates=(resource.get("date"),),
            path=f"FamilyMemberHistory.condition[{index}]",
        )


_ACTIVE: Final = frozenset(("", "active", "recurrence", "relapse"))

_USE: Final[Mapping[str, Standing]] = {
    "active": "current",
    "intended": "unsure",  # not yet taken, or not yet worn
    "on-hold": "unsure",
    "not-taken": "current",
    "completed": "ended",
    "stopped": "ended",
    "unknown": "unsure",
}

_TOLD: Final[Mapping[str, Callable[[Resource, Reading], Iterator[_Told]]]] = {
    "AllergyIntolerance": _allergy,
    "Condition": _condition,
    "MedicationStatement": _medicine,
    "MedicationRequest": _medicine,
    "Procedure": _procedure,
    "Immunization": _immunization,
    "DeviceUseStatement": _device_use,
    "Device": _device,
    "FamilyMemberHistory": _family,
}
