"""Labels that messages set: they close, and nothing that feeds say later opens."""

from itertools import permutations
from typing import Any

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import PlannedResource
from tests.feeds.test_merge import says, told

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
R = {"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}
PSY = {"system": ACT, "code": "PSY", "display": "psychiatry disorder information sensitivity"}

RESULT = (
    "MSH|^~\\&|LAB|H|T|M|20260316080000||ORU^R01^ORU_R01|1|P|2.5.1",
    "PID|1||4711^^^H^MR||Doe^Jane||19700503|F",
    "PD1||||||||||||{protected}",
    "ORC|RE|P1|F1|||||||||||||||||||||||||{confidential}",
    "OBR|1|P1|F1|718-7^Hb^LN|||20260316070000",
    "OBX|1|NM|718-7^Hb^LN||12.3|g/dL|||||F",
)


def _labels(protected: str = "", confidential: str = "") -> dict[str, Any]:
    text = "\r".join(RESULT).format(protected=protected, confidential=confidential)
    plan = load_maps().plan(parse(text.encode()), Feed("lab"))
    return {
        one.type: one.values["meta"]["security"] for one in plan.resources if "meta" in one.values
    }


def test_a_protected_patient_is_labelled() -> None:
    assert _labels(protected="Y") == {"Patient": [R]}


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("PSY^Psych^HL70177", PSY),
        ("R", R),
        ("UWM", R),
        ("AID", {"system": ACT, "code": "HIV", "display": "HIV/AIDS information sensitivity"}),
    ],
)
def test_a_confidential_order_labels_its_results_too(code: str, label: Any) -> None:
    assert _labels(confidential=code) == {
        "ServiceRequest": [label],
        "Observation": [label],
        "DiagnosticReport": [label],
    }


@pytest.mark.parametrize(("protected", "confidential"), [("", ""), ("N", "U"), ("N", "U^Usual")])
def test_usual_control_makes_no_label(protected: str, confidential: str) -> None:
    assert _labels(protected, confidential) == {}


def test_messages_in_any_order_leave_the_same_labels() -> None:
    def word(*labels: Any) -> PlannedResource:
        return says(birthDate="1970-05-03", **({"meta": {"security": [*labels]}} if labels else {}))

    words = [("adt", 1, word(R)), ("adt", 2, word(PSY)), ("adt", 3, word())]
    records = [told(*order).resource for order in permutations(words)]

    assert [one["meta"] for one in records] == [{"security": [PSY, R]}] * 6


def test_a_label_alone_is_a_change() -> None:
    silent = says(birthDate="1970-05-03")
    labelled = says(birthDate="1970-05-03", meta={"security": [R]})

    assert told(("adt", 1, silent), ("adt", 2, silent)).changed is False
    assert told(("adt", 1, silent), ("adt", 2, labelled)).changed is True
    assert told(("adt", 1, labelled), ("adt", 2, labelled)).changed is False
