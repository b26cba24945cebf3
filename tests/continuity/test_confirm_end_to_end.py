"""Populate, confirm, extract, ask again, correct: one statement all the way, through the API."""

from typing import Any

import httpx
import pytest

from server.access.context import AccessContext, Permit
from server.continuity.corrections.watch import Corrections
from tests.continuity.extracting import KNOWN, client, extracted, house, put, stored
from tests.continuity.test_confirm import allergies, theirs
from tests.rest.house import CALLERS, House

__all__ = ["client", "house"]


async def known(client: httpx.AsyncClient) -> dict[str, str]:
    """Return the said-at and the source of the allergy, as ``$populate`` shows them."""
    (answered,) = (await populated(client))["item"][0]["item"]
    parts: dict[str, Any] = {}
    for part in answered["extension"][0]["extension"]:
        value = next(value for name, value in part.items() if name != "url")
        parts.setdefault(part["url"], value.get("reference") if isinstance(value, dict) else value)
    return parts


async def populated(client: httpx.AsyncClient) -> dict[str, Any]:
    parameters = [
        {"name": "questionnaireRef", "valueReference": {"reference": "Questionnaire/q"}},
        {"name": "subject", "valueReference": {"reference": "Patient/a"}},
    ]
    answer = await client.post(
        "/Questionnaire/$populate",
        json={"resourceType": "Parameters", "parameter": parameters},
    )
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["parameter"][0]["resource"]
    return made


@pytest.fixture
async def record(client: httpx.AsyncClient) -> None:
    await put(client, {"resourceType": "Patient", "id": "a"})
    await put(client, theirs())
    await put(client, allergies())


@pytest.mark.usefixtures("record")
async def test_what_is_filled_in_and_confirmed_is_the_same_fact_with_a_new_date(
    client: httpx.AsyncClient,
) -> None:
    before = await known(client)
    form = await populated(client)
    item = form["item"][0]["item"][0]
    mark = next(one for one in item["extension"] if one["url"] == KNOWN)
    mark["extension"].append({"url": "confirmed", "valueBoolean": True})
    confirmed = {
        **form,
        "id": "r",
        "status": "completed",
        "authored": "2026-01-02T03:00:00Z",
        "author": {"reference": "Patient/a"},
    }
    await put(client, confirmed)

    made = await extracted(client, commit=True)

    after = await known(client)
    assert "issues" not in made
    assert [one["id"] for one in await stored(client, "AllergyIntolerance")] == ["theirs"]
    assert (before["said-at"], after["said-at"]) == (
        "2020-01-01T00:00:00.000Z",
        "2026-01-02T03:00:00.000Z",
    )
    assert after["source"] == "AllergyIntolerance/theirs/_history/1"


@pytest.mark.usefixtures("record")
async def test_what_is_filled_in_and_left_alone_is_as_old_as_it_was(
    client: httpx.AsyncClient,
) -> None:
    form = await populated(client)
    await put(client, {**form, "id": "r", "status": "completed"})

    made = await extracted(client, commit=True)

    assert made["issues"]["issue"][0]["severity"] == "information"
    assert (await known(client))["said-at"] == "2020-01-01T00:00:00.000Z"


@pytest.mark.usefixtures("record")
async def test_who_was_shown_a_form_is_told_when_its_source_is_corrected(
    house: House, client: httpx.AsyncClient
) -> None:
    doctor = AccessContext("user/doc", "app", (Permit("*"),), person="Practitioner/doc")

    async def reader(principal: str) -> AccessContext | None:
        return doctor if principal == "user/doc" else None

    watcher = Corrections(house.services, reader, owner="one")
    while await watcher.step():
        pass
    CALLERS["doctor"] = doctor
    try:
        async with house.client("doctor") as theirs_:
            form = await populated(theirs_)
            await put(theirs_, {**form, "id": "r", "status": "completed"})
    finally:
        del CALLERS["doctor"]
    error = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                "code": "entered-in-error",
            }
        ]
    }
    await put(client, theirs(verificationStatus=error))
    while await watcher.step():
        pass

    (told,) = await stored(client, "Communication")
    (task,) = await stored(client, "Task")
    assert told["recipient"] == [{"reference": "Practitioner/doc"}]
    assert told["payload"][0]["contentString"] == (
        "What you were shown in a form that was filled in beforehand on 2026-01-02 was entered in "
        "error. Please look at it again."
    )
    assert told["about"] == [{"reference": "AllergyIntolerance/theirs/_history/2"}]
    assert task["focus"] == {"reference": "QuestionnaireResponse/r/_history/1"}
