"""The sections of an International Patient Summary, and what belongs into each.

IPS 1.1.0, Composition-uv-ips: problems, allergies and medicines are always there, the others when
there is something to show.  What a status takes back (entered in error, refuted, not done) is in no
section; nor is what is about somebody else than the patient.  Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.fhir.references import split_reference

Resource = dict[str, Any]
Keeps = Callable[[Resource], bool]

LOINC: Final = "http://loinc.org"
SMOKING: Final = "72166-2"
ALCOHOL: Final = "74013-4"
PREGNANCY: Final = frozenset(
    ("82810-3", "11778-8", "11779-6", "11780-4", "11636-8", "11637-6", "11638-4", "11639-2",
     "11640-0", "11612-9", "11613-7", "11614-5", "33065-4")
)  # fmt: skip

_ENDED: Final = frozenset(("inactive", "remission", "resolved"))
REPORTED: Final = frozenset(("final", "amended", "corrected", "appended"))
_TAKEN: Final = {
    "MedicationStatement": frozenset(("active", "intended", "on-hold", "unknown")),
    "MedicationRequest": frozenset(("active", "on-hold", "unknown")),
}
_RESULTS: Final = frozenset(("laboratory", "imaging", "procedure", "exam"))
_ELSEWHERE: Final = PREGNANCY | {SMOKING, ALCOHOL}


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its LOINC code, the types it reads and what of them it keeps.

    ``latest``: of each kind of thing only the newest is shown.
    """

    code: str
    title: str
    types: tuple[str, ...]
    keeps: Keeps
    required: bool = False
    latest: bool = False


def codes_in(concept: Any) -> frozenset[str]:
    """Return the codes of a CodeableConcept or of a list of them, whatever their system."""
    listed = concept if isinstance(concept, list) else [concept]
    return frozenset(
        coding["code"]
        for one in listed
        if isinstance(one, dict)
        for coding in one.get("coding", ())
        if isinstance(coding.get("code"), str)
    )


def _stands(resource: Resource) -> bool:
    """Neither refuted nor entered in error."""
    taken_back = frozenset(("refuted", "entered-in-error"))
    return not codes_in(resource.get("verificationStatus")) & taken_back


def _current(resource: Resource) -> bool:
    return _stands(resource) and not codes_in(resource.get("clinicalStatus")) & _ENDED


def _past(resource: Resource) -> bool:
    return _stands(resource) and bool(codes_in(resource.get("clinicalStatus")) & _ENDED)


def _taken(resource: Resource) -> bool:
    if resource.get("intent") in ("proposal", "option") or resource.get("doNotPerform") is True:
        return False
    return resource.get("status") in _TAKEN[resource["resourceType"]]


def _not(*statuses: str) -> Keeps:
    refused = frozenset(("entered-in-error", *statuses))
    return lambda resource: resource.get("status") not in refused


def _is(*statuses: str) -> Keeps:
    return lambda resource: resource.get("status") in statuses


def _observed(resource: Resource) -> bool:
    return resource.get("status") in REPORTED


def _result(resource: Resource) -> bool:
    if resource["resourceType"] == "DiagnosticReport":
        return _observed(resource)
    if not resource.get("category"):  # as laboratories' feeds send them
        return _observed(resource) and not codes_in(resource.get("code")) & _ELSEWHERE
    return _observed(resource) and bool(codes_in(resource.get("category")) & _RESULTS)


def _vital(resource: Resource) -> bool:
    return _observed(resource) and "vital-signs" in codes_in(resource.get("category"))


def _habit(resource: Resource) -> bool:
    return _observed(resource) and bool(codes_in(resource.get("code")) & {SMOKING, ALCOHOL})


def _pregnancy(resource: Resource) -> bool:
    return _observed(resource) and bool(codes_in(resource.get("code")) & PREGNANCY)


def _directive(resource: Resource) -> bool:
    return resource.get("status") == "active" and "adr" in codes_in(resource.get("scope"))


SECTIONS: Final[tuple[Section, ...]] = (
    Section("11450-4", "Problems", ("Condition",), _current, required=True),
    Section("48765-2", "Allergies and intolerances", ("AllergyIntolerance",), _current,
            required=True),
    Section("10160-0", "Medication", ("MedicationStatement", "MedicationRequest"), _taken,
            required=True),
    Section("11369-6", "Immunizations", ("Immunization",), _is("completed")),
    Section("47519-4", "Procedures", ("Procedure",), _not("not-done", "preparation")),
    Section("46264-8", "Medical devices", ("DeviceUseStatement",), _not()),
    Section("30954-2", "Results", ("Observation", "DiagnosticReport"), _result, latest=True),
    Section("8716-3", "Vital signs", ("Observation",), _vital, latest=True),
    Section("11348-0", "Past illnesses", ("Condition",), _past),
    Section("47420-5", "Functional status", ("ClinicalImpression",), _is("completed")),
    Section("18776-5", "Plan of care", ("CarePlan",), _is("active", "on-hold")),
    Section("29762-2", "Social history", ("Observation",), _habit, latest=True),
    Section("10162-6", "Pregnancy", ("Observation",), _pregnancy, latest=True),
    Section("42348-3", "Advance directives", ("Consent",), _directive),
)  # fmt: skip

LATEST_OF: Final = ("DiagnosticReport", "Observation")
"""Types of which only the newest of each kind is shown, and what is reported alone."""

TYPES: Final = tuple(sorted({type_ for section in SECTIONS for type_ in section.types}))


def sorted_in(resources: Iterable[Resource]) -> Mapping[str, list[Resource]]:
    """Return what each section shows, by its code; newest first when it came so.

    A section without anything is there only when the summary requires it.
    """
    listed = list(resources)
    made: dict[str, list[Resource]] = {}
    for section in SECTIONS:
        of_type = (one for one in listed if one["resourceType"] in section.types)
        found = [one for one in of_type if section.keeps(one)]
        if section.latest:
            found = _latest(found)
        if found or section.required:
            made[section.code] = found
    return made


def _latest(found: list[Resource]) -> list[Resource]:
    """Return the first of each kind: those that share a code, or without any code a text.

    What was seen at another site is of another kind: the left eye's says nothing of the right.
    """
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    kept: list[Resource] = []
    for one in found:
        code = one.get("code", {})
        where = one.get("bodySite") or {}
        site = tuple(sorted(codes_in(where))) or (where.get("text", ""),)
        kinds = codes_in(code) or {code.get("text", "")}
        names = {(one["resourceType"], name, site) for name in kinds}
        if not names & seen:
            kept.append(one)
        seen |= names
    return kept


def is_about(resource: Resource, patient: str, base_url: str) -> bool:
    """Tell whether a resource is about ``Patient/x`` and nobody else (C5)."""
    whom = resource.get("subject") or resource.get("patient")
    text = whom.get("reference") if isinstance(whom, dict) else None
    named = split_reference(text, base_url).local if isinstance(text, str) else None
    return named == patient and not resource.get("focus")
