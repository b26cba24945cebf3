"""Confirming: the statement is re-dated, the fact stays the one that it was (C2, C6)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import SYSTEM, AccessContext, Permit
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.scopes import parse
from server.continuity.confirmed import confirmations
from server.continuity.site import Site
from server.continuity.statement import Author, Source
from server.fhir.dates import interval
from server.interactions.audit_log import AuditLog
from server.interactions.services import Policy
from server.operations import extract
from server.operations.registry import Call
from server.rest import Limits
from tests.continuity.extracting import (
    AUTHORED,
    KNOWN,
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
from tests.continuity.test_extract_definitions import ALLERGY, PENICILLIN, makes, question
from tests.rest.house import BASE, CALLERS, START, STORES, Clock, House

__all__ = ["client", "house"]

SOURCE = "AllergyIntolerance/theirs/_history/1"
SAID = interval(AUTHORED)[0]
ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"


def theirs(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "id": "theirs",
        "patient": {"reference": "Patient/a"},
        "asserter": {"reference": "Practitioner/doc"},
        "recordedDate": "2020-01-01",
        "code": {"coding": [PENICILLIN]},
        **more,
    }


def allergies() -> dict[str, Any]:
    items = [question("what", "choice", f"{ALLERGY}#AllergyIntolerance.code")]
    return form(
        [{"linkId": "allergy", "type": "group", "extension": [makes(ALLERGY)], "item": items}]
    )


def answered(
    *, confirmed: bool = True, code: dict[str, Any] = PENICILLIN, source: str = SOURCE, **more: Any
) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"url": "state", "valueCode": "confirm"},
        {"url": "source", "valueReference": {"reference": source}},
    ]
    if confirmed:
        parts.append({"url": "confirmed", "valueBoolean": True})
    item = {
        "linkId": "what",
        "extension": [{"url": KNOWN, "extension": parts}],
        "answer": [{"valueCoding": code}],
    }
    return response([{"linkId": "allergy", "item": [item]}], **more)


async def told(house: House, number: int = 1, access: AccessContext = SYSTEM) -> dict[str, Any]:
    source = Source("AllergyIntolerance", "theirs", number)
    return dict(await confirmations(house.services, access, [source]))


@pytest.fixture
async def record(client: httpx.AsyncClient) -> None:
    await put(client, {"resourceType": "Patient", "id": "a"})
    await put(client, theirs())
    await put(client, allergies())


@pytest.mark.usefixtures("record")
async def test_a_confirmed_answer_makes_no_second_fact_and_re_dates_the_first(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())

    made = await extracted(client, commit=True)
    await extracted(client, commit=True)

    assert [one["id"] for one in await stored(client, "AllergyIntolerance")] == ["theirs"]
    assert (await client.get("/AllergyIntolerance/theirs")).json()["meta"]["versionId"] == "1"
    assert len(made["return"]["entry"]) == 1
    assert len(await stored(client, "Provenance")) == 1
    assert await told(house) == {SOURCE: (SAID, Author("patient", "Patient/a"))}


@pytest.mark.usefixtures("record")
async def test_an_answer_that_nobody_touched_is_not_said_again(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered(confirmed=False))

    made = await extracted(client, commit=True)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "item 'what' was filled in, and nobody confirmed it"
    )
    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_dtr_says_that_somebody_touched_it(house: House, client: httpx.AsyncClient) -> None:
    sent = answered(confirmed=False)
    origin = {"url": ORIGIN, "extension": [{"url": "source", "valueCode": "override"}]}
    sent["item"][0]["item"][0]["answer"][0]["extension"] = [origin]
    await put(client, sent)

    await extracted(client, commit=True)

    assert list(await told(house)) == [SOURCE]


@pytest.mark.usefixtures("record")
async def test_a_proxys_confirmation_is_a_proxys(house: House, client: httpx.AsyncClient) -> None:
    mum = {"reference": "RelatedPerson/mum"}
    await put(client, {**answered(), "author": {"reference": "Practitioner/n"}, "source": mum})

    await extracted(client, commit=True)

    assert (await told(house))[SOURCE][1] == Author("proxy", "RelatedPerson/mum")


@pytest.mark.usefixtures("record")
async def test_another_answer_is_another_fact_of_its_author_and_both_stay(
    house: House, client: httpx.AsyncClient
) -> None:
    latex = {"system": "http://snomed.info/sct", "code": "300916003"}
    await put(client, answered(code=latex))

    await extracted(client, commit=True)

    found = await stored(client, "AllergyIntolerance")
    assert sorted(
        (one["asserter"]["reference"], one["code"]["coding"][0]["code"]) for one in found
    ) == [("Patient/a", "300916003"), ("Practitioner/doc", "91936005")]
    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_who_said_otherwise_is_asked_to_look_at_it_again_once(
    client: httpx.AsyncClient,
) -> None:
    latex = {"system": "http://snomed.info/sct", "code": "300916003"}
    await put(client, answered(code=latex))

    await extracted(client, commit=True)
    await extracted(client, commit=True)

    (task,) = await stored(client, "Task")
    assert (task["owner"], task["focus"], task["reasonReference"], task["for"]) == (
        {"reference": "Practitioner/doc"},
        {"reference": SOURCE},
        {"reference": "QuestionnaireResponse/r/_history/1"},
        {"reference": "Patient/a"},
    )


@pytest.mark.usefixtures("record")
async def test_who_corrects_themselves_is_not_asked(client: httpx.AsyncClient) -> None:
    latex = {"system": "http://snomed.info/sct", "code": "300916003"}
    await put(client, answered(code=latex, author={"reference": "Practitioner/doc"}))

    await extracted(client, commit=True)

    assert await stored(client, "Task") == []


@pytest.mark.usefixtures("record")
async def test_an_amended_response_takes_its_confirmation_back(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)
    await put(client, answered(confirmed=False, status="amended"))

    await extracted(client, commit=True)

    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_a_response_made_in_error_confirms_nothing_even_before_it_is_extracted_again(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)

    await put(client, answered(status="entered-in-error"))

    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_a_re_sent_version_is_still_confirmed_and_a_changed_one_is_not(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)

    await put(client, theirs(meta={"source": "urn:feed"}))
    again = await told(house, 2)
    await put(client, theirs(criticality="high"))
    changed = await told(house, 3)

    assert list(again) == ["AllergyIntolerance/theirs/_history/2"]
    assert changed == {}


@pytest.mark.usefixtures("record")
async def test_who_may_not_see_the_confirmation_is_not_told_of_it(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)
    only = AccessContext("user/x", "app", (Permit("AllergyIntolerance"),))

    assert await told(house, access=only) == {}


@pytest.mark.usefixtures("record")
async def test_the_future_confirms_nothing(house: House, client: httpx.AsyncClient) -> None:
    await put(client, answered(authored="2027-01-01T00:00:00Z"))

    await extracted(client, commit=True)

    assert await told(house) == {}


@pytest.mark.usefixtures("record")
async def test_a_response_without_a_time_re_dates_nothing(
    house: House, client: httpx.AsyncClient
) -> None:
    sent = answered()
    del sent["authored"]
    await put(client, sent)

    made = await extracted(client, commit=True)

    assert await told(house) == {}
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "the response does not say when it was authored: nothing is re-dated"
    )


@pytest.mark.usefixtures("record")
async def test_a_source_of_another_patient_is_none(house: House, client: httpx.AsyncClient) -> None:
    await put(client, {"resourceType": "Patient", "id": "b"})
    await put(client, {**theirs(), "id": "other", "patient": {"reference": "Patient/b"}})
    await put(client, answered(source="AllergyIntolerance/other/_history/1"))

    await extracted(client, commit=True)

    other = Source("AllergyIntolerance", "other", 1)
    assert dict(await confirmations(house.services, SYSTEM, [other])) == {}


async def test_a_patient_may_confirm_although_she_may_not_write_allergies(
    house: House, client: httpx.AsyncClient
) -> None:
    """The server tells who said it, as of every write; the facts need the caller's rights."""
    await given(client, allergies(), answered())
    await put(client, theirs())
    reads = Permit("*", frozenset(("read", "search")))
    writes = Permit("Observation", frozenset(("create",)), compartment="Patient/a")
    CALLERS["limited"] = AccessContext("user/a", "app", (reads, writes), person="Patient/a")
    try:
        async with house.client("limited") as patient:
            await extracted(patient, commit=True)
            latex = {"system": "http://snomed.info/sct", "code": "300916003"}
            await put(client, answered(code=latex, status="amended"))
            refused = await patient.post(
                "/QuestionnaireResponse/r/$extract",
                json={
                    "resourceType": "Parameters",
                    "parameter": [{"name": "commit", "valueBoolean": True}],
                },
            )
    finally:
        del CALLERS["limited"]

    assert list(await told(house)) == [SOURCE]
    assert refused.status_code == 403


async def test_confirming_an_element_confirms_none_of_its_neighbours(
    house: House, client: httpx.AsyncClient
) -> None:
    telecom = [{"system": "phone", "value": "1"}]
    person = {
        "resourceType": "Patient",
        "id": "a",
        "telecom": telecom,
        "address": [{"city": "Bonn"}],
    }
    mark = {
        "url": "https://tellonce.org/fhir/StructureDefinition/known",
        "extension": [
            {"url": "source", "valueReference": {"reference": "Patient/a/_history/1"}},
            {"url": "confirmed", "valueBoolean": True},
        ],
    }
    city = {
        "linkId": "city",
        "type": "string",
        "definition": "http://hl7.org/fhir/StructureDefinition/Patient#Patient.address.city",
    }
    await put(client, person)
    await put(client, form([city]))
    answers = [{"linkId": "city", "extension": [mark], "answer": [{"valueString": "Bonn"}]}]
    await put(client, response(answers))

    made = await extracted(client, commit=True)

    assert len(await stored(client, "Provenance")) == 1, made
    places = ["Patient.address[0].city", "Patient.telecom[0]", ""]
    found = await confirmations(
        house.services, SYSTEM, [Source("Patient", "a", 1, path) for path in places]
    )
    assert list(found) == ["Patient/a/_history/1#Patient.address[0].city"]


@pytest.mark.usefixtures("record")
async def test_what_is_typed_and_is_there_already_is_no_second_fact(
    house: House, client: httpx.AsyncClient
) -> None:
    """A client that keeps no extensions: the answer equals what the record has for the item."""
    items = [{"linkId": "what", "answer": [{"valueCoding": PENICILLIN}]}]
    await put(client, response([{"linkId": "allergy", "item": items}]))

    await extracted(client, commit=True)

    assert [one["id"] for one in await stored(client, "AllergyIntolerance")] == ["theirs"]
    assert list(await told(house)) == [SOURCE]


@pytest.mark.usefixtures("record")
async def test_extracting_again_does_not_take_its_own_fact_for_anothers(
    client: httpx.AsyncClient,
) -> None:
    latex = {"system": "http://snomed.info/sct", "code": "300916003"}
    items = [{"linkId": "what", "answer": [{"valueCoding": latex}]}]
    await put(client, response([{"linkId": "allergy", "item": items}]))

    await extracted(client, commit=True)
    await extracted(client, commit=True)

    found = [one for one in await stored(client, "AllergyIntolerance") if one["id"] != "theirs"]
    assert [(one["meta"]["versionId"], "verificationStatus" in one) for one in found] == [
        ("1", False)
    ]


async def test_a_hidden_source_changes_nothing_of_the_answer(tmp_path: Path) -> None:
    """C7: with the source hidden and without one, the same Bundle and the same issues."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    hidden = (f"{label['system']}|{label['code']}",)
    CALLERS["narrow"] = AccessContext("user/n", "app", (Permit("*", hidden=hidden),))
    answers = []
    try:
        for there in (True, False):
            clock = Clock()
            one = House(STORES["memory"](tmp_path, clock), clock, Policy(), Limits())
            async with one.client() as all_, one.client("narrow") as narrow:
                await given(all_, allergies(), answered())
                if there:
                    await put(all_, theirs(meta={"security": [label]}))
                answers.append(await extracted(narrow))
            await one.app.stop(grace_s=1)
    finally:
        del CALLERS["narrow"]

    assert answers[0] == answers[1]
    assert len(facts(answers[0]["return"])) == 1


@pytest.mark.usefixtures("record")
async def test_a_patient_sees_that_it_was_confirmed_and_another_patient_does_not(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    await extracted(client, commit=True)
    policy, scopes = load_policy(), parse("patient/*.rs")

    found = []
    for patient in ("Patient/a", "Patient/b"):
        person = Person("x", ("patient",), patient)
        allowed = permits(policy, person, scopes, patient, START, base_url=BASE)
        access = AccessContext("user/x", "app", allowed, patient, patient)
        found.append(list(await told(house, access=access)))

    assert found == [[SOURCE], []]


@pytest.mark.usefixtures("record")
async def test_a_patients_app_confirms_under_the_policy_that_ships_with_audit(
    house: House, client: httpx.AsyncClient
) -> None:
    await put(client, answered())
    services = house.services
    audit = AuditLog(house.store, services.now, services.new_id, BASE)
    policy = load_policy()
    real = replace(services, audit=audit, access_policy=policy)
    person = Person("a", ("patient",), "Patient/a")
    allowed = permits(policy, person, parse("patient/*.cruds"), "Patient/a", START, base_url=BASE)
    access = AccessContext("user/a", "app", allowed, "Patient/a", "Patient/a")
    call = Call(real, access, "QuestionnaireResponse", "r", {"commit": True})

    answer = json.loads(await extract.operation(Site())(call))  # type: ignore[arg-type]

    assert answer["parameter"][0]["resource"]["entry"][0]["response"]["status"] == "201 Created"
    assert list(await told(house, access=access)) == [SOURCE]
    assert await stored(client, "AuditEvent") != []
