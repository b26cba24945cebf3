"""The CapabilityStatement is valid, true, and the same until the server is another one."""

from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from server.fhir import definitions
from server.interactions.services import Policy
from server.operations import OPERATIONS
from tests.rest.house import House


@pytest.fixture
async def statement(house: House) -> dict[str, Any]:
    async with house.client(None) as client:
        answer = await client.get("/metadata")
    CapabilityStatement.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


async def test_it_names_what_there_is(statement: dict[str, Any]) -> None:
    (rest,) = statement["rest"]
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["date"] == "2026-01-02T03:04:05.678Z"
    assert statement["implementation"]["url"] == "http://fhir.test/fhir"
    assert {r["type"] for r in rest["resource"]} == definitions.resource_types()
    patient = next(r for r in rest["resource"] if r["type"] == "Patient")
    assert {"name": "birthdate", "type": "date"}.items() <= next(
        p for p in patient["searchParam"] if p["name"] == "birthdate"
    ).items()
    assert "Patient:organization" in patient["searchInclude"]
    assert "Observation:subject" in patient["searchRevInclude"]
    assert {o["name"] for o in patient["operation"]} == {
        "validate", "meta", "meta-add", "meta-delete", "everything",
    }  # fmt: skip
    assert patient["conditionalDelete"] == "single"
    assert "xml" not in " ".join(statement["format"])


async def test_every_search_parameter_that_it_names_works(
    house: House, statement: dict[str, Any]
) -> None:
    values = {
        "date": "2020", "number": "1", "quantity": "1", "token": "a", "string": "a",
        "reference": "Patient/a", "uri": "http://a",
    }  # fmt: skip
    (rest,) = statement["rest"]
    wrong = []
    async with house.client() as client:
        for described in rest["resource"]:
            if described["type"] not in ("Patient", "Observation", "ValueSet", "RiskAssessment"):
                continue
            for parameter in described["searchParam"]:
                address = f"/{described['type']}?{parameter['name']}={values[parameter['type']]}"
                strict = {"Prefer": "handling=strict"}
                answer = await client.get(address, headers=strict)
                if answer.status_code != 200:
                    wrong.append((address, answer.text))
    assert wrong == []


async def test_it_is_made_once_and_read_conditionally(house: House) -> None:
    async with house.client(None) as client:
        first = await client.get("/metadata")
        house.clock.at += 1_000_000
        second = await client.get("/metadata")
        known = await client.get("/metadata", headers={"If-None-Match": first.headers["etag"]})
    assert first.content == second.content
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("policy", [Policy(conditional_delete="multiple", update_creates=False)])
async def test_it_follows_the_rules_of_the_operator(statement: dict[str, Any]) -> None:
    resource = statement["rest"][0]["resource"][0]
    assert resource["conditionalDelete"] == "multiple"
    assert resource["updateCreate"] is False


def test_every_operation_says_what_it_is_for() -> None:
    for operation in OPERATIONS:
        assert operation.documentation.endswith("."), operation.code
        assert operation.definition.startswith("http://hl7.org/fhir/OperationDefinition/")
        assert all(param.documentation for param in operation.params)
