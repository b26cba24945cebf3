"""C4 Conflict: every value stays; rank decides display only; the more cautious stands first."""

from decimal import Decimal

from server.continuity.known import Known
from server.continuity.rules.judge import judge
from server.continuity.statement import AuthorKind, Source, Statement
from tests.continuity.rules.made import (
    ALLERGIES,
    BIRTH,
    DIABETES,
    LOINC,
    NOW,
    POLICY,
    SMOKING,
    SNOMED,
    WEIGHT,
    judged,
    question,
    said,
    thing,
)

DIFFER = ("conflict", "C4 different answers")


def known(*statements: Statement) -> Known:
    return judge(SMOKING, statements, POLICY, NOW)


def test_two_voices_that_differ_are_a_conflict_and_both_are_shown() -> None:
    told = judged(SMOKING, said("never", who="patient", id_="2"), said("daily", days=9))
    assert told == (*DIFFER, "daily", "never")  # the clinician's first: rank, not age


def test_one_voice_takes_back_what_it_said_before() -> None:
    assert judged(SMOKING, said("never", days=9), said("daily", days=2, id_="2")) == (
        "known", "C1 holds", "daily",
    )  # fmt: skip


def test_what_cannot_change_is_not_taken_back() -> None:
    one = said(value={"valueDate": "1980-02-03"}, days=9)
    other = said(value={"valueDate": "1980-03-02"}, days=2, id_="2")
    assert judged(BIRTH, one, other)[:2] == DIFFER


def test_a_day_without_an_hour_has_no_order_within_itself() -> None:
    day = said("never", days=2, said_until=NOW)
    assert judged(SMOKING, day, said("daily", days=1, id_="2"))[:2] == DIFFER


def test_the_same_said_twice_is_said_once_with_both_sources() -> None:
    found = known(said(id_="1", days=9), said(id_="2", days=3, who="patient"))
    (one,) = found.candidates
    assert found.state == "known"
    assert one.sources == (Source("Observation", "2", 1), Source("Observation", "1", 1))
    assert (one.said_at, one.author.kind) == (NOW - 3 * 86_400_000_000, "patient")


def test_case_and_blanks_make_no_conflict() -> None:
    told = judged(SMOKING, said("Never  smoked"), said("never smoked", who="patient", id_="2"))
    assert told[0] == "known"


def test_pounds_and_kilograms_are_one_weight() -> None:
    kilos = weight(80, "kg")
    assert judged(WEIGHT, kilos, weight("176.37", "[lb_av]", who="patient"))[0] == "known"
    assert judged(WEIGHT, kilos, weight(81, "kg", who="patient"))[:2] == DIFFER


def weight(value: int | str, unit: str, who: AuthorKind = "clinician") -> Statement:
    quantity = {"value": Decimal(value), "system": "http://unitsofmeasure.org", "code": unit}
    return said(value={"valueQuantity": quantity}, who=who, id_=unit)


def test_the_more_cautious_answer_stands_first() -> None:
    yes = thing((SNOMED, "73211009"), "Condition", who="proxy")
    no = thing((SNOMED, "73211009"), "Condition", says="absent", id_="b")
    assert judged(DIABETES, no, yes) == (*DIFFER, "True", "False")


def test_pregnant_stands_before_not_pregnant() -> None:
    asked = question("open-choice", (LOINC, "82810-3"))
    one = said(value=coded("60001007"))
    other = said(value=coded("77386006"), who="patient", id_="2")
    assert judged(asked, one, other) == (*DIFFER, "77386006", "60001007")


def coded(code: str) -> dict[str, object]:
    return {"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": code}]}}


def test_an_allergy_that_can_kill_stands_first() -> None:
    one = thing((SNOMED, "1"), id_="1", who="clinician")
    other = thing((SNOMED, "2"), id_="2", who="patient", critical=True)
    assert judged(ALLERGIES, one, other)[2:] == ("2", "1")


def test_several_things_of_a_list_go_together() -> None:
    told = judged(ALLERGIES, thing((SNOMED, "1")), thing((SNOMED, "2"), id_="b", who="patient"))
    assert told[0] == "confirm"
    assert set(told[2:]) == {"1", "2"}


def test_several_things_for_a_form_that_takes_one_are_a_conflict() -> None:
    asked = question("open-choice", (LOINC, "48765-2"))
    told = judged(asked, thing((SNOMED, "1")), thing((SNOMED, "2"), id_="b"))
    assert told[:2] == ("conflict", "C4 several")


def test_without_the_rule_one_of_two_would_be_known() -> None:
    one, other = said("never", who="patient", id_="2"), said("daily")
    assert judged(SMOKING, one, other, without="C4")[0] == "known"
