"""Observation-based extraction.  SDC 4.0 extraction.html#observation-based-extraction."""

from typing import Any

import httpx
import pytest

from tests.continuity.extracting import (
    AUTHORED,
    EXTRACTED,
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

__all__ = ["client", "house"]

EXTRACT = {"url": f"{SDC}observationExtract", "valueBoolean": True}
KG = {
    "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
    "valueCoding": {"system": "http://unitsofmeasure.org", "code": "kg", "display": "kg"},
}
WEIGHT = {"system": "http://loinc.org", "code": "29463-7"}
SMOKES = {"system": "http://loinc.org", "code": "72166-2"}


def weight(**more: Any) -> dict[str, Any]:
    return {
        "linkId": "weight",
        "type": "decimal",
        "code": [WEIGHT],
        "extension": [EXTRACT, KG],
        **more,
    }


def observation(code: dict[str, Any], key: str, **value: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [code]},
        "subject": {"reference": "Patient/a"},
        "effectiveDateTime": AUTHORED,
        "issued": AUTHORED,
        "performer": [{"reference": "Patient/a"}],
        "derivedFrom": [{"reference": "QuestionnaireResponse/r/_history/1"}],
        "identifier": [{"system": EXTRACTED, "value": f"r#{key}~observation"}],
        **value,
    }


async def test_an_answer_becomes_an_observation_with_the_unit_of_the_question(
    client: httpx.AsyncClient,
) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))

    made = await extracted(client)

    quantity = {"value": 71.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    assert facts(made["return"]) == [observation(WEIGHT, "weight", valueQuantity=quantity)]
    assert made["return"]["entry"][0]["request"] == {
        "method": "POST",
        "url": "Observation",
        "ifNoneExist": "identifier=https%3A%2F%2Ftellonce.org%2Ffhir%2Fextracted%7C"
        "r%23weight~observation&patient=Patient%2Fa",
    }
    assert "issues" not in made
    assert await stored(client, "Observation") == []


async def test_each_fact_has_a_provenance_to_its_answer(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))

    bundle = (await extracted(client))["return"]

    provenance = bundle["entry"][1]["resource"]
    assert provenance == {
        "resourceType": "Provenance",
        "target": [{"reference": bundle["entry"][0]["fullUrl"]}],
        "recorded": "2026-01-02T03:04:05.678Z",
        "activity": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation",
                    "code": "CREATE",
                }
            ]
        },
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/"
                            "provenance-participant-type",
                            "code": "author",
                        }
                    ]
                },
                "who": {"reference": "Patient/a"},
            }
        ],
        "occurredDateTime": AUTHORED,
        "entity": [
            {
                "role": "source",
                "what": {
                    "extension": [
                        {
                            "url": "https://tellonce.org/fhir/StructureDefinition/answer",
                            "valueString": "weight",
                        }
                    ],
                    "reference": "QuestionnaireResponse/r/_history/1",
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("type_", "answer", "value"),
    [
        ("boolean", {"valueBoolean": False}, {"valueBoolean": False}),
        ("integer", {"valueInteger": 3}, {"valueInteger": 3}),
        ("decimal", {"valueDecimal": 1.50}, {"valueQuantity": {"value": 1.5}}),
        ("string", {"valueString": "tired"}, {"valueString": "tired"}),
        ("url", {"valueUri": "http://x.test"}, {"valueString": "http://x.test"}),
        ("date", {"valueDate": "2025-11"}, {"valueDateTime": "2025-11"}),
        ("time", {"valueTime": "08:30:00"}, {"valueTime": "08:30:00"}),
        (
            "choice",
            {"valueCoding": {"system": "s", "code": "c"}},
            {"valueCodeableConcept": {"coding": [{"system": "s", "code": "c"}]}},
        ),
        (
            "quantity",
            {"valueQuantity": {"value": 2, "unit": "h"}},
            {"valueQuantity": {"value": 2, "unit": "h"}},
        ),
    ],
)
async def test_answers_of_each_type_have_their_value(
    client: httpx.AsyncClient, type_: str, answer: dict[str, Any], value: dict[str, Any]
) -> None:
    item = {"linkId": "x", "type": type_, "code": [SMOKES], "extension": [EXTRACT]}
    await given(client, form([item]), response([{"linkId": "x", "answer": [answer]}]))

    assert facts((await extracted(client))["return"]) == [observation(SMOKES, "x", **value)]


async def test_what_an_observation_cannot_hold_is_told(client: httpx.AsyncClient) -> None:
    item = {"linkId": "x", "type": "reference", "code": [SMOKES], "extension": [EXTRACT]}
    answer = {"valueReference": {"reference": "Patient/a"}}
    await given(client, form([item]), response([{"linkId": "x", "answer": [answer]}]))

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0] == {
        "severity": "warning",
        "code": "not-supported",
        "diagnostics": "an Observation cannot have a Reference; nothing is made of it",
        "expression": ["QuestionnaireResponse.item[0].answer[0]"],
    }


async def test_the_form_as_a_whole_can_ask_for_it_and_an_item_can_refuse(
    client: httpx.AsyncClient,
) -> None:
    no = {"url": f"{SDC}observationExtract", "valueBoolean": False}
    social = {"coding": [{"system": "s", "code": "social-history"}]}
    items: list[dict[str, Any]] = [
        {"linkId": "smokes", "type": "boolean", "code": [SMOKES]},
        {"linkId": "left out", "type": "boolean", "code": [SMOKES], "extension": [no]},
        {"linkId": "no code", "type": "boolean"},
    ]
    root = [EXTRACT, {"url": f"{SDC}observation-extract-category", "valueCodeableConcept": social}]
    answered = [{"linkId": i["linkId"], "answer": [{"valueBoolean": True}]} for i in items]
    await given(client, form(items, extension=root), response(answered))

    assert facts((await extracted(client))["return"]) == [
        observation(SMOKES, "smokes", valueBoolean=True, category=[social])
    ]


async def test_only_the_marked_codes_are_taken(client: httpx.AsyncClient) -> None:
    codes = [{**WEIGHT, "extension": [EXTRACT]}, {"system": "http://loinc.org", "code": "3141-9"}]
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 70}]}]
    item = {"linkId": "weight", "type": "decimal", "code": codes}
    await given(client, form([item]), response(answered))

    assert facts((await extracted(client))["return"])[0]["code"] == {"coding": [WEIGHT]}


async def test_each_of_several_answers_is_an_observation(client: httpx.AsyncClient) -> None:
    item = {
        "linkId": "x",
        "type": "string",
        "repeats": True,
        "code": [SMOKES],
        "extension": [EXTRACT],
    }
    answers = [{"valueString": "one"}, {"valueString": "two"}]
    await given(client, form([item]), response([{"linkId": "x", "answer": answers}]))

    assert facts((await extracted(client))["return"]) == [
        observation(SMOKES, "x.1", valueString="one"),
        observation(SMOKES, "x.2", valueString="two"),
    ]


async def test_a_group_has_its_components_and_members(client: httpx.AsyncClient) -> None:
    component = {"url": f"{SDC}observationExtract", "valueCode": "component"}
    member = {"url": f"{SDC}observationExtract", "valueCode": "member"}
    pressure = {"system": "http://loinc.org", "code": "85354-9"}
    systolic = {"system": "http://loinc.org", "code": "8480-6"}
    items = [
        {
            "linkId": "systolic",
            "type": "integer",
            "code": [systolic],
            "extension": [component],
        },
        {"linkId": "weight", "type": "decimal", "code": [WEIGHT], "extension": [member]},
    ]
    group = {
        "linkId": "bp",
        "type": "group",
        "code": [pressure],
        "extension": [EXTRACT],
        "item": items,
    }
    answered = [
        {"linkId": "systolic", "answer": [{"valueInteger": 120}]},
        {"linkId": "weight", "answer": [{"valueDecimal": 70}]},
    ]
    await given(client, form([group]), response([{"linkId": "bp", "item": answered}]))

    bundle = (await extracted(client))["return"]

    assert facts(bundle) == [
        observation(
            pressure,
            "bp",
            component=[{"code": {"coding": [systolic]}, "valueInteger": 120}],
            hasMember=[{"reference": bundle["entry"][2]["fullUrl"]}],
        ),
        observation(WEIGHT, "bp/weight", valueQuantity={"value": 70}),
    ]


async def test_what_a_nurse_wrote_down_for_a_mother_stays_the_mothers(
    client: httpx.AsyncClient,
) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 9}]}]
    who = {
        "author": {"reference": "Practitioner/nurse"},
        "source": {"reference": "RelatedPerson/mum"},
    }
    await given(client, form([weight()]), response(answered, **who))

    bundle = (await extracted(client))["return"]

    assert facts(bundle)[0]["performer"] == [{"reference": "RelatedPerson/mum"}]
    agent = bundle["entry"][1]["resource"]["agent"][0]
    assert agent["who"] == {"reference": "RelatedPerson/mum"}


async def test_committing_twice_writes_one_fact(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))

    first = await extracted(client, commit=True)
    again = await extracted(client, commit=True)

    assert first["return"]["type"] == "transaction-response"
    assert [one["response"]["status"] for one in first["return"]["entry"]] == ["201 Created"] * 2
    assert "entry" not in again["return"] or again["return"]["entry"] == []
    assert [one["meta"]["versionId"] for one in await stored(client, "Observation")] == ["1"]
    assert len(await stored(client, "Provenance")) == 1


async def test_a_client_may_send_the_bundle_itself_twice(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))
    bundle = (await extracted(client))["return"]

    statuses = [(await client.post("/", json=bundle)).status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert len(await stored(client, "Observation")) == 1


async def test_an_amended_response_amends_the_fact(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))
    await extracted(client, commit=True)
    amended = [{"linkId": "weight", "answer": [{"valueDecimal": 17.5}]}]
    await put(client, response(amended, status="amended"))

    await extracted(client, commit=True)
    await extracted(client, commit=True)

    (found,) = await stored(client, "Observation")
    assert (found["meta"]["versionId"], found["status"]) == ("2", "amended")
    assert found["valueQuantity"]["value"] == 17.5


async def test_an_answer_that_is_gone_was_an_error(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))
    await extracted(client, commit=True)
    amended = response([], status="amended")
    del amended["item"]
    await put(client, amended)

    await extracted(client, commit=True)
    await extracted(client, commit=True)

    (found,) = await stored(client, "Observation")
    assert (found["meta"]["versionId"], found["status"]) == ("2", "entered-in-error")


async def test_a_response_made_in_error_takes_its_facts_along(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))
    await extracted(client, commit=True)
    await put(client, response(answered, status="entered-in-error"))

    await extracted(client, commit=True)

    assert [one["status"] for one in await stored(client, "Observation")] == ["entered-in-error"]


async def test_what_a_clinician_changed_since_stays_as_it_is(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}]
    await given(client, form([weight()]), response(answered))
    await extracted(client, commit=True)
    (found,) = await stored(client, "Observation")
    await put(client, {**found, "status": "entered-in-error"})

    made = await extracted(client, commit=True)

    assert [one["status"] for one in await stored(client, "Observation")] == ["entered-in-error"]
    assert made["issues"]["issue"][0]["diagnostics"] == (
        f"Observation/{found['id']} was changed by others since; it stays as it is"
    )


async def test_a_response_that_is_not_complete_is_refused(client: httpx.AsyncClient) -> None:
    await given(client, form([weight()]), response([{"linkId": "weight"}], status="in-progress"))

    answer = await client.post(
        "/QuestionnaireResponse/r/$extract", json={"resourceType": "Parameters"}
    )

    assert answer.status_code == 422
    assert "in-progress" in answer.json()["issue"][0]["diagnostics"]


async def test_an_item_that_the_form_does_not_have_is_told(client: httpx.AsyncClient) -> None:
    answered = [{"linkId": "height", "answer": [{"valueDecimal": 1}]}]
    await given(client, form([weight()]), response(answered))

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0]["expression"] == ["QuestionnaireResponse.item[0]"]


async def test_a_response_that_is_sent_is_extracted_but_not_committed(
    client: httpx.AsyncClient,
) -> None:
    sent = response([{"linkId": "weight", "answer": [{"valueDecimal": 71.5}]}])
    del sent["id"]
    parameters = [
        {"name": "questionnaire-response", "resource": sent},
        {"name": "questionnaire", "resource": form([weight()])},
    ]
    body: dict[str, Any] = {"resourceType": "Parameters", "parameter": parameters}

    answer = await client.post("/QuestionnaireResponse/$extract", json=body)
    body["parameter"].append({"name": "commit", "valueBoolean": True})
    refused = await client.post("/QuestionnaireResponse/$extract", json=body)

    assert answer.status_code == 200, answer.text
    (made,) = facts(answer.json()["parameter"][0]["resource"])
    assert made["valueQuantity"]["value"] == 71.5
    assert "derivedFrom" not in made
    assert refused.status_code == 422


async def test_what_was_asked_and_chosen_keeps_its_name(client: httpx.AsyncClient) -> None:
    """Codes are no names: whoever reads the fact later has not got the form."""
    never = {"system": "http://snomed.info/sct", "code": "266919005"}
    smokes = {
        "linkId": "s", "type": "choice", "text": "Do you smoke?", "extension": [EXTRACT],
        "code": [{"system": "http://loinc.org", "code": "72166-2"}],
        "answerOption": [{"valueCoding": {**never, "display": "Never smoked"}}],
    }  # fmt: skip
    await given(client, form([smokes]), response([{"linkId": "s", "answer": [
        {"valueCoding": never}]}]))  # fmt: skip

    (made,) = facts((await extracted(client))["return"])

    assert made["code"] == {"coding": smokes["code"], "text": "Do you smoke?"}
    assert made["valueCodeableConcept"]["coding"] == [{**never, "display": "Never smoked"}]


async def test_a_code_that_has_a_name_needs_no_other(client: httpx.AsyncClient) -> None:
    named = {**WEIGHT, "display": "Body weight"}
    asked = {"linkId": "w", "type": "decimal", "text": "How heavy are you?", "code": [named],
             "extension": [EXTRACT]}  # fmt: skip
    await given(client, form([asked]), response([{"linkId": "w", "answer": [
        {"valueDecimal": 70}]}]))  # fmt: skip

    (made,) = facts((await extracted(client))["return"])

    assert made["code"] == {"coding": [named]}
