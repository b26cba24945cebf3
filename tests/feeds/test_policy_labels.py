"""What messages say gets the labels of the site's policy, as every other write does."""

from dataclasses import replace
from typing import Any

from server.access.context import SYSTEM
from server.access.policy import load_policy
from server.fhir import json as fhir_json
from server.interactions.services import Services
from tests.feeds.test_apply import SYS, Applying, encounter, patient, plan, planned

HIV = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}]}
LABELS = [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"},
    {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"},
]


def diagnosis(code: dict[str, Any]) -> Any:
    return planned(
        "Condition",
        "Condition",
        [("identifier", f"{SYS}|d1"), ("patient", "plan:Patient")],
        identifier=[{"system": SYS, "value": "d1"}],
        subject={"reference": "plan:Patient"},
        encounter={"reference": "plan:Encounter"},
        code=code,
    )


async def latest(services: Services, type_: str) -> dict[str, Any]:
    """Return the only resource of a type, with its meta."""
    newest, *_ = await services.store.history(SYSTEM, type_, limit=10)
    found: dict[str, Any] = fhir_json.loads(newest.body or b"{}")
    return found


async def test_codes_bring_labels_and_hand_them_on_within_a_message(services: Services) -> None:
    applying = Applying(replace(services, access_policy=load_policy()))
    plain = {"text": "a cold"}

    await applying(plan(patient("1"), encounter("v1", reasonCode=[HIV]), diagnosis(plain)))
    visit, condition = await latest(services, "Encounter"), await latest(services, "Condition")
    assert [visit["meta"]["security"], condition["meta"]["security"]] == [LABELS, LABELS]


async def test_a_message_that_knows_of_no_label_takes_none_away(services: Services) -> None:
    applying = Applying(replace(services, access_policy=load_policy()))
    await applying(plan(patient("1"), encounter("v1"), diagnosis(HIV)))

    await applying(plan(patient("1"), encounter("v1"), diagnosis({"text": "a cold"})))
    condition = await latest(services, "Condition")
    assert condition["code"] == {"text": "a cold"}
    assert condition["meta"]["security"] == LABELS
