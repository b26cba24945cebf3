"""The Python client fhirpy, over a real socket."""

from typing import Any
from uuid import uuid4

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

SYSTEM = "https://clients.example/fhirpy"


@pytest.fixture
def client(base_url: str) -> AsyncFHIRClient:
    return AsyncFHIRClient(base_url)


def patient(client: AsyncFHIRClient, family: str, **elements: Any) -> Any:
    identifier = [{"system": SYSTEM, "value": uuid4().hex}]
    return client.resource("Patient", identifier=identifier, name=[{"family": family}], **elements)


async def test_fhirpy_creates_and_reads_back(client: AsyncFHIRClient) -> None:
    made = patient(client, "Żółć", birthDate="1990-02-28")
    await made.save()

    found = await client.reference("Patient", made.id).to_resource()
    assert found["name"][0]["family"] == "Żółć"
    assert found["birthDate"] == "1990-02-28"
    assert found["meta"]["versionId"] == "1"


async def test_fhirpy_updates_and_refreshes(client: AsyncFHIRClient) -> None:
    made = patient(client, "Before")
    await made.save()
    other = await client.reference("Patient", made.id).to_resource()

    made["name"] = [{"family": "After"}]
    await made.save()
    await other.refresh()

    assert other["name"] == [{"family": "After"}]
    assert other["meta"]["versionId"] == "2"


async def test_fhirpy_searches_by_token_and_counts(client: AsyncFHIRClient) -> None:
    made = patient(client, "Searched", gender="other")
    await made.save()

    by_identifier = client.resources("Patient").search(
        identifier=f"{SYSTEM}|{made['identifier'][0]['value']}"
    )
    assert [found.id for found in await by_identifier.fetch()] == [made.id]
    assert await by_identifier.count() == 1
    assert (await by_identifier.first()).id == made.id


async def test_fhirpy_follows_every_page(client: AsyncFHIRClient) -> None:
    family = f"Page{uuid4().hex}"
    for number in range(7):
        await patient(client, family, birthDate=f"199{number}-01-01").save()

    search = client.resources("Patient").search(family=family).sort("birthdate").limit(3)

    assert [found["birthDate"][:4] async for found in search] == [
        "1990",
        "1991",
        "1992",
        "1993",
        "1994",
        "1995",
        "1996",
    ]


async def test_fhirpy_follows_references(client: AsyncFHIRClient) -> None:
    made = patient(client, "Subject")
    await made.save()
    pulse = client.resource(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        subject=made.to_reference(),
        valueQuantity={"value": 61.50, "unit": "/min"},
    )
    await pulse.save()

    found = await client.resources("Observation").search(patient=made.id, code="8867-4").get()
    assert found.id == pulse.id
    assert (await found["subject"].to_resource()).id == made.id


async def test_fhirpy_updates_conditionally(client: AsyncFHIRClient) -> None:
    made = patient(client, "First")
    search = client.resources("Patient").search(
        identifier=f"{SYSTEM}|{made['identifier'][0]['value']}"
    )

    first, created = await search.update(made)
    again = {**made, "name": [{"family": "Second"}]}
    second, created_again = await search.update(client.resource("Patient", **again))

    assert (created, created_again) == (True, False)
    assert first.id == second.id
    assert second["name"] == [{"family": "Second"}]


async def test_fhirpy_deletes(client: AsyncFHIRClient) -> None:
    made = patient(client, "Gone")
    await made.save()
    await made.delete()

    with pytest.raises(ResourceNotFound):
        await client.reference("Patient", made.id).to_resource()
    assert await client.resources("Patient").search(_id=made.id).fetch() == []


async def test_fhirpy_understands_a_refusal(client: AsyncFHIRClient) -> None:
    wrong = client.resource("Patient", birthDate="the thirteenth of May")
    with pytest.raises(OperationOutcome) as refused:
        await wrong.save()
    assert refused.value.resource["issue"][0]["expression"] == ["Patient.birthDate"]
