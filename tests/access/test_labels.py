"""Labels at write: put on by codes and by what is referred to, kept from removal."""

from typing import Any

import pytest

from server.access.labels import (
    assigned,
    handing_on,
    labelled,
    may_relabel,
    protected,
)
from server.access.policy import Clearance, Policy
from tests.access.records import CONFIDENTIALITY, SENSITIVITY, resource

HIV = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20.1"}
HARMLESS = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "J00"}
ADDED = (f"{SENSITIVITY}|HIV", f"{CONFIDENTIALITY}|R")


def concept(coding: dict[str, str]) -> dict[str, Any]:
    return {"coding": [{"display": "text only"}, coding]}


INSIDE = resource("Condition", "x", code=concept(HIV))


def refers(to: str) -> dict[str, str]:
    return {"reference": to}


@pytest.mark.parametrize(
    "one",
    [
        resource("Condition", "c", code=concept(HIV)),
        resource("Encounter", "e", reasonCode=[concept(HARMLESS), concept(HIV)]),
        resource("Observation", "o", valueCodeableConcept=concept(HIV)),
        resource("Observation", "o", component=[{"code": concept(HIV)}]),
        resource("Claim", "c", diagnosis=[{"diagnosisCodeableConcept": concept(HIV)}]),
        resource(
            "MedicationRequest", "m", contained=[resource("Condition", "x", code=concept(HIV))]
        ),
        resource(
            "Bundle", "b", entry=[{"resource": resource("Condition", "x", code=concept(HIV))}]
        ),
    ],
    ids=lambda one: one["resourceType"],
)
def test_codes_of_a_value_set_put_labels_on(policy: Policy, one: dict[str, Any]) -> None:
    assert assigned(policy, one) == ADDED


def test_other_codes_put_nothing_on(policy: Policy) -> None:
    other_system = {"system": "http://else.test", "code": "B20"}
    for coding in (HARMLESS, other_system, {"code": "B20"}):
        assert assigned(policy, resource("Condition", "c", code=concept(coding))) == ()


def test_what_is_there_is_not_put_on_again(policy: Policy) -> None:
    assert assigned(policy, resource("Condition", "c", "HIV", "R", code=concept(HIV))) == ()
    assert assigned(policy, resource("Condition", "c", "V", code=concept(HIV))) == ADDED[:1]


def test_labels_of_what_is_referred_to_are_handed_on(policy: Policy) -> None:
    bill = resource("Claim", "c")
    found = assigned(policy, bill, [(f"{CONFIDENTIALITY}|R", f"{SENSITIVITY}|SEX")])
    assert found == (f"{SENSITIVITY}|SEX", f"{CONFIDENTIALITY}|R")


def test_of_several_levels_the_highest_is_handed_on(policy: Policy) -> None:
    levels = [(f"{CONFIDENTIALITY}|R",), (f"{CONFIDENTIALITY}|V",), (f"{CONFIDENTIALITY}|N",)]
    assert assigned(policy, resource("Claim", "c"), levels) == (f"{CONFIDENTIALITY}|V",)


def test_levels_up_to_normal_and_labels_without_effect_are_not_handed_on(policy: Policy) -> None:
    labels = [(f"{CONFIDENTIALITY}|N", f"{CONFIDENTIALITY}|L", f"{SENSITIVITY}|OPTIN")]
    assert assigned(policy, resource("Claim", "c"), labels) == ()


@pytest.mark.parametrize(
    ("one", "references"),
    [
        (
            resource(
                "Appointment",
                "a",
                reasonReference=[refers("Condition/c")],
                basedOn=[refers("ServiceRequest/s")],
                participant=[{"actor": refers("Patient/p")}],
            ),
            ("ServiceRequest/s", "Condition/c"),
        ),
        (
            resource("Claim", "c", item=[{"encounter": [refers("Encounter/e")]}]),
            ("Encounter/e",),
        ),
        (
            resource("Invoice", "i", lineItem=[{"chargeItemReference": refers("ChargeItem/x")}]),
            ("ChargeItem/x",),
        ),
        (
            resource(
                "Communication",
                "c",
                about=[refers("Observation/o")],
                encounter="Encounter/e",
            ),
            ("Encounter/e", "Observation/o"),
        ),
        (resource("Task", "t", focus="Condition/c"), ("Condition/c",)),
        (resource("Provenance", "p", target=[refers("Condition/c")]), ("Condition/c",)),
        (
            resource("DocumentReference", "d", context={"encounter": [refers("Encounter/e")]}),
            ("Encounter/e",),
        ),
        (resource("Observation", "o", subject="Patient/p", performer=[{"display": "x"}]), ()),
    ],
    ids=lambda one: one["resourceType"] if isinstance(one, dict) else "",
)
def test_the_policy_says_which_references_hand_labels_on(
    policy: Policy, one: dict[str, Any], references: tuple[str, ...]
) -> None:
    assert handing_on(policy, one) == references


def test_labels_of_the_version_before_are_protected(policy: Policy) -> None:
    before = resource("Condition", "c", "HIV", "R")
    assert protected(policy, before, resource("Condition", "c", "N")) == ADDED
    assert protected(policy, before, before) == ()
    assert protected(policy, None, before) == ()


def test_a_label_without_effect_may_be_taken_away(policy: Policy) -> None:
    before = resource("Condition", "c", "OPTIN")
    assert protected(policy, before, resource("Condition", "c")) == ()


def test_only_roles_of_which_the_policy_says_so_take_labels_away(policy: Policy) -> None:
    assert [name for name in (*policy.roles, None) if may_relabel(policy, name)] == ["admin"]


def test_labels_are_added_behind_those_that_are_there() -> None:
    before = {"resourceType": "Flag", "id": "f", "status": "active"}
    after = labelled(before, ADDED)
    assert list(after) == ["resourceType", "id", "meta", "status"]
    assert after["meta"] == {
        "security": [
            {"system": SENSITIVITY, "code": "HIV"},
            {"system": CONFIDENTIALITY, "code": "R"},
        ]
    }
    more = labelled(after, (f"{SENSITIVITY}|SEX",))
    assert [one["code"] for one in more["meta"]["security"]] == ["HIV", "R", "SEX"]
    assert labelled(before, ()) is before
    assert "meta" not in before


def test_hidden_is_what_a_clearance_does_not_reach(policy: Policy) -> None:
    hidden = policy.hidden(Clearance("N", policy.sensitivities - {"HIV"}))
    assert hidden == (f"{SENSITIVITY}|HIV", f"{CONFIDENTIALITY}|R", f"{CONFIDENTIALITY}|V")
