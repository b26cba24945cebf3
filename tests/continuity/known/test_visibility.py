"""C7: answers with a hidden source are those of a record that never had it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.access.context import AccessContext, Permit
from server.continuity.known import Known
from tests.continuity.known.house import RESTRICTED, SEES_ALL, SEES_NORMAL, Record, told
from tests.continuity.known.record import (
    LOINC,
    PATIENT,
    QUESTIONNAIRE,
    RECENT,
    RECORD,
    SNOMED,
    answers,
    concept,
    item,
    observation,
    provenance,
)

SYSTEM, CODE = RESTRICTED.split("|")
HIDEABLE = [
    f"{one['resourceType']}/{one['id']}"
    for one in RECORD
    if one["resourceType"] not in ("Patient", "Practitioner")
]


def hidden(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "meta": {"security": [{"system": SYSTEM, "code": CODE}]}}


def local(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def seen(folder: Path, kind: str, *resources: dict[str, Any]) -> list[Known]:
    record = Record(kind, folder)
    try:
        await record.put(QUESTIONNAIRE, *resources)
        return await record.ask(QUESTIONNAIRE, SEES_NORMAL)
    finally:
        await record.store.close()


@pytest.mark.parametrize("source", HIDEABLE)
async def test_one_hidden_source_changes_nothing_but_its_absence(
    tmp_path: Path, source: str
) -> None:
    with_it = [hidden(one) if local(one) == source else one for one in RECORD]
    without = [one for one in RECORD if local(one) != source]

    assert await seen(tmp_path / "a", "sqlite", *with_it) == await seen(
        tmp_path / "b", "sqlite", *without
    )


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(secret=st.sets(st.sampled_from(HIDEABLE), min_size=2))
async def test_any_number_of_hidden_sources_changes_nothing(
    tmp_path: Path, secret: set[str]
) -> None:
    with_it = [hidden(one) if local(one) in secret else one for one in RECORD]
    without = [one for one in RECORD if local(one) not in secret]

    assert await seen(tmp_path, "memory", *with_it) == await seen(tmp_path, "memory", *without)


async def test_a_hidden_contradiction_is_no_conflict(record: Record) -> None:
    smokes = [one for one in RECORD if one["id"] in ("smoking", "smokes")]
    patient = [one for one in RECORD if one["id"] == "p"]
    await record.put(QUESTIONNAIRE, *patient, smokes[0], hidden(smokes[1]))

    everybody = await record.table(QUESTIONNAIRE, access=SEES_NORMAL)
    entitled = await record.table(QUESTIONNAIRE, access=SEES_ALL)

    assert everybody["smoking"] == ("known", "C1 holds", "266919005")
    assert entitled["smoking"][0] == "conflict"


async def test_a_visible_copy_of_a_hidden_source_is_not_shown(record: Record) -> None:
    secret = answers("secret", RECENT, PATIENT, weight={"valueDecimal": 70})
    copy = observation(
        "copy", "11331-6", valueString="much", derivedFrom=[{"reference": local(secret)}]
    )
    patient = [one for one in RECORD if one["id"] == "p"]
    await record.put(QUESTIONNAIRE, *patient, hidden(secret), copy)

    table = await record.table(QUESTIONNAIRE, access=SEES_NORMAL)
    assert table["alcohol"] == ("ask", "no source")
    assert (await record.table(QUESTIONNAIRE))["alcohol"] == ("known", "C1 holds", "much")


async def test_a_hidden_provenance_dates_nothing(record: Record) -> None:
    patient = [one for one in RECORD if one["id"] == "p"]
    await record.put(
        QUESTIONNAIRE, *patient, hidden(provenance("v", "Patient/p/_history/1", RECENT))
    )

    table = await record.table(QUESTIONNAIRE, access=SEES_NORMAL)
    assert table["birth"] == ("confirm", "C2 undated", "1980-02-03")


async def test_what_a_caller_may_not_search_is_asked(record: Record) -> None:
    await record.put(QUESTIONNAIRE, *RECORD)
    patient_only = AccessContext("user/x", "app", (Permit("Patient", compartment="Patient/p"),))

    found = await record.ask(QUESTIONNAIRE, patient_only)

    states = {one.item.link_id: one.state for one in found}
    assert states["birth"] == "confirm"  # Provenance tells when it was said, and is not seen
    assert {link for link, state in states.items() if state == "ask"} == set(states) - {
        "birth", "family", "gender", "city", "phone",
    }  # fmt: skip


async def test_a_newborn_beside_the_patient_is_not_asked_for(record: Record) -> None:
    """The mother's record names her child; the child's facts stay with the child."""
    child = {"reference": "Patient/baby"}
    of_child = [
        {**observation("bw", "29463-7", valueString="x"), "subject": child, "performer": [PATIENT]},
        {
            "resourceType": "AllergyIntolerance", "id": "ba", "patient": child,
            "asserter": PATIENT, "recordedDate": RECENT, "code": concept(SNOMED, "91936005"),
        },
        {**answers("bq", RECENT, PATIENT, worry={"valueString": "colic"}), "subject": child},
        {**observation("fh", "11331-6", valueString="none"), "focus": [child]},
    ]  # fmt: skip
    patient = [one for one in RECORD if one["id"] in ("p", "baby")]
    await record.put(QUESTIONNAIRE, *patient, *of_child)

    found = await record.ask(QUESTIONNAIRE)

    shown = {told(one)[2:] for one in found if one.item.link_id in
             ("weight", "allergies", "drug-allergy", "worry", "alcohol")}  # fmt: skip
    assert shown == {()}
    assert LOINC in {system for one in found for system, _ in one.item.codes}


async def test_what_is_hidden_fills_no_limit(tmp_path: Path) -> None:
    """Three hundred hidden weights cut nothing, and are not told of as more than is read."""
    asked = item("w", "quantity", (LOINC, "29463-7"))
    form = {**QUESTIONNAIRE, "item": [asked]}
    kg = {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    visible = [observation(f"v{n}", "29463-7", valueQuantity=kg) for n in range(3)]
    secret = [hidden(observation(f"s{n}", "29463-7", valueQuantity=kg)) for n in range(320)]
    patient = [one for one in RECORD if one["id"] == "p"]
    told_ = []
    for name, more in (("with", secret), ("without", [])):
        record = Record("sqlite", tmp_path / name)
        await record.put(*patient, *visible)
        await record.put(*more)
        told_.append(await record.ask(form, SEES_NORMAL))
        await record.store.close()
    assert told_[0] == told_[1]
    assert told_[0][0].state == "known"


async def test_a_hidden_medicine_is_one_that_is_not_there(tmp_path: Path) -> None:
    """What refers to it is seen, and has no name: the list is read out in both worlds."""
    stated = {"resourceType": "MedicationStatement", "id": "m", "status": "active",
              "subject": PATIENT, "dateAsserted": RECENT, "informationSource": PATIENT}  # fmt: skip
    of = {**stated, "medicationReference": {"reference": "Medication/s"}}
    named = {**stated, "id": "n", "medicationCodeableConcept": concept(SNOMED, "1")}
    secret = hidden({"resourceType": "Medication", "id": "s", "code": concept(SNOMED, "2")})
    patient = [one for one in RECORD if one["id"] == "p"]
    with_it = await seen(tmp_path / "a", "sqlite", *patient, of, named, secret)
    without = await seen(tmp_path / "b", "sqlite", *patient, of, named)
    assert with_it == without
    assert {one.item.link_id: one.state for one in with_it}["medicines"] == "confirm"
