"""Questions and statements, made short."""

from dataclasses import replace
from typing import Any

from server.continuity.form import form_of
from server.continuity.known import Known
from server.continuity.questions import Question, questions
from server.continuity.rules.case import Rule, Visit
from server.continuity.rules.judge import RULES, judge
from server.continuity.statement import Author, AuthorKind, Source, Statement
from server.continuity.validity import load_validity
from server.fhir.dates import DAY

NOW = 20_000 * DAY
POLICY = load_validity()
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
NONE_KNOWN = (SNOMED, "716186003")
NO_DRUG_ALLERGY = (SNOMED, "409137002")
PENICILLIN = (SNOMED, "91936005")


def question(kind: str, *codes: tuple[str, str], **more: Any) -> Question:
    """Return the question of one item."""
    coded = [{"system": system, "code": code} for system, code in codes]
    item = {"linkId": "q", "type": kind, **({"code": coded} if coded else {}), **more}
    form = {"resourceType": "Questionnaire", "url": "http://f", "item": [item]}
    return questions(form_of(form), POLICY)[0]


WEIGHT = question("quantity", (LOINC, "29463-7"))
SMOKING = question("string", (LOINC, "72166-2"))
BIRTH = question("date", (LOINC, "21112-8"))
DIABETES = question("boolean", (SNOMED, "73211009"))
ANY_ALLERGY = question("boolean", (LOINC, "48765-2"))
ALLERGIES = question("open-choice", (LOINC, "48765-2"), repeats=True)
WORRY = question("string")


def said(
    words: str = "x",
    days: int | None = 1,
    who: AuthorKind = "clinician",
    id_: str = "1",
    **more: Any,
) -> Statement:
    """Return an observed text, said so many days ago; ``more`` replaces what differs."""
    made = Statement(
        topic="",
        codes=frozenset(),
        value={"valueString": words},
        says="present",
        said_at=None if days is None else NOW - days * DAY,
        author=Author(who, f"{who}/1") if who != "unknown" else Author(),
        source=Source("Observation", id_, 1),
    )
    return replace(made, **more)


def thing(code: tuple[str, str], type_: str = "AllergyIntolerance", **more: Any) -> Statement:
    """Return an allergy, or another thing, by its code."""
    topic = POLICY.of_type(type_)
    concept = {"coding": [{"system": code[0], "code": code[1]}]}
    own: dict[str, Any] = {
        "topic": topic.name if topic else "",
        "codes": frozenset((code,)),
        "value": {"valueCodeableConcept": concept},
        "says": "none-known" if topic and code in (NONE_KNOWN, NO_DRUG_ALLERGY) else "present",
        "source": Source(type_, more.pop("id_", "a"), 1),
    }
    return said("", **{**own, **more})


def judged(
    asked: Question, *statements: Statement, visit: Visit | None = None, without: str = ""
) -> tuple[str, ...]:
    """Return state, rule and each answer as a text; ``without`` names a rule to leave out."""
    rules: dict[str, Rule] = {name: rule for name, rule in RULES.items() if name != without}
    return told(judge(asked, statements, POLICY, NOW, visit, rules))


def told(known: Known) -> tuple[str, ...]:
    """Return state, rule and each answer as a text."""
    return (known.state, known.rule, *(_text(one.value) for one in known.candidates))


def _text(value: dict[str, Any]) -> str:
    ((_, found),) = value.items()
    return str(found["code"]) if isinstance(found, dict) else str(found)
