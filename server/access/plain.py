"""Scopes in plain words, and the narrower ones that a person may allow instead.

For the consent page: what stands there must say no less than what is granted.
"""

from dataclasses import replace

from server.access.context import DEFINING
from server.access.scopes import LETTERS, Scope

OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"

# The conditions that SMART servers offer for these types; US Core, "SMART granular scopes".
GRANULAR: dict[str, tuple[tuple[str, str], ...]] = {
    "Observation": (
        (f"{OBSERVATION_CATEGORY}|vital-signs", "vital signs, such as blood pressure and weight"),
        (f"{OBSERVATION_CATEGORY}|laboratory", "laboratory results"),
        (f"{OBSERVATION_CATEGORY}|social-history", "social history, such as smoking and work"),
        (f"{OBSERVATION_CATEGORY}|survey", "answers to surveys and questionnaires"),
    ),
    "Condition": (
        (f"{CONDITION_CATEGORY}|encounter-diagnosis", "diagnoses made at visits"),
        (f"{CONDITION_CATEGORY}|problem-list-item", "health problems on the problem list"),
        (f"{US_CORE_CATEGORY}|health-concern", "health concerns"),
    ),
}

_TYPES = {
    "*": "everything in the record",
    "Account": "accounts for billing",
    "AllergyIntolerance": "allergies and intolerances",
    "Appointment": "appointments",
    "AuditEvent": "notes of who opened the record",
    "Binary": "attached files",
    "CarePlan": "care plans",
    "CareTeam": "care teams",
    "Claim": "claims to insurers",
    "Communication": "messages",
    "Composition": "documents written by clinicians",
    "Condition": "health problems and diagnoses",
    "Consent": "consents",
    "Coverage": "insurance",
    "Device": "implants and devices",
    "DiagnosticReport": "laboratory, imaging and other reports",
    "DocumentReference": "documents and clinical notes",
    "Encounter": "visits and stays",
    "EpisodeOfCare": "episodes of care",
    "ExplanationOfBenefit": "statements of insurers",
    "FamilyMemberHistory": "health history of the family",
    "Flag": "warnings shown to clinicians",
    "Goal": "health goals",
    "Group": "groups of people",
    "ImagingStudy": "X-rays and other images",
    "Immunization": "immunizations",
    "Invoice": "invoices",
    "List": "lists, such as the medication list",
    "Location": "wards, rooms and other places of care",
    "Media": "photos and recordings",
    "Medication": "medicines",
    "MedicationAdministration": "medicines given",
    "MedicationDispense": "medicines handed out",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medicines taken",
    "NutritionOrder": "diets ordered",
    "Observation": "test results, vital signs and other observations",
    "Organization": "hospitals and other organizations",
    "Patient": "name, birth date and contact details",
    "Practitioner": "clinicians",
    "PractitionerRole": "clinicians and where they work",
    "Procedure": "operations and other procedures",
    "Provenance": "notes of where each entry comes from",
    "Questionnaire": "empty questionnaires",
    "QuestionnaireResponse": "answers to questionnaires",
    "RelatedPerson": "relatives and carers",
    "ServiceRequest": "referrals and orders",
    "Specimen": "specimens taken",
    "Task": "tasks",
    "ValueSet": "lists of codes",
}

_OTHERS = {
    "openid": "know who you are",
    "fhirUser": "know which person of the record you are",
    "profile": "know your name",
    "launch": "know what you were working on when you opened it",
    "launch/patient": "know which patient's record you chose",
    "launch/encounter": "know which visit you chose",
    "offline_access": "keep its access when you are not using it, until you remove it",
    "online_access": "keep its access for as long as you are logged in",
    "introspect": "ask whether a token of this server is valid",
    "admin/tellonce": "administer this server: users, apps and access",
}

_SHARED = frozenset(("Location", "Medication", "Organization", "Practitioner", "PractitionerRole"))


def offers(scope: Scope) -> tuple[Scope, ...]:
    """Return the narrower scopes that may be allowed instead of ``scope``, by category.

    None when the scope has a category already, is not about reading, or its type has none.
    """
    categories = GRANULAR.get(scope.type, ())
    has_one = any(name.partition(":")[0] == "category" for name, _ in scope.query)
    if has_one or scope.level == "system" or not {"r", "s"} & set(scope.letters):
        return ()
    letters = "".join(letter for letter in LETTERS if letter in scope.letters and letter in "rs")
    return tuple(
        replace(
            scope,
            letters=letters,
            query=tuple(sorted((*scope.query, ("category", code)))),
            asked=None,
        )
        for code, _ in categories
    )


def describe(scope: Scope | str, whose: str = "your") -> str:
    """Return what a scope lets an app do, to follow "This app will be able to".

    ``whose``: of whom a ``patient/`` scope is, such as ``your`` or ``Maria's``.

    >>> from server.access.scopes import parse
    >>> describe(*parse("patient/Immunization.rs").resources)
    'see your immunizations'
    >>> describe(*parse("user/Appointment.cruds").resources)
    'see, add, change and delete appointments of the patients whose records you may open'
    """
    if isinstance(scope, str):
        return _other(scope)
    what, rest = _what(scope)
    doing = _doing(scope.letters)
    if scope.level != "system" and scope.type in DEFINING:
        found = f"{doing} {what}"
    elif scope.level == "patient" and scope.type in _SHARED:
        found = f"{doing} {what} that {whose} record mentions"
    elif scope.level == "patient" and scope.type == "*":
        found = f"{doing} everything in {whose} record"
    elif scope.level == "patient":
        found = f"{doing} {whose} {what}"
    elif scope.level == "user" and scope.type in _SHARED:
        found = f"{doing} {what}"
    elif scope.level == "user" and scope.type == "*":
        found = f"{doing} everything that you may see"
    elif scope.level == "user":
        found = f"{doing} {what} of the patients whose records you may open"
    else:
        found = f"{doing} {what} of every patient, without a person being there"
    return f"{found}, where {' and '.join(rest)}" if rest else found


def _what(scope: Scope) -> tuple[str, list[str]]:
    """Return what a scope is about, and the conditions that are not in those words."""
    known = dict(GRANULAR.get(scope.type, ()))
    plain = _TYPES.get(scope.type, f"resources of the type {scope.type}")
    rest = list(scope.query)
    for pair in scope.query:
        words = _category(pair, known)
        if words is not None:
            plain = words
            rest.remove(pair)
            break
    return plain, [f"{name} is {text}" for name, text in rest]


def _category(pair: tuple[str, str], known: dict[str, str]) -> str | None:
    """Return the words for a category, stated with its system or without."""
    if pair[0] != "category":
        return None
    return known.get(pair[1]) or next(
        (words for code, words in known.items() if code.endswith(f"|{pair[1]}")), None
    )


def _doing(letters: str) -> str:
    verbs = ["see"] if {"r", "s"} & set(letters) else []
    verbs += [word for letter, word in _CHANGES.items() if letter in letters]
    return f"{', '.join(verbs[:-1])} and {verbs[-1]}" if len(verbs) > 1 else verbs[0]


_CHANGES = {"c": "add", "u": "change", "d": "delete"}


def _other(scope: str) -> str:
    plain = scope.partition("?")[0]
    if plain in _OTHERS:
        return _OTHERS[plain]
    if plain.startswith("launch/"):
        return f"know which {plain.removeprefix('launch/')} you chose"
    return f"use the permission {plain}"
