"""Whose word it is, whatever a form, a response or a Provenance claims (C2, C6)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import AccessContext
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.scopes import parse
from server.continuity.site import Site
from server.continuity.statement import Author
from server.interactions.audit_log import AuditLog
from server.interactions.bundle import process
from server.interactions.services import Services
from server.operations import extract
from server.operations.registry import Call
from tests.continuity.extracting import (
    AUTHORED,
    KNOWN,
    SDC,
    client,
    extracted,
    facts,
    form,
    given,
    house,
    put,
    response,
    stored,
)
from tests.continuity.stores import house_on
from tests.continuity.test_confirm import ORIGIN, SAID, SOURCE, allergies, answered, theirs, told
from tests.continuity.test_extract_definitions import ALLERGY, PENICILLIN, question
from tests.continuity.test_extract_enabled import asked
from tests.rest.house import BASE, START, House

__all__ = ["client", "house"]

DOCTOR = {"reference": "Practitioner/doc"}
NARROW = " ".join(
    f"patient/{one}"
    for one in (
        "AllergyIntolerance.rs",
        "Patient.rs",
        "Questionnaire.rs",
        "QuestionnaireResponse.cruds",
    )
)
NO_ALLERGY = {"system": "http://snomed.info/sct", "code": "716186003"}


@pytest.fixture
async def record(client: httpx.AsyncClient) -> None:
    await put(client, {"resourceType": "Patient", "id": "a"})
    await put(client, theirs())
    await put(client, allergies())


def of_patient(house: House, scopes: str) -> tuple[Services, AccessContext]:
    """Return a server with audit and the policy that ships, and the app of its patient."""
    services = house.services
    audit, policy = AuditLog(house.store, services.now, services.new_id, BASE), load_policy()
    real = replace(services, audit=audit, access_policy=policy)
    person = Person("a", ("patient",), "Patient/a")
    allowed = permits(policy, person, parse(scopes), "Patient/a", START, base_url=BASE)
    return real, AccessContext("user/a", "app", allowed, "Patient/a", "Patient/a")


async def extracted_by(
    services: Services, access: AccessContext, sent: dict[str, Any]
) -> dict[str, Any]:
    """Create a response and extract it with commit, as one app; return the answer by name."""
    entry = {"resource": sent, "request": {"method": "POST", "url": "QuestionnaireResponse"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = json.loads(await process(services, access, bundle, prefer="representation"))
    id_ = answer["entry"][0]["resource"]["id"]
    call = Call(services, access, "QuestionnaireResponse", id_, {"commit": True})
    made = json.loads(await extract.operation(Site())(call))  # type: ignore[arg-type]
    return {one["name"]: one["resource"] for one in made["parameter"]}


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("scopes", ["patient/*.cruds", NARROW])
@pytest.mark.parametrize("lie", [{"author": DOCTOR}, {"source": DOCTOR}, {"author": None}])
async def test_a_patients_app_that_writes_as_the_doctor_confirms_as_the_patient(
    house: House, scopes: str, lie: dict[str, Any]
) -> None:
    services, access = of_patient(house, scopes)
    sent = {name: part for name, part in {**answered(), **lie}.items() if part is not None}

    await extracted_by(services, access, sent)

    assert await told(house) == {SOURCE: (SAID, Author("patient", "Patient/a"))}


def provenance(who: str = "Practitioner/doc", **more: Any) -> dict[str, Any]:
    """Return a confirmation that somebody made up."""
    codings = {
        "activity": ("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "verify"),
        "type": ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "verifier"),
    }
    said = {
        name: {"coding": [{"system": system, "code": code}]}
        for name, (system, code) in codings.items()
    }
    return {
        "resourceType": "Provenance",
        "id": "forged",
        "target": [{"reference": SOURCE}],
        "occurredDateTime": AUTHORED,
        "recorded": AUTHORED,
        "activity": said["activity"],
        "agent": [{"type": said["type"], "who": {"reference": who}}],
        **more,
    }


def of_response(number: int = 1, id_: str = "r") -> list[Any]:
    reference = f"QuestionnaireResponse/{id_}/_history/{number}"
    return [{"role": "source", "what": {"reference": reference}}]


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize(
    ("forged", "counts"),
    [
        pytest.param(provenance(), False, id="of no response"),
        pytest.param(provenance(entity=of_response()), False, id="in another's name"),
        pytest.param(provenance(entity=of_response(9)), False, id="of no version"),
        pytest.param(provenance(entity=of_response(1, "x")), False, id="of none that is there"),
        pytest.param(
            provenance("Patient/a", entity=of_response(), occurredDateTime="2026-01-02T03:01:00Z"),
            False,
            id="of another time",
        ),
        pytest.param(provenance("Patient/a", entity=of_response()), True, id="that is true"),
    ],
)
async def test_a_provenance_confirms_what_a_response_says_and_nothing_else(
    house: House, client: httpx.AsyncClient, forged: dict[str, Any], counts: bool
) -> None:
    await put(client, answered())

    await put(client, forged)

    assert list(await told(house)) == ([SOURCE] if counts else [])


@pytest.mark.usefixtures("record")
async def test_a_confirmation_ends_with_the_response_that_it_was_said_in(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)
    await put(client, answered(status="stopped"))

    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_a_clinicians_confirmation_is_not_taken_back_by_a_patients_form(
    house: House, client: httpx.AsyncClient
) -> None:
    doctors = answered(id="d", author=DOCTOR)
    await put(client, doctors)
    await put(client, answered())
    both = [*of_response(1, "d"), *of_response()]
    await put(client, provenance(entity=both))

    await put(client, answered(confirmed=False, status="amended"))
    await extracted(client, commit=True)

    assert list(await told(house)) == [SOURCE]


def unsigned() -> dict[str, Any]:
    """Return an allergy of which nobody knows who said it: a message had it."""
    return {name: part for name, part in theirs().items() if name != "asserter"}


def updating(type_: str, path: str) -> dict[str, Any]:
    """Return a form whose answer goes into a resource with the id ``theirs``."""
    named = {"language": "application/x-fhir-query", "expression": f"{type_}/{{{{'theirs'}}}}"}
    extension = [{"url": f"{SDC}itemExtractionContext", "valueExpression": named}]
    items = [question("what", "choice", f"{ALLERGY.rpartition('/')[0]}/{type_}#{type_}.{path}")]
    return form([{"linkId": "g", "type": "group", "extension": extension, "item": items}])


@pytest.mark.parametrize("author", [None, {"reference": "Patient/a"}])
async def test_what_nobody_signed_is_not_overwritten(
    client: httpx.AsyncClient, author: dict[str, Any] | None
) -> None:
    group = {"linkId": "g", "item": [{"linkId": "what", "answer": [{"valueCoding": NO_ALLERGY}]}]}
    sent = response([group], author=author)
    questionnaire = updating("AllergyIntolerance", "code")
    await put(client, unsigned())
    kept = {name: part for name, part in sent.items() if part is not None}
    await given(client, questionnaire, kept)

    await extracted(client, commit=True)

    (first, _second) = await stored(client, "AllergyIntolerance")
    assert first["id"] == "theirs"
    assert first["code"] == {"coding": [PENICILLIN]}


async def test_a_patients_form_does_not_change_what_was_ordered_for_them(
    client: httpx.AsyncClient,
) -> None:
    ordered = {
        "resourceType": "MedicationRequest",
        "id": "theirs",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "ramipril"},
        "subject": {"reference": "Patient/a"},
        "requester": DOCTOR,
    }
    await put(client, ordered)
    stop = {"system": "x:y", "code": "stopped"}
    group = {"linkId": "g", "item": [{"linkId": "what", "answer": [{"valueCoding": stop}]}]}
    await given(client, updating("MedicationRequest", "statusReason"), response([group]))

    made = await extracted(client)

    assert [one["request"]["method"] for one in made["return"]["entry"]] == ["POST", "POST"]
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "MedicationRequest/theirs is what somebody else said; this is said beside it"
    )


def filled(value: bool, state: str = "confirm", **said: Any) -> dict[str, Any]:
    parts = [{"url": "state", "valueCode": state}, *said.pop("parts", ())]
    origin = {"url": "source", "valueCode": said.pop("origin", "auto")}
    return {
        "linkId": "smokes",
        "extension": [{"url": KNOWN, "extension": parts}],
        "answer": [{"extension": [{"url": ORIGIN, "extension": [origin]}], "valueBoolean": value}],
    }


@pytest.mark.parametrize(
    ("item", "count"),
    [
        pytest.param(filled(False), 0, id="a default that nobody touched"),
        pytest.param(filled(True), 1, id="another value than the default"),
        pytest.param(filled(False, origin="manual"), 1, id="a default that was chosen"),
        pytest.param(
            filled(False, parts=[{"url": "confirmed", "valueBoolean": True}]), 1, id="confirmed"
        ),
    ],
)
async def test_a_default_that_nobody_touched_is_nobodys_word(
    client: httpx.AsyncClient, item: dict[str, Any], count: int
) -> None:
    items = [asked("smokes", "boolean", initial=[{"valueBoolean": False}])]
    await given(client, form(items), response([item]))

    made = await extracted(client)

    assert len(facts(made["return"])) == count
    told = "item 'smokes' was filled in, and nobody confirmed it"
    issues = made.get("issues", {"issue": []})["issue"]
    assert [one["diagnostics"] for one in issues] == [told] * (1 - count)


async def test_a_form_that_the_response_does_not_answer_gives_its_answers_no_meaning(
    client: httpx.AsyncClient,
) -> None:
    items = [{"linkId": "29463-7", "answer": [{"valueDecimal": 70}]}]
    await given(client, form([asked("29463-7")]), response(items))
    other = form([asked("29463-7")], url="https://forms.test/other")
    parameters = [{"name": "questionnaire", "resource": other}]

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract",
        json={"resourceType": "Parameters", "parameter": parameters},
    )

    assert refused.status_code == 400
    assert refused.json()["issue"][0]["diagnostics"] == (
        "the response answers https://forms.test/q, not https://forms.test/other"
    )


def weighing(**more: Any) -> dict[str, Any]:
    """Return a template of an Observation for an item ``x``."""
    return {
        "resourceType": "Observation",
        "id": "t",
        "status": "final",
        "code": {"text": "x"},
        **more,
    }


def by_template(template: dict[str, Any]) -> dict[str, Any]:
    named = {"url": "template", "valueReference": {"reference": "#t"}}
    extension = [{"url": f"{SDC}templateExtract", "extension": [named]}]
    item = {"linkId": "x", "type": "string", "extension": extension}
    return form([item], contained=[template])


X = {"linkId": "x", "answer": [{"valueString": "7"}]}


@pytest.mark.parametrize(
    "reference",
    [
        "Patient?identifier=urn:mrn|b",
        f"{BASE}/Patient?identifier=urn:mrn|b",
        "Patient/b",
        "Patient/b/_history/1",
        f"{BASE}/Patient/b",
    ],
)
async def test_a_form_that_names_another_patient_makes_nothing(
    client: httpx.AsyncClient, reference: str
) -> None:
    identifier = [{"system": "urn:mrn", "value": "b"}]
    await put(client, {"resourceType": "Patient", "id": "b", "identifier": identifier})
    template = weighing(subject={"reference": reference})
    await given(client, by_template(template), response([X]))
    parameters = [{"name": "commit", "valueBoolean": True}]

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract",
        json={"resourceType": "Parameters", "parameter": parameters},
    )

    assert refused.status_code == 422, refused.text
    assert await stored(client, "Observation") == []


async def test_a_form_makes_no_second_record_of_its_patient(client: httpx.AsyncClient) -> None:
    template = {"resourceType": "Patient", "id": "t", "gender": "female"}
    await given(client, by_template(template), response([X]))

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract",
        json={
            "resourceType": "Parameters",
            "parameter": [{"name": "commit", "valueBoolean": True}],
        },
    )

    assert refused.json()["issue"][0]["diagnostics"] == (
        "this would make a second record beside Patient/a; let it name its id"
    )
    assert [one["id"] for one in await stored(client, "Patient")] == ["a"]


async def test_a_response_about_the_wrong_patient_takes_back_what_it_said_of_them(
    client: httpx.AsyncClient,
) -> None:
    await put(client, {"resourceType": "Patient", "id": "b"})
    await given(client, by_template(weighing()), response([X], author=DOCTOR))
    await extracted(client, commit=True)

    right = {"subject": {"reference": "Patient/b"}, "author": DOCTOR, "status": "amended"}
    await put(client, response([X], **right))
    await extracted(client, commit=True)
    await extracted(client, commit=True)

    found = await stored(client, "Observation")
    assert sorted((one["subject"]["reference"], one["status"]) for one in found) == [
        ("Patient/a", "entered-in-error"),
        ("Patient/b", "final"),
    ]


async def test_what_somebody_removed_is_not_made_again(tmp_path: Path) -> None:
    async with house_on("memory", tmp_path) as house, house.client() as client:
        await given(client, by_template(weighing()), response([X]))
        await extracted(client, commit=True)
        (fact,) = await stored(client, "Observation")
        await client.delete(f"/Observation/{fact['id']}")

        made = await extracted(client, commit=True)

        assert await stored(client, "Observation") == []
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "this Observation was removed from the record since; it is not made again"
    )


async def test_a_template_that_grows_is_refused(client: httpx.AsyncClient) -> None:
    every = "%resource.repeat(item).answer.value.toChars()"
    context = {"url": f"{SDC}templateExtractContext", "valueString": every}
    note = [{"extension": [context], "text": "y" * 60_000}]
    long = {"linkId": "x", "answer": [{"valueString": "7" * 1_000}]}
    await given(client, by_template(weighing(note=note)), response([long]))

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract", json={"resourceType": "Parameters"}
    )

    assert refused.json()["issue"][0]["diagnostics"] == "the templates become larger than 20 MB"


async def test_a_response_that_names_thousands_of_sources_is_refused(
    client: httpx.AsyncClient,
) -> None:
    parts = [
        {"url": "source", "valueReference": {"reference": f"Observation/x/_history/{number}"}}
        for number in range(5_001)
    ]
    item = {**X, "extension": [{"url": KNOWN, "extension": parts}]}
    await given(client, by_template(weighing()), response([item]))

    refused = await client.post(
        "/QuestionnaireResponse/r/$extract", json={"resourceType": "Parameters"}
    )

    assert refused.json()["issue"][0]["code"] == "too-costly"


async def test_more_repetitions_than_are_made_are_none_and_an_error(
    client: httpx.AsyncClient,
) -> None:
    every = "%resource.repeat(item).answer.value.toChars()"
    note = [
        {
            "extension": [{"url": f"{SDC}templateExtractContext", "valueString": every}],
            "text": "y",
        }
    ]
    long = {"linkId": "x", "answer": [{"valueString": "7" * 1_001}]}
    await given(client, by_template(weighing(note=note)), response([long]))

    made = await extracted(client)

    assert "note" not in facts(made["return"])[0]
    assert made["issues"]["issue"][0]["diagnostics"] == "more than 1,000 repetitions of one element"
