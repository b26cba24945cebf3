"""Release at write: rules of the policy, decisions of people."""

from dataclasses import replace
from typing import Any

import pytest

from server.access.policy import Policy, ReleaseRule
from server.access.release import RELEASE_URL, effective, prepared
from server.fhir.dates import DAY, interval
from server.search.rows import MAX_TIME
from tests.access.records import NOON, lab

DELAYED = ReleaseRule("three-days", frozenset(("Observation",)), delay=3 * DAY, since=("issued",))


def said(**parts: str) -> dict[str, Any]:
    names = {"at": "valueInstant", "until": "valueInstant"}
    inside = [{"url": k, names.get(k, "valueString"): v} for k, v in parts.items()]
    return {"url": RELEASE_URL, "extension": inside}


@pytest.fixture
def delaying(policy: Policy) -> Policy:
    return replace(policy, release_rules=(DELAYED,))


def written(
    policy: Policy, one: dict[str, Any], before: Any = None, *, decides: bool = True
) -> list[Any]:
    return list(prepared(policy, one, before, NOON, decides=decides).get("extension", []))


def test_a_final_result_is_open_at_once(policy: Policy) -> None:
    one = lab("o", "Patient/p") | {"status": "final"}
    assert prepared(policy, one, None, NOON, decides=True) is one


def test_a_preliminary_result_is_held_with_the_reason(policy: Policy) -> None:
    one = lab("o", "Patient/p") | {"status": "preliminary"}
    made = prepared(policy, one, None, NOON, decides=True)
    assert made["extension"] == [said(hold="the result is not final", rule="unfinished-results")]
    assert effective(made) == MAX_TIME
    final = prepared(policy, made | {"status": "final"}, made, NOON, decides=True)
    assert "extension" not in final


def test_a_delay_counts_from_the_date_that_is_stated(delaying: Policy) -> None:
    one = lab("o", "Patient/p") | {"issued": "2026-11-20T08:00:00+01:00"}
    (made,) = written(delaying, one)
    assert made == said(at="2026-11-23T07:00:00.000Z", rule="three-days")
    assert effective({"extension": [made]}) == interval("2026-11-23T07:00:00Z")[0]


def test_a_delay_counts_from_now_where_no_date_is_stated(delaying: Policy) -> None:
    assert written(delaying, lab("o", "Patient/p")) == [
        said(at="2026-11-25T12:00:00.000Z", rule="three-days")
    ]


def test_what_a_person_decided_wins_over_the_rules(delaying: Policy) -> None:
    now = said(at="2026-11-22T12:00:00Z")
    assert written(delaying, lab("o", "Patient/p") | {"extension": [now]}) == [now]


def test_what_a_rule_said_is_made_anew_and_other_extensions_stay(delaying: Policy) -> None:
    other = {"url": "http://else.test", "valueCode": "x"}
    stale = said(at="2030-01-01T00:00:00Z", rule="gone")
    one = lab("o", "Patient/p") | {"extension": [stale, other]}
    assert written(delaying, one) == [
        other,
        said(at="2026-11-25T12:00:00.000Z", rule="three-days"),
    ]


def test_patients_neither_release_nor_hold(delaying: Policy) -> None:
    held = said(hold="to be told in person")
    before = lab("o", "Patient/p") | {"extension": [held]}
    mine = lab("o", "Patient/p") | {"extension": [said(at="2020-01-01T00:00:00Z")]}
    assert written(delaying, mine, before, decides=False) == [held]
    assert written(delaying, mine, None, decides=False) == []


def test_what_a_rule_put_on_stays_when_a_patient_writes_the_next_version(delaying: Policy) -> None:
    ruled = said(at="2026-11-20T12:00:00.000Z", rule="three-days")
    before = lab("o", "Patient/p") | {"extension": [ruled]}
    assert written(delaying, lab("o", "Patient/p"), before, decides=False) == [ruled]


def test_rules_do_not_speak_of_what_a_patient_writes(delaying: Policy) -> None:
    mine = lab("o", "Patient/p")
    assert written(delaying, mine, None, decides=False) == []
    assert written(delaying, mine, mine, decides=False) == []
    assert written(delaying, mine, mine, decides=True) != []
