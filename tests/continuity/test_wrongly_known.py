"""The smallest records that were once taken as known, and must not be."""

from typing import Any

import pytest

from server.continuity.answers import known_answers
from server.continuity.known import Known
from server.continuity.site import Site
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.continuity.histories import told
from tests.continuity.histories.judge import BASE, FORM, SEES_ALL
from tests.continuity.histories.told import LOINC, SNOMED
from tests.continuity.histories.world import Who
from tests.contract.made import Clock, index, put

NOW = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z
HOUR = 3_600_000_000
SAID = NOW - 72 * HOUR
V3 = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

Resource = dict[str, Any]
HERE: Resource = {"encounter": {"reference": "Encounter/visit"}}
PEOPLE: tuple[Resource, ...] = (
    {"resourceType": "Practitioner", "id": "doctor"},
    {"resourceType": "Patient", "id": "p"},
    {"resourceType": "Encounter", "id": "visit", "status": "in-progress",
     "class": {"code": "AMB"}, "subject": {"reference": "Patient/p"},
     "period": {"start": told.instant(NOW - 2 * HOUR)}},
)  # fmt: skip


async def known(item: str, *resources: Resource) -> Known:
    """Return what is known of an item of the intake form, in a visit."""
    clock = Clock(NOW - HOUR)
    store = MemoryStore(now=clock, index=index)
    await store.commit([put(one) for one in (*PEOPLE, *resources)])
    services = Services(store, BASE, clock, lambda: "new", b"k" * 32)
    clock.at = NOW
    found = await known_answers(services, SEES_ALL, "p", FORM, Site(), encounter="visit")
    return next(one for one in found if one.item.link_id == item)


def smokes(system: str, code: str) -> Resource:
    value = {"valueCodeableConcept": told.concept(system, code)}
    return told.observation("o", "72166-2", value, "clinician", SAID)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (SNOMED, "261665006"),  # unknown
        (SNOMED, "266927001"),  # tobacco smoking consumption unknown
        (LOINC, "LA4489-6"),  # unknown
        (LOINC, "LA18980-5"),  # unknown if ever smoked
        (V3, "UNK"),
        (V3, "ASKU"),
        (ABSENT, "asked-declined"),
    ],
)
async def test_that_it_is_unknown_is_no_answer(system: str, code: str) -> None:
    assert (await known("smoking", smokes(system, code))).state == "ask"


async def test_that_it_was_unknown_does_not_contradict_who_knows() -> None:
    unknown = {**smokes(SNOMED, "266927001"), "id": "earlier", "performer": []}
    found = await known("smoking", smokes(SNOMED, "8517006"), unknown)
    assert found.state == "known"


NEGATED = {"modifierExtension": [{"url": "https://sender.test/negated", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("item", "resource"),
    [
        ("diabetes", {**told.condition("c", "73211009", "clinician", SAID), **NEGATED}),
        ("smoking", {**smokes(SNOMED, "77176002"), **NEGATED}),
        ("diabetes", {**told.condition("c", "73211009", "clinician", SAID),
                      "implicitRules": "https://sender.test/rules"}),
        ("allergies", {**told.allergy("a", "91936005", "patient", NOW - HOUR, **HERE),
                       "reaction": [{"manifestation": [{"text": "rash"}], **NEGATED}]}),
        ("diabetes", {**told.answers("q", {}, "patient", SAID),
                      "item": [{"linkId": "diabetes", "answer": [{"valueBoolean": False}],
                                **NEGATED}]}),
    ],
    ids=["condition", "observation", "implicit rules", "inside", "answer"],
)  # fmt: skip
async def test_what_an_unknown_modifier_may_turn_round_is_not_known(
    item: str, resource: Resource
) -> None:
    """R4 extensibility.html#modifierExtension: what is not understood must not be ignored."""
    assert (await known(item, resource)).state in ("ask", "confirm")


@pytest.mark.parametrize("status", ["resolved", "remission", "inactive"])
async def test_what_is_over_is_not_offered_as_never_having_been(status: str) -> None:
    over = {"clinicalStatus": told.concept(told.CLINICAL, status)}
    found = await known(
        "breast-cancer", told.condition("c", "254837009", "clinician", SAID, **over)
    )
    assert found.state != "known"
    assert {"valueBoolean": False} not in [one.value for one in found.candidates]


async def test_none_of_a_part_is_not_known_of_the_whole() -> None:
    drugs = told.allergy("none", "409137002", "patient", NOW - HOUR, **HERE)
    found = await known("allergies", drugs)
    assert (found.state, found.rule) == ("confirm", "C3 none of a part")


@pytest.mark.parametrize(
    "other", [{}, {"code": {"text": "the white pills"}}], ids=["nuts", "words"]
)
async def test_none_known_beside_another_allergy_is_no_no(other: Resource) -> None:
    none = told.allergy("none", "716186003", "patient", NOW - HOUR, **HERE)
    another = {**told.allergy("another", "91935009", "clinician", SAID), **other}
    assert (await known("penicillin", none)).state == "known"
    assert (await known("penicillin", none, another)).state == "ask"


@pytest.mark.parametrize("code", ["91936005", "294505008"], ids=["penicillin", "amoxicillin"])
@pytest.mark.parametrize("who", ["clinician", "patient"])
async def test_none_known_takes_back_no_entry_of_the_same_voice(code: str, who: Who) -> None:
    entry = told.allergy("entry", code, who, SAID)
    none = told.allergy("none", "716186003", who, NOW - HOUR, **HERE)
    found = await known("penicillin", entry, none)
    said = [one.value["valueBoolean"] for one in found.candidates]
    assert (found.state, found.rule, said) == ("conflict", "C4 different answers", [True, False])


async def test_a_date_long_before_the_visit_is_not_of_the_visit() -> None:
    not_pregnant = {"valueCodeableConcept": told.concept(SNOMED, "60001007")}
    long_ago = NOW - 900 * 24 * HOUR
    made = told.observation("o", "82810-3", not_pregnant, "patient", long_ago, **HERE)
    assert (await known("pregnant", made)).state == "confirm"


async def test_an_order_is_not_yet_taken() -> None:
    order = {
        "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
        "medicationCodeableConcept": told.concept(told.RXNORM, "6809"),
        "subject": {"reference": "Patient/p"}, "authoredOn": told.instant(NOW - HOUR),
        "requester": {"reference": "Practitioner/doctor"}, **HERE,
    }  # fmt: skip
    assert (await known("medicines", order)).state == "confirm"


async def test_what_is_intended_is_not_yet_taken() -> None:
    here = {"context": HERE["encounter"]}
    meant = told.medicine("m", "6809", "patient", NOW - HOUR, status="intended", **here)
    assert (await known("medicines", meant)).state == "confirm"


async def test_a_number_without_a_unit_is_not_known() -> None:
    value = {"valueQuantity": {"value": 70}}
    found = await known("weight", told.observation("o", "29463-7", value, "clinician", SAID))
    assert found.state in ("ask", "confirm")
