"""C1 Validity: ``carry`` | ``expire`` | ``confirm-each-encounter`` | ``never-carry``."""

import pytest

from server.continuity.rules.case import Visit
from server.continuity.rules.validity import holds
from server.continuity.validity import Holding
from server.fhir.dates import DAY
from tests.continuity.rules.made import (
    ALLERGIES,
    BIRTH,
    LOINC,
    NOW,
    PENICILLIN,
    SMOKING,
    WORRY,
    judged,
    question,
    said,
    thing,
)


@pytest.mark.parametrize(
    ("holding", "days", "expected"),
    [
        (Holding("carry"), 40_000, True),
        (Holding("expire", 30), 30, True),
        (Holding("expire", 30), 31, False),
        (Holding("confirm-each-encounter"), 0, False),
        (Holding("never-carry"), 0, False),
        (Holding("confirm"), 0, False),
    ],
)
def test_how_long_what_was_said_holds(holding: Holding, days: int, *, expected: bool) -> None:
    assert holds(holding, NOW - days * DAY, NOW) is expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(180, ("known", "C1 holds", "x")), (181, ("confirm", "C1 expired", "x"))],
)
def test_a_habit_is_known_for_half_a_year(days: int, expected: tuple[str, ...]) -> None:
    assert judged(SMOKING, said(days=days)) == expected


def test_a_date_of_birth_is_carried_for_ever() -> None:
    born = said(days=15_000, value={"valueDate": "1980-02-03"})
    assert judged(BIRTH, born) == ("known", "C1 holds", "1980-02-03")


def test_allergies_are_known_only_in_the_encounter_in_which_they_were_said() -> None:
    here = Visit("Encounter/e", NOW - 2 * DAY)
    elsewhere = Visit("Encounter/f", NOW - DAY // 2)
    allergic = thing(PENICILLIN, encounter="Encounter/e")

    assert judged(ALLERGIES, allergic, visit=here) == ("known", "C1 holds", "91936005")
    for visit in (None, elsewhere):
        told = ("confirm", "C1 each encounter", "91936005")
        assert judged(ALLERGIES, allergic, visit=visit) == told


def test_what_was_confirmed_since_the_encounter_began_is_known_in_it() -> None:
    began = Visit("Encounter/e", NOW - 2 * DAY)
    assert judged(ALLERGIES, thing(PENICILLIN), visit=began)[0] == "known"
    assert judged(ALLERGIES, thing(PENICILLIN), visit=Visit("Encounter/e"))[0] == "confirm"


@pytest.mark.parametrize("code", ["10154-3", "8480-6", "59284-0", "49541-6"])
def test_what_is_of_the_moment_is_asked_each_time(code: str) -> None:
    asked = question("string", (LOINC, code))
    assert judged(asked, said(days=0)) == ("ask", "C1 never carried")
    assert judged(asked, said(days=0), without="C1")[0] == "known"


def test_an_identity_check_of_any_system_is_never_carried() -> None:
    asked = question("string", ("http://our.test", "identity-check"))
    assert judged(asked, said(days=0)) == ("ask", "C1 never carried")


def test_what_the_policy_does_not_list_is_confirmed() -> None:
    assert judged(WORRY, said(days=0)) == ("confirm", "C1 not listed", "x")


def test_a_recorded_blood_group_is_never_known() -> None:
    asked = question("string", (LOINC, "882-1"))
    visit = Visit("Encounter/e", NOW - 2 * DAY)
    told = judged(asked, said(days=0, encounter="Encounter/e"), visit=visit)
    assert told == ("confirm", "C1 always confirmed", "x")


def test_the_stricter_of_two_topics_counts() -> None:
    """A question that nobody listed, answered by an allergy, is judged as an allergy."""
    asked = question("boolean", ("http://our.test", "nuts"))
    assert judged(asked, thing(("http://our.test", "nuts")))[:2] == ("confirm", "C1 each encounter")
