"""R4 search.html#prefix and #date: its own examples, and the types that hold dates."""

from typing import Any

import pytest


def observation(**effective: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "a", **effective}


@pytest.mark.parametrize(
    ("asked", "stored", "found"),
    [
        ("2013-01-14", "2013-01-14T00:00:00Z", True),
        ("2013-01-14", "2013-01-14T10:00:00Z", True),
        ("2013-01-14", "2013-01-15T00:00:00Z", False),
        ("eq2013-01-14", "2013-01", False),
        ("eq2013-01", "2013-01-14", True),
        ("ne2013-01-14", "2013-01-15T00:00:00Z", True),
        ("ne2013-01-14", "2013-01-14T00:00:00Z", False),
        ("ne2013-01-14", "2013-01-14T10:00:00Z", False),
        ("lt2013-01-14T10:00", "2013-01-14", True),
        ("lt2013-01-14T10:00", "2013-01-14T10:00:00Z", False),
        ("gt2013-01-14T10:00", "2013-01-14", True),
        ("gt2013-01-14", "2013-01-14T23:59:59Z", False),
        ("ge2013-03-14", "2013-03-14", True),
        ("ge2013-03-14", "2013-03-13", False),
        ("le2013-03-14", "2013-03-14T23:59:59Z", True),
        ("le2013-03-14", "2013-03-15", False),
        ("sa2013-03-14", "2013-03-15", True),
        ("sa2013-03-14", "2013-03", False),
        ("eb2013-03-14", "2013-03-13", True),
        ("eb2013-03-14", "2013-03", False),
        ("ap2013-03-14", "2013-03-14", True),
        ("ap2013-03-14", "2013-03-15T01:00:00Z", True),
        ("ap2013-03-14", "2015-01-21", False),
        ("2013-01-14T10:00:00 01:00", "2013-01-14T09:00:00Z", True),
        ("2013-01-14T10:00:00+01:00", "2013-01-14T10:00:00Z", False),
        ("2011,2013", "2013-05", True),
    ],
)
def test_prefixes_compare_intervals(finds: Any, asked: str, stored: str, found: bool) -> None:
    query = f"date={asked.replace('+', '%2B')}"
    assert finds(query, observation(effectiveDateTime=stored)) is found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("ge2013-03-14", True),
        ("sa2013-03-14", False),
        ("eb2013-03-14", False),
        ("le2013-01-20", False),
        ("gt2050", True),
        ("eq2013", False),
    ],
)
def test_a_period_without_an_end_goes_on(finds: Any, asked: str, found: bool) -> None:
    stored = observation(effectivePeriod={"start": "2013-01-21"})
    assert finds(f"date={asked}", stored) is found


def test_a_period_without_a_start_has_always_been(finds: Any) -> None:
    stored = observation(effectivePeriod={"end": "2013-01-21"})
    assert finds("date=lt1900", stored)
    assert not finds("date=gt2013-01-21", stored)


def test_a_timing_reaches_from_its_first_to_its_last_moment(finds: Any) -> None:
    stored = observation(effectiveTiming={"event": ["2013-05-01", "2013-01-01"]})
    assert finds("date=2013", stored)
    assert finds("date=ap2013-03", stored)
    assert not finds("date=2013-05", stored)


def test_two_criteria_may_be_met_by_two_values(finds: Any) -> None:
    goal = {
        "resourceType": "Goal",
        "id": "a",
        "target": [{"dueDate": "2020-01-01"}, {"dueDate": "2022-01-01"}],
    }
    assert finds("target-date=lt2021&target-date=gt2021", goal)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("2026-01-02", True),
        ("gt2026-01-02", False),
        ("lt2026-01-02T03:04:05.001Z", True),
        ("2026-01-02T03:04:05Z", True),
        ("2020,2026", True),
        ("ne2026", False),
    ],
)
def test_the_last_update_is_a_moment(finds: Any, asked: str, found: bool) -> None:
    assert finds(f"_lastUpdated={asked}", observation()) is found
