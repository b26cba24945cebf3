"""A server, forms and what a population says of them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.interactions.services import Policy
from server.rest import Limits
from tests.rest.house import STORES, Clock, House, observation, patient

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
KNOWN = "https://tellonce.org/fhir/StructureDefinition/known"
ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
WEIGHT = {"system": LOINC, "code": "29463-7"}
PERFORMER = [{"reference": "Practitioner/p", "display": "Dr. Weiss"}]


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    made = House(STORES[request.param](tmp_path, clock), clock, Policy(), Limits())
    yield made
    await made.app.stop(grace_s=5)
    await made.store.close()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        await put(made, JANE)
        yield made


JANE = patient(
    "a",
    birthDate="1980-02-03",
    gender="female",
    name=[{"family": "Doe", "given": ["Jane", "Quill"]}],
    telecom=[
        {"system": "phone", "value": "555-1", "use": "home"},
        {"system": "email", "value": "jane@h.test"},
    ],
)


async def put(client: httpx.AsyncClient, *resources: dict[str, Any]) -> None:
    for one in resources:
        answer = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code in (200, 201), answer.text


def expression(
    text: str, language: str = "text/fhirpath", name: str | None = None
) -> dict[str, Any]:
    own = {"name": name} if name is not None else {}
    return {**own, "language": language, "expression": text}


def initial(text: str, language: str = "text/fhirpath") -> dict[str, Any]:
    return {"url": f"{SDC}initialExpression", "valueExpression": expression(text, language)}


def variable(name: str, text: str, language: str = "text/fhirpath") -> dict[str, Any]:
    url = "http://hl7.org/fhir/StructureDefinition/variable"
    return {"url": url, "valueExpression": expression(text, language, name)}


def query(name: str, text: str) -> dict[str, Any]:
    return variable(name, text, "application/x-fhir-query")


def context(name: str, text: str, language: str = "text/fhirpath") -> dict[str, Any]:
    url = f"{SDC}itemPopulationContext"
    return {"url": url, "valueExpression": expression(text, language, name)}


def launch(name: str, type_: str) -> dict[str, Any]:
    return {
        "url": f"{SDC}launchContext",
        "extension": [
            {"url": "name", "valueCoding": {"code": name}},
            {"url": "type", "valueCode": type_},
        ],
    }


def link(value: int = 1, code: str = "a") -> dict[str, Any]:
    duration = {"value": value, "system": UCUM, "code": code}
    return {"url": f"{SDC}observationLinkPeriod", "valueDuration": duration}


def unit(code: str) -> dict[str, Any]:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
    return {"url": url, "valueCoding": {"system": UCUM, "code": code, "display": code}}


def item(link_id: str, type_: str, *extensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    own = {"extension": list(extensions)} if extensions else {}
    return {"linkId": link_id, "type": type_, **own, **more}


def asked(link_id: str, type_: str, text: str, **more: Any) -> dict[str, Any]:
    """Return an item with an initial expression."""
    return item(link_id, type_, initial(text), **more)


def form(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "http://h.test/q",
        "version": "1",
        "status": "active",
        "item": list(items),
        **more,
    }


def kilograms(value: float, id_: str = "w", **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": "kg", "system": UCUM, "code": "kg"}
    made = observation("Patient/a", id_, code="29463-7", performer=PERFORMER)
    return {**made, "effectiveDateTime": "2025-12-30", "valueQuantity": quantity, **more}


async def populate(
    client: httpx.AsyncClient, questionnaire: dict[str, Any], *given: dict[str, Any]
) -> dict[str, Any]:
    """Populate a form that is sent; return the Parameters."""
    listed = [
        {"name": "subject", "valueReference": {"reference": "Patient/a"}},
        {"name": "questionnaire", "resource": questionnaire},
        *given,
    ]
    body = {"resourceType": "Parameters", "parameter": listed}
    answer = await client.post("/Questionnaire/$populate", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = json.loads(answer.content)
    return made


def response(made: dict[str, Any]) -> dict[str, Any]:
    found = [p["resource"] for p in made["parameter"] if p["name"] == "response"]
    assert len(found) == 1
    only: dict[str, Any] = found[0]
    return only


def issues(made: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    """Return text and place of each warning."""
    found = [p["resource"] for p in made["parameter"] if p["name"] == "issues"]
    return [(i["diagnostics"], i.get("expression")) for o in found for i in o["issue"]]


Row = tuple[str, str, list[Any], list[str]]


def table(made: dict[str, Any]) -> dict[str, Row]:
    """Return state, rule, answers and sources of every question, the last repetition of each."""
    return dict(rows(made))


def rows(made: dict[str, Any]) -> list[tuple[str, Row]]:
    """Return the same in the order of the response, with every repetition."""
    found: list[tuple[str, Row]] = []
    todo = list(response(made).get("item", []))
    while todo:
        one = todo.pop(0)
        answers = one.get("answer", [])
        inner = [i for a in answers for i in a.get("item", [])]
        todo = [*one.get("item", []), *inner, *todo]
        for extension in one.get("extension", []):
            assert extension["url"] == KNOWN
            found.append((one["linkId"], _row(extension["extension"], answers)))
    return found


def _row(parts: list[dict[str, Any]], answers: list[dict[str, Any]]) -> Row:
    said = {part["url"]: part for part in parts}
    auto = {"url": ORIGIN, "extension": [{"url": "source", "valueCode": "auto"}]}
    assert all(answer["extension"] == [auto] for answer in answers)
    values = [next(v for k, v in a.items() if k.startswith("value")) for a in answers]
    sources = [p["valueReference"]["reference"] for p in parts if p["url"] == "source"]
    rule = said.get("rule", {}).get("valueString", "")
    return said["state"]["valueCode"], rule, values, sources
