"""C3 Negation: absent is not none; none takes a coded statement with author and date."""

from dataclasses import replace

import pytest

from server.continuity.statement import Author, Source, Statement
from server.continuity.statements.read import IPS_ABSENT, is_unknown
from tests.continuity.rules.made import (
    ALLERGIES,
    ANY_ALLERGY,
    DIABETES,
    NO_DRUG_ALLERGY,
    NONE_KNOWN,
    PENICILLIN,
    POLICY,
    SNOMED,
    judged,
    question,
    said,
    thing,
)

EACH = "C1 each encounter"
DRUGS = question("boolean", (SNOMED, "416098002"))
PENICILLIN_ASKED = question("boolean", PENICILLIN)
HAS_DIABETES = thing((SNOMED, "73211009"), "Condition")


def test_nothing_said_is_no_answer() -> None:
    assert judged(ANY_ALLERGY) == ("ask", "no source")


def test_none_known_answers_no() -> None:
    assert judged(ANY_ALLERGY, thing(NONE_KNOWN)) == ("confirm", EACH, "False")
    assert judged(ALLERGIES, thing(NONE_KNOWN)) == ("confirm", EACH, "716186003")
    assert judged(PENICILLIN_ASKED, thing(NONE_KNOWN)) == ("confirm", EACH, "False")


@pytest.mark.parametrize(
    "unsigned", [thing(NONE_KNOWN, author=Author()), thing(NONE_KNOWN, days=None)]
)
def test_none_known_takes_an_author_and_a_date(unsigned: Statement) -> None:
    assert judged(ANY_ALLERGY, unsigned) == ("ask", "C3 none without author or date")


def test_a_no_on_a_form_takes_an_author_and_a_date_too() -> None:
    form = Source("QuestionnaireResponse", "q", 1)
    no = said(value={"valueBoolean": False}, says="absent", source=form)
    assert judged(ANY_ALLERGY, no) == ("confirm", EACH, "False")
    for unsigned in (replace(no, said_at=None), replace(no, author=Author())):
        assert judged(ANY_ALLERGY, unsigned) == ("ask", "C3 none without author or date")


def test_no_drug_allergy_speaks_of_drugs_only() -> None:
    partial = thing(NO_DRUG_ALLERGY)
    assert judged(ANY_ALLERGY, partial) == ("ask", "C3 none of a part")
    assert judged(ANY_ALLERGY, partial, without="C3") == ("confirm", EACH, "False")
    assert judged(DRUGS, partial) == ("confirm", EACH, "False")
    assert judged(ALLERGIES, partial) == ("confirm", "C3 none of a part", "409137002")


def test_that_one_thing_is_not_there_says_nothing_of_others() -> None:
    refuted = thing(PENICILLIN, says="absent")
    assert judged(ANY_ALLERGY, refuted) == ("ask", "C3 absent is not none")
    assert judged(ALLERGIES, refuted) == ("ask", "C3 absent is not none")
    assert judged(PENICILLIN_ASKED, refuted) == ("confirm", EACH, "False")


def test_what_was_withdrawn_was_never_said() -> None:
    withdrawn = thing(PENICILLIN, standing="withdrawn")
    assert judged(ALLERGIES, withdrawn) == ("ask", "C3 withdrawn")
    assert judged(ALLERGIES, withdrawn, without="C3")[0] == "confirm"


def test_an_observation_without_a_value_says_nothing() -> None:
    nothing = said(value=None, says="unknown")
    assert judged(DIABETES, nothing) == ("ask", "C3 withdrawn")


@pytest.mark.parametrize(("standing", "expected"), [
    ("current", ("known", "C1 holds", "True")),
    ("unsure", ("confirm", "C3 unsure", "True")),
    ("ended", ("ask", "C3 ended")),
    ("withdrawn", ("ask", "C3 withdrawn")),
])  # fmt: skip
def test_a_problem_counts_as_it_stands(standing: str, expected: tuple[str, ...]) -> None:
    problem = thing((SNOMED, "73211009"), "Condition", standing=standing)
    assert judged(DIABETES, problem) == expected


def test_what_is_over_leaves_a_list() -> None:
    assert judged(ALLERGIES, thing(PENICILLIN, standing="ended")) == ("ask", "C3 ended")


def test_what_one_says_is_over_another_has_to_confirm() -> None:
    over = thing((SNOMED, "73211009"), "Condition", standing="ended")
    yes = said(value={"valueBoolean": True}, id_="2")
    assert judged(DIABETES, over, yes) == ("confirm", "C3 ended", "True")


@pytest.mark.parametrize(
    "code",
    [
        ("http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "UNK"),
        ("http://terminology.hl7.org/CodeSystem/data-absent-reason", "asked-unknown"),
        ("http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips", "no-allergy-info"),
        (SNOMED, "261665006"),
    ],
)
def test_that_nobody_knows_is_a_code_and_no_answer(code: tuple[str, str]) -> None:
    assert is_unknown(code)


def test_no_known_allergies_of_a_patient_summary_is_a_none() -> None:
    assert not is_unknown((IPS_ABSENT, "no-known-allergies"))
    assert (IPS_ABSENT, "no-known-allergies") in POLICY.topic("allergies").none


def test_a_refuted_problem_is_a_no() -> None:
    refuted = thing((SNOMED, "73211009"), "Condition", says="absent")
    assert judged(DIABETES, refuted) == ("known", "C1 holds", "False")


def test_none_known_and_a_positive_elsewhere_are_a_conflict() -> None:
    told = judged(ANY_ALLERGY, thing(NONE_KNOWN), thing(PENICILLIN, id_="b", who="patient"))
    assert told == ("conflict", "C4 none and some", "True", "False")


def test_an_allergy_in_words_only_keeps_none_from_being_believed() -> None:
    words = thing(PENICILLIN, codes=frozenset(), value={"valueCodeableConcept": {"text": "nuts"}},
                  standing="unsure", id_="b")  # fmt: skip
    assert judged(ANY_ALLERGY, thing(NONE_KNOWN), words)[0] == "conflict"
