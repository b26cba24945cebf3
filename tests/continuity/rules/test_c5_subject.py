"""C5 Subject: only what is said of this patient answers what is asked of this patient."""

import pytest

from server.continuity.statement import About
from tests.continuity.rules.made import DIABETES, LOINC, SNOMED, judged, question, said, thing

FAMILY = question("open-choice", (LOINC, "10157-6"), repeats=True)


@pytest.mark.parametrize("about", ["family", "related", "other"])
def test_what_is_said_of_others_is_no_answer(about: About) -> None:
    theirs = thing((SNOMED, "73211009"), "Condition", about=about)
    assert judged(DIABETES, theirs) == ("ask", "no source")
    assert judged(DIABETES, theirs, without="C5") == ("known", "C1 holds", "True")


def test_a_question_about_the_family_is_answered_by_the_family_only() -> None:
    mothers = thing((SNOMED, "73211009"), "FamilyMemberHistory", about="family")
    own = thing((SNOMED, "195967001"), "FamilyMemberHistory", about="patient", id_="b")
    assert judged(FAMILY, mothers, own) == ("known", "C1 holds", "73211009")


def test_somebody_elses_contradiction_is_no_conflict() -> None:
    own = thing((SNOMED, "73211009"), "Condition")
    childs = thing((SNOMED, "73211009"), "Condition", about="other", says="absent", id_="b")
    assert judged(DIABETES, own, childs) == ("known", "C1 holds", "True")


def test_a_focus_is_somebody_else() -> None:
    assert judged(question("string", (LOINC, "72166-2")), said(about="other"))[0] == "ask"
