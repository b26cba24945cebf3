"""Whether a proxy may act: period, basis, age of the patient, each told with its reason."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from server.access.policy import Clearance, Policy
from server.access.proxy import Proxied, Standing, ages, standing
from tests.access.records import NOON, resource

BERLIN = ZoneInfo("Europe/Berlin")

PARENT = Proxied(
    "RelatedPerson/mother",
    "Patient/child",
    "parent",
    "patient/*.rs",
    related=resource("RelatedPerson", "mother", patient="Patient/child"),
    subject=resource("Patient", "child", birthDate="2020-05-05"),
)


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def of_child(birth: str | None, **more: object) -> Proxied:
    born = {"birthDate": birth} if birth else {}
    return replace(PARENT, subject=resource("Patient", "child", **born), **more)  # type: ignore[arg-type]


def told(policy: Policy, proxied: Proxied, now: int = NOON) -> Standing:
    return standing(policy, proxied, now)


def test_a_parent_acts_for_a_child(policy: Policy) -> None:
    stands = told(policy, PARENT)
    assert (stands.allowed, stands.reason) == (True, "parent, the age is 6")
    assert stands.scopes.text == "patient/*.rs"
    assert stands.clearance == Clearance("R", frozenset())


def test_of_young_people_a_parent_sees_what_is_normal_only(policy: Policy) -> None:
    stands = told(policy, of_child("2012-01-01"))
    assert (stands.allowed, stands.clearance) == (True, Clearance("N", frozenset()))


@pytest.mark.parametrize("basis", ["power-of-attorney", "guardian", "authorization"])
def test_of_adults_a_basis_is_needed_that_they_gave_or_a_court(policy: Policy, basis: str) -> None:
    assert told(policy, of_child("1960-01-01", basis=basis)).allowed
    refused = told(policy, of_child("1960-01-01"))
    assert (refused.allowed, refused.reason) == (
        False,
        "parent is no basis from 18 on; the age is 66",
    )


def test_a_power_of_attorney_is_no_basis_for_a_child(policy: Policy) -> None:
    refused = told(policy, of_child("2020-05-05", basis="power-of-attorney"))
    assert refused.reason == "power-of-attorney is no basis from 0 to 11; the age is 6"


@pytest.mark.parametrize(
    ("birth", "clearance"),
    [
        ("2014", Clearance("N", frozenset())),  # eleven or twelve
        ("2014-11", Clearance("N", frozenset())),
        ("2014-12", Clearance("R", frozenset())),  # eleven
        ("2014-11-22", Clearance("N", frozenset())),  # twelve today
        ("2014-11-23", Clearance("R", frozenset())),
    ],
)
def test_an_age_that_is_not_known_is_read_cautiously(
    policy: Policy, birth: str, clearance: Clearance
) -> None:
    assert told(policy, of_child(birth)).clearance == clearance


@pytest.mark.parametrize(
    ("birth", "reason"),
    [
        ("2008", "parent is no basis from 18 on; the age is 17 to 18"),
        (None, "parent is no basis from 18 on; the age is 0 to 150"),
    ],
)
def test_who_may_be_an_adult_counts_as_one(policy: Policy, birth: str | None, reason: str) -> None:
    assert told(policy, of_child(birth)).reason == reason


def test_without_a_date_of_birth_a_guardian_sees_what_every_age_allows(policy: Policy) -> None:
    stands = told(policy, of_child(None, basis="guardian"))
    assert (stands.allowed, stands.clearance) == (True, Clearance("N", frozenset()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"related": None}, "RelatedPerson/mother is not there"),
        (
            {"related": resource("RelatedPerson", "mother", patient="Patient/other")},
            "RelatedPerson/mother is not a related person of Patient/child",
        ),
        (
            {"related": {**(PARENT.related or {}), "active": False}},
            "RelatedPerson/mother is not active",
        ),
        (
            {"related": {**(PARENT.related or {}), "period": {"end": "2026-11-21"}}},
            "RelatedPerson/mother ended on 2026-11-21",
        ),
        ({"subject": None}, "Patient/child is not there"),
        (
            {"subject": {**(PARENT.subject or {}), "deceasedDateTime": "2026"}},
            "Patient/child has died; a proxy ends with it",
        ),
        (
            {"subject": {**(PARENT.subject or {}), "deceasedBoolean": True}},
            "Patient/child has died; a proxy ends with it",
        ),
        ({"subject": {**(PARENT.subject or {}), "active": False}}, "Patient/child is not active"),
        ({"end": "2026-11-21"}, "the grant ended on 2026-11-21"),
        ({"start": "2026-11-23"}, "the grant begins on 2026-11-23"),
        ({"end": "soon"}, "the period of the grant cannot be read"),
        (
            {"scope": "patient/Unknown.rs"},
            "'patient/Unknown.rs' and the policy for the age 6 share nothing",
        ),
    ],
)
def test_a_refusal_says_why(policy: Policy, changed: dict[str, object], reason: str) -> None:
    proxied = replace(PARENT, **changed)  # type: ignore[arg-type]
    assert told(policy, proxied) == Standing(False, reason)


def test_a_patient_who_is_alive_may_say_so(policy: Policy) -> None:
    alive = replace(PARENT, subject={**(PARENT.subject or {}), "deceasedBoolean": False})
    assert told(policy, alive).allowed


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("2026-11-20T23:59:59+01:00", False),
        ("2026-11-21T00:00:00+01:00", True),
        ("2026-11-22T23:59:59+01:00", True),
        ("2026-11-23T00:00:00+01:00", False),
    ],
)
def test_days_begin_and_end_at_midnight_of_the_facility(
    policy: Policy, at: str, allowed: bool
) -> None:
    there = replace(policy, zone=BERLIN)
    proxied = replace(PARENT, start="2026-11-21", end="2026-11-22")
    assert told(there, proxied, us(at)).allowed is allowed
    period = {"start": "2026-11-21", "end": "2026-11-22"}
    bounded = replace(PARENT, related={**(PARENT.related or {}), "period": period})
    assert told(there, bounded, us(at)).allowed is allowed


def test_a_birthday_begins_at_midnight_of_the_facility(policy: Policy) -> None:
    there = replace(policy, zone=BERLIN)
    turning = of_child("2014-11-23")
    before, after = us("2026-11-22T23:59:59+01:00"), us("2026-11-23T00:00:00+01:00")
    assert told(there, turning, before).clearance == Clearance("R", frozenset())
    assert told(there, turning, after).clearance == Clearance("N", frozenset())


@pytest.mark.parametrize(
    ("birth", "day", "expected"),
    [
        ("2008-02-29", "2026-02-27", (17, 17)),
        ("2008-02-29", "2026-02-28", (17, 18)),
        ("2008-02-29", "2026-03-01", (18, 18)),
        ("2027-01-01", "2026-11-22", (0, 0)),
        ("1850", "2026-11-22", (150, 150)),
        ("what", "2026-11-22", (0, 150)),
    ],
)
def test_ages(birth: str, day: str, expected: tuple[int, int]) -> None:
    assert ages(birth, us(f"{day}T12:00:00+00:00"), UTC) == expected
