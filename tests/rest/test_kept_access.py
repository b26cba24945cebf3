"""The rights of a job: kept, and compared with those of who asks for its answer."""

import json

import pytest

from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.scopes import parse
from server.rest.kept_access import made_anew, plain, timeless
from tests.access.records import DAY, NOON, context

POLICY = load_policy()
ANNA = Person("anna", ("patient",), "Patient/anna")
DORA = Person("dora", ("practitioner",), "Practitioner/dora", ("Organization/ward",))


@pytest.mark.parametrize(
    ("person", "scope", "patient"),
    [(ANNA, "patient/*.cruds", "Patient/anna"), (DORA, "user/*.cruds", None)],
)
def test_the_same_rights_are_the_same_at_another_time(
    person: Person, scope: str, patient: str | None
) -> None:
    then = permits(POLICY, person, parse(scope), patient, NOON)
    later = permits(POLICY, person, parse(scope), patient, NOON + DAY)
    fewer = permits(POLICY, person, parse("patient/Patient.rs user/Patient.rs"), patient, NOON)
    kept = made_anew(json.loads(json.dumps(plain(context(then)))))
    assert kept == context(then)
    assert timeless(kept.permits) == timeless(later)
    assert not timeless(then) <= timeless(fewer)


def test_a_condition_on_another_date_is_not_forgotten() -> None:
    one, other = (
        permits(POLICY, ANNA, parse(f"patient/Observation.rs?date={year}"), "Patient/anna", NOON)
        for year in (2020, 2021)
    )
    assert timeless(one) != timeless(other)
