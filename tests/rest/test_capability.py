"""The CapabilityStatement is valid, true, and the same until the server is another one."""

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from server import rest
from server.fhir import definitions
from server.interactions.services import Policy
from server.operations import OPERATIONS
from tests.rest.house import BASE, House, authenticate


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
    assert patient["searchInclude"][:2] == ["*", "Patient:*"]
    assert "Patient:organization" in patient["searchInclude"]
    assert patient["searchRevInclude"][0] == "*"
    location = next(r for r in rest["resource"] if r["type"] == "Location")
    kinds = {p["name"]: p["type"] for p in location["searchParam"]}
    assert kinds["near"] == kinds["_filter"] == kinds["_has"] == kinds["_list"] == "special"
    assert "_query" not in kinds
    observation = next(r for r in rest["resource"] if r["type"] == "Observation")
    assert {"name": "code-value-quantity", "type": "composite"}.items() <= next(
        p for p in observation["searchParam"] if p["name"] == "code-value-quantity"
    ).items()
    assert "_contained" in rest["documentation"]
    assert "Observation:subject" in patient["searchRevInclude"]
    assert {o["name"] for o in patient["operation"]} >= {
        "validate", "meta", "meta-add", "meta-delete", "everything", "explain-access",
    }  # fmt: skip
    assert location["conditionalDelete"] == "single"
    assert "xml" not in " ".join(statement["format"])


async def test_every_search_parameter_that_it_names_works(
    house: House, statement: dict[str, Any]
) -> None:
    values = {
        "date": "2020", "number": "1", "quantity": "1", "token": "a", "string": "a",
        "reference": "Patient/a", "uri": "http://a",
    }  # fmt: skip
    own = {
        "_filter": "_id eq a", "_list": "a", "_text": "a", "_content": "a", "near": "1|1|1|km",
    }  # fmt: skip
    (rest,) = statement["rest"]

    def value(type_: str, parameter: dict[str, Any]) -> str:
        if parameter["type"] != "composite":
            return own.get(parameter["name"]) or values[parameter["type"]]
        parts = definitions.search_parameters(type_)[parameter["name"]].components
        by_url = {p.url: p for p in definitions.all_search_parameters()}
        return "$".join(values[by_url[url].type] for url, _ in parts)

    wrong = []
    async with house.client() as client:
        for described in rest["resource"]:
            if described["type"] not in (
                "Patient", "Observation", "ValueSet", "RiskAssessment", "Location",
            ):  # fmt: skip
                continue
            for parameter in described["searchParam"]:
                name = parameter["name"]
                if name == "_has":
                    name, asked = "_has:List:item:_id", "a"
                else:
                    asked = value(described["type"], parameter)
                address = f"/{described['type']}?{name}={asked}"
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
    account, *_ = statement["rest"][0]["resource"]
    assert account["updateCreate"] is False
    location = of_type(statement, "Location")
    assert location["conditionalDelete"] == "multiple"


def of_type(statement: dict[str, Any], type_: str) -> dict[str, Any]:
    (found,) = [r for r in statement["rest"][0]["resource"] if r["type"] == type_]
    return dict(found)


def codes(described: dict[str, Any]) -> set[str]:
    return {one["code"] for one in described["interaction"]}


async def test_it_does_not_claim_what_the_rules_forbid(statement: dict[str, Any]) -> None:
    patient, location = of_type(statement, "Patient"), of_type(statement, "Location")
    assert codes(location) - codes(patient) == {"delete"}
    assert patient["conditionalDelete"] == "not-supported"


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_it_says_that_patients_can_be_deleted_where_they_can(
    statement: dict[str, Any],
) -> None:
    patient = of_type(statement, "Patient")
    assert "delete" in codes(patient)
    assert patient["conditionalDelete"] == "single"


@pytest.mark.parametrize("policy", [Policy(delete="allow")])
async def test_audit_events_can_be_read_and_nothing_else(statement: dict[str, Any]) -> None:
    described = of_type(statement, "AuditEvent")
    assert codes(described) == {
        "read", "vread", "history-instance", "history-type", "search-type",
    }  # fmt: skip
    assert {n: described[n] for n in described if n.startswith(("cond", "updateC"))} == {
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }
    assert {o["name"] for o in described["operation"]} == {"validate", "meta", "explain-access"}


OAUTH = {
    "authorize": "http://fhir.test/auth/authorize",
    "token": "http://fhir.test/auth/token",
    "introspect": "http://fhir.test/auth/introspect",
    "revoke": "http://fhir.test/auth/revoke",
}


async def test_it_says_where_the_authorization_server_is(house: House) -> None:
    app = rest.build(house.services, authenticate=authenticate, oauth=OAUTH)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        answer = await client.get("/metadata")
    CapabilityStatement.model_validate_json(answer.content)
    security = answer.json()["rest"][0]["security"]
    assert security["cors"] is True
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    (extension,) = security["extension"]
    assert extension["url"] == (
        "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    )
    assert extension["extension"] == [
        {"url": "authorize", "valueUri": "http://fhir.test/auth/authorize"},
        {"url": "token", "valueUri": "http://fhir.test/auth/token"},
        {"url": "introspect", "valueUri": "http://fhir.test/auth/introspect"},
        {"url": "revoke", "valueUri": "http://fhir.test/auth/revoke"},
    ]


async def test_without_one_it_says_nothing_of_it(statement: dict[str, Any]) -> None:
    assert {"extension", "service"}.isdisjoint(statement["rest"][0]["security"])


def test_every_operation_says_what_it_is_for() -> None:
    for operation in OPERATIONS:
        assert operation.documentation.endswith("."), operation.code
        base, _, name = operation.definition.partition("/OperationDefinition/")
        assert base in (
            "http://hl7.org/fhir",
            "http://hl7.org/fhir/uv/ips",
            "http://hl7.org/fhir/uv/sdc",
            "https://tellonce.org/fhir",
        )
        assert name
        assert all(param.documentation for param in operation.params)
