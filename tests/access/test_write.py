"""What the policy makes of a resource that is to be written."""

from dataclasses import replace
from typing import Any

import pytest

from server.access.context import SYSTEM, AccessContext, Permit
from server.access.policy import Policy
from server.access.write import for_write
from tests.access.records import CONFIDENTIALITY, NOON, SENSITIVITY, lab, resource

PLAIN = resource("Condition", "c", subject="Patient/p")
BERT = AccessContext("user/bert", "app", (Permit("*"),), role="practitioner")
ANNA = AccessContext("user/anna", "app", (Permit("*", released=NOON),), role="patient")


def codes(one: dict[str, Any]) -> list[str]:
    return [label["code"] for label in one.get("meta", {}).get("security", [])]


def test_what_needs_nothing_is_left_as_it_is(policy: Policy) -> None:
    assert for_write(policy, BERT, PLAIN, None, (), NOON) is PLAIN


@pytest.mark.parametrize(
    ("access", "kept"),
    [
        (BERT, ["SEX", "R"]),
        (ANNA, ["SEX", "R"]),
        (SYSTEM, ["SEX", "R"]),  # a message that knows of no label
        (replace(BERT, role="admin"), []),
        (AccessContext("administrator/ops", "token", (Permit("*"),)), []),
    ],
)
def test_labels_stay_unless_the_writer_may_take_them_away(
    policy: Policy, access: AccessContext, kept: list[str]
) -> None:
    before = resource("Condition", "c", "SEX", "R", subject="Patient/p")
    assert codes(for_write(policy, access, PLAIN, before, (), NOON)) == kept


def test_labels_are_handed_on(policy: Policy) -> None:
    labels = [(f"{SENSITIVITY}|SEX", f"{CONFIDENTIALITY}|R")]
    assert codes(for_write(policy, SYSTEM, PLAIN, None, labels, NOON)) == ["SEX", "R"]


def test_a_clinician_releases_and_a_patient_does_not(policy: Policy) -> None:
    url = "https://tellonce.org/fhir/StructureDefinition/release"
    at = {"url": url, "extension": [{"url": "at", "valueInstant": "2026-11-22T12:00:00Z"}]}
    early = lab("o", "Patient/p") | {"status": "preliminary", "extension": [at]}
    assert for_write(policy, BERT, early, None, (), NOON)["extension"] == [at]
    hold = {"url": url, "extension": [{"url": "hold", "valueString": "told in person"}]}
    held = early | {"extension": [hold]}
    assert for_write(policy, ANNA, early, held, (), NOON)["extension"] == [hold]
    assert "extension" not in for_write(policy, ANNA, early, None, (), NOON)


def test_done_twice_it_changes_nothing_more(policy: Policy) -> None:
    coding = [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]
    one = lab("o", "Patient/p") | {"status": "preliminary", "code": {"coding": coding}}
    labels = [(f"{SENSITIVITY}|SEX",)]
    once = for_write(policy, BERT, one, None, labels, NOON)
    assert codes(once) == ["HIV", "SEX", "R"]
    assert for_write(policy, BERT, once, None, labels, NOON) == once
