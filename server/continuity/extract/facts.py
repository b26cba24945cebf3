"""What extraction makes of a response, before it is written.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.statement import Author
from server.continuity.who import author
from server.fhir.definitions import Child, children, required_codes

SYSTEM: Final = "https://tellonce.org/fhir/extracted"
"""System of the identifier by which a fact is found again: ``[response id]#[key]``."""

_WHO: Final[Mapping[str, tuple[str, ...]]] = {
    "AllergyIntolerance": ("recorder", "asserter"),
    "Condition": ("recorder", "asserter"),
    "Goal": ("expressedBy",),
    "MedicationStatement": ("informationSource",),
    "Procedure": ("asserter",),
}
_WHEN: Final[Mapping[str, str]] = {
    "AllergyIntolerance": "recordedDate",
    "Condition": "recordedDate",
    "FamilyMemberHistory": "date",
    "MedicationStatement": "dateAsserted",
}
STATEMENTS: Final = frozenset((*_WHO, *_WHEN, "Observation"))
"""What somebody says, and nobody else may replace (C6)."""
SETTLED: Final = frozenset(
    (
        "Account", "Appointment", "AppointmentResponse", "Coverage", "Encounter", "EpisodeOfCare",
        "Location", "Organization", "Patient", "Person", "Practitioner", "PractitionerRole",
        "RelatedPerson", "Task",
    )
)  # fmt: skip
"""What many keep together and nobody says: a form changes it with the rights of its sender."""
_SAYS: Final = ("author", "requester", "recorder", "performer")


@dataclass(slots=True)
class Fact:
    """One resource that is made of answers.

    ``key`` is that of the item it comes from, with what tells it from the item's other facts;
    ``links`` the linkIds of the answers.  ``request``: ``ifNoneExist`` and others as the form says.
    ``where``: the place in the form that asks for it.
    """

    key: str
    resource: dict[str, Any]
    full_url: str
    where: str
    links: tuple[str, ...] = ()
    request: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Type of the resource."""
        return str(self.resource["resourceType"])


@dataclass(frozen=True, slots=True)
class Said:
    """What all facts of a response have in common.

    ``who`` answered: ``source`` when the response names one, else ``author``, so that what a nurse
    wrote down for a mother stays the mother's (C6).  ``at``: ``authored``.
    """

    subject: dict[str, Any] | None
    encounter: dict[str, Any] | None
    who: dict[str, Any] | None
    at: str | None
    based_on: tuple[dict[str, Any], ...] = ()
    part_of: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, response: dict[str, Any]) -> "Said":
        """Return what a response says of itself."""
        return cls(
            response.get("subject"),
            response.get("encounter"),
            response.get("source") or response.get("author"),
            response.get("authored"),
            tuple(response.get("basedOn") or ()),
            tuple(response.get("partOf") or ()),
        )

    def author(self, base_url: str = "") -> Author:
        """Return who answered."""
        return author(self.who, base_url)


def completed(resource: dict[str, Any], said: Said) -> dict[str, Any]:
    """Return a fact with what the form need not say: whose it is, who said it, and when.

    What the form does say stays.
    """
    type_ = resource["resourceType"]
    known = children(type_)
    made = dict(resource)
    subject = next((name for name in ("subject", "patient") if name in known), None)
    if subject is not None and said.subject is not None:
        made.setdefault(subject, said.subject)
    for name in _WHO.get(type_, ()):
        if said.who is not None and _may_be(known[name], said.who):
            made.setdefault(name, said.who)
    if (when := _WHEN.get(type_)) is not None and said.at is not None:
        made.setdefault(when, said.at)
    if type_ == "Observation":
        _observed(made, said, known["performer"])
    return made


def _observed(made: dict[str, Any], said: Said, performer: Child) -> None:
    """Say of an Observation what observation-based extraction says of its own."""
    if said.who is not None and "device" not in made and _may_be(performer, said.who):
        made.setdefault("performer", [said.who])
    if said.at is not None and not any(name.startswith("effective") for name in made):
        made["effectiveDateTime"] = said.at


def _may_be(child: Child, reference: dict[str, Any]) -> bool:
    kind = str(reference.get("reference", "")).rpartition("/")[0].rpartition("/")[2]
    return not child.targets or (kind or reference.get("type")) in child.targets


def author_of(resource: dict[str, Any], base_url: str = "") -> Author:
    """Return who said what a stored resource says, as the resource has it."""
    type_ = resource.get("resourceType", "")
    for name in (*reversed(_WHO.get(type_, ())), *_SAYS):
        named = resource.get(name)
        found = author(named[0] if isinstance(named, list) and named else named, base_url)
        if found.reference is not None or found.kind != "unknown":
            return found
    return Author()


def in_error(resource: dict[str, Any]) -> dict[str, Any] | None:
    """Return a resource marked as entered in error; ``None`` where R4 has no such mark."""
    type_ = resource["resourceType"]
    if type_ in ("AllergyIntolerance", "Condition"):
        system = (
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
            if type_ == "AllergyIntolerance"
            else "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        )
        # R4 ait-2, con-5: what never was has no clinical status.
        kept = {name: value for name, value in resource.items() if name != "clinicalStatus"}
        concept = {"coding": [{"system": system, "code": "entered-in-error"}]}
        return {**kept, "verificationStatus": concept}
    name = "lifecycleStatus" if type_ == "Goal" else "status"
    status = children(type_).get(name)
    if status is None or not _has_code(status, "entered-in-error"):
        return None
    return {**resource, name: "entered-in-error"}


def is_in_error(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource says that it never was true."""
    codings = (resource.get("verificationStatus") or {}).get("coding") or ()
    said = {resource.get("status"), resource.get("lifecycleStatus")}
    return "entered-in-error" in said | {one.get("code") for one in codings}


def _has_code(child: Child, code: str) -> bool:
    codes = required_codes(child.binding) if child.binding else None
    return any(code in found for found in (codes or {}).values())
