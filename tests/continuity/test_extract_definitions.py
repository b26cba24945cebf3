"""Definition-based extraction.  SDC 4.0 extraction.html#definition-based-extraction."""

from typing import Any

import httpx

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

CORE = "http://hl7.org/fhir/StructureDefinition/"
ALLERGY = f"{CORE}AllergyIntolerance"
PENICILLIN = {"system": "http://snomed.info/sct", "code": "91936005"}


def makes(canonical: str, **details: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "definition", "valueCanonical": canonical}]
    parts += [{"url": name, "valueString": text} for name, text in details.items()]
    return {"url": f"{SDC}definitionExtract", "extension": parts}


def fixed(definition: str, **value: Any) -> dict[str, Any]:
    ((name, what),) = value.items()
    parts = [{"url": "definition", "valueUri": definition}, {"url": "fixed-value", name: what}]
    return {"url": f"{SDC}definitionExtractValue", "extension": parts}


def computed(definition: str, expression: str) -> dict[str, Any]:
    said = {"language": "text/fhirpath", "expression": expression}
    parts = [
        {"url": "definition", "valueUri": definition},
        {"url": "expression", "valueExpression": said},
    ]
    return {"url": f"{SDC}definitionExtractValue", "extension": parts}


def question(link: str, type_: str, definition: str, **more: Any) -> dict[str, Any]:
    return {"linkId": link, "type": type_, "definition": definition, **more}


def allergies(**more: Any) -> dict[str, Any]:
    items = [
        question("what", "choice", f"{ALLERGY}#AllergyIntolerance.code"),
        question("note", "string", f"{ALLERGY}#AllergyIntolerance.note.text"),
    ]
    return {
        "linkId": "allergy",
        "type": "group",
        "repeats": True,
        "extension": [makes(ALLERGY)],
        "item": items,
        **more,
    }


def allergy(code: dict[str, Any], note: str | None = None, **more: Any) -> dict[str, Any]:
    items: list[Any] = [{"linkId": "what", "answer": [{"valueCoding": code}]}]
    if note is not None:
        items.append({"linkId": "note", "answer": [{"valueString": note}]})
    return {"linkId": "allergy", "item": items, **more}


async def test_each_repetition_of_a_group_makes_a_resource_with_its_author(
    client: httpx.AsyncClient,
) -> None:
    other = {"system": "http://snomed.info/sct", "code": "300916003"}
    answered = [allergy(PENICILLIN, "rash"), allergy(other)]
    await given(client, form([allergies()]), response(answered))

    said = {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/a"},
        "recorder": {"reference": "Patient/a"},
        "asserter": {"reference": "Patient/a"},
        "recordedDate": AUTHORED,
    }
    assert facts((await extracted(client))["return"]) == [
        {
            **said,
            "code": {"coding": [PENICILLIN]},
            "note": [{"text": "rash"}],
            "identifier": [{"system": EXTRACTED, "value": "r#allergy.1~definition.0"}],
        },
        {
            **said,
            "code": {"coding": [other]},
            "identifier": [{"system": EXTRACTED, "value": "r#allergy.2~definition.0"}],
        },
    ]


async def test_taking_the_first_of_two_away_leaves_the_other_alone_when_they_have_ids(
    client: httpx.AsyncClient,
) -> None:
    other = {"system": "http://snomed.info/sct", "code": "300916003"}
    answered = [allergy(PENICILLIN, id="one"), allergy(other, id="two")]
    await given(client, form([allergies()]), response(answered))
    await extracted(client, commit=True)
    await put(client, response(answered[1:], status="amended"))

    await extracted(client, commit=True)

    found = {
        one["code"]["coding"][0]["code"]: (
            one["meta"]["versionId"],
            one.get("verificationStatus", {}).get("coding", [{}])[0].get("code"),
        )
        for one in await stored(client, "AllergyIntolerance")
    }
    assert found == {"91936005": ("2", "entered-in-error"), "300916003": ("1", None)}


async def test_fixed_and_computed_values_and_slices_are_put_in(client: httpx.AsyncClient) -> None:
    person = f"{CORE}RelatedPerson"
    group = {
        "linkId": "kin",
        "type": "group",
        "extension": [
            {"url": f"{SDC}extractAllocateId", "valueString": "kinId"},
            makes(person, fullUrl="%kinId"),
            computed(f"{person}#RelatedPerson.patient", "%resource.subject"),
            computed(f"{person}#RelatedPerson.name.text", "item.answer.value.first()"),
            fixed(f"{person}#RelatedPerson.active", valueBoolean=True),
        ],
        "item": [
            question("family", "string", f"{person}#RelatedPerson.name.family"),
            question("given", "string", f"{person}#RelatedPerson.name.given", repeats=True),
            question(
                "phone",
                "string",
                f"{person}#RelatedPerson.telecom:phone.value",
                extension=[
                    fixed(f"{person}#RelatedPerson.telecom:phone.system", valueCode="phone")
                ],
            ),
            question(
                "mail",
                "string",
                f"{person}#RelatedPerson.telecom:mail.value",
                extension=[fixed(f"{person}#RelatedPerson.telecom:mail.system", valueCode="email")],
            ),
        ],
    }
    answered = [
        {"linkId": "family", "answer": [{"valueString": "Doe"}]},
        {"linkId": "given", "answer": [{"valueString": "Jane"}, {"valueString": "Q"}]},
        {"linkId": "phone", "answer": [{"valueString": "1"}]},
        {"linkId": "mail", "answer": [{"valueString": "j@x.test"}]},
    ]
    await given(client, form([group]), response([{"linkId": "kin", "item": answered}]))

    bundle = (await extracted(client))["return"]

    assert facts(bundle) == [
        {
            "resourceType": "RelatedPerson",
            "patient": {"reference": "Patient/a"},
            "name": [{"text": "Doe", "family": "Doe", "given": ["Jane", "Q"]}],
            "active": True,
            "telecom": [
                {"system": "phone", "value": "1"},
                {"system": "email", "value": "j@x.test"},
            ],
            "identifier": [{"system": EXTRACTED, "value": "r#kin~definition.0"}],
        }
    ]
    assert bundle["entry"][0]["fullUrl"].startswith("urn:uuid:")


async def test_a_group_with_a_definition_is_an_entry_of_its_own(client: httpx.AsyncClient) -> None:
    person = f"{CORE}Patient"
    name = {
        "linkId": "name",
        "type": "group",
        "repeats": True,
        "definition": f"{person}#Patient.name",
        "item": [question("family", "string", f"{person}#Patient.name.family")],
    }
    group = {"linkId": "p", "type": "group", "extension": [makes(person)], "item": [name]}
    names = [
        {"linkId": "name", "item": [{"linkId": "family", "answer": [{"valueString": text}]}]}
        for text in ("Doe", "Roe")
    ]
    await given(client, form([group]), response([{"linkId": "p", "item": names}]))

    (made,) = facts((await extracted(client))["return"])

    assert made["name"] == [{"family": "Doe"}, {"family": "Roe"}]


async def test_what_names_a_stored_resource_updates_what_was_said_and_keeps_the_rest(
    client: httpx.AsyncClient,
) -> None:
    person = f"{CORE}Patient"
    items = [
        question(
            "phone",
            "string",
            f"{person}#Patient.telecom.value",
            extension=[fixed(f"{person}#Patient.telecom.system", valueCode="phone")],
        )
    ]
    root = [makes(person), computed(f"{person}#Patient.id", "%patient.id")]
    answered = [{"linkId": "phone", "answer": [{"valueString": "2"}]}]
    await given(client, form(items, extension=root), response(answered))
    telecom = [{"system": "phone", "value": "1"}, {"system": "email", "value": "e"}]
    names = [{"family": "Doe"}]
    await put(client, {"resourceType": "Patient", "id": "a", "name": names, "telecom": telecom})

    bundle = (await extracted(client))["return"]

    assert bundle["entry"][0]["request"] == {
        "method": "PUT",
        "url": "Patient/a",
        "ifMatch": 'W/"2"',
    }
    assert facts(bundle) == [
        {
            "resourceType": "Patient",
            "name": names,
            "telecom": [{"system": "phone", "value": "2"}, {"system": "email", "value": "e"}],
        }
    ]


async def test_nobody_replaces_what_somebody_else_said(client: httpx.AsyncClient) -> None:
    """C6: the clinician's allergy stays; the patient's is beside it, where both are seen."""
    group = allergies(
        extension=[
            makes(ALLERGY),
            fixed(f"{ALLERGY}#AllergyIntolerance.id", valueId="theirs"),
            fixed(f"{ALLERGY}#AllergyIntolerance.criticality", valueCode="low"),
        ]
    )
    await given(client, form([group]), response([allergy(PENICILLIN, "only a rash")]))
    theirs = {
        "resourceType": "AllergyIntolerance",
        "id": "theirs",
        "patient": {"reference": "Patient/a"},
        "asserter": {"reference": "Practitioner/doc"},
        "criticality": "high",
        "code": {"coding": [PENICILLIN]},
    }
    await put(client, theirs)

    made = await extracted(client, commit=True)

    found = await stored(client, "AllergyIntolerance")
    assert sorted((one["asserter"]["reference"], one["criticality"]) for one in found) == [
        ("Patient/a", "low"),
        ("Practitioner/doc", "high"),
    ]
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "AllergyIntolerance/theirs is what somebody else said; this is said beside it"
    )


async def test_the_extension_before_sdc_4_still_works(client: httpx.AsyncClient) -> None:
    legacy = {"url": f"{SDC}itemExtractionContext", "valueCode": "AllergyIntolerance"}
    group = allergies(extension=[legacy])
    await given(client, form([group]), response([allergy(PENICILLIN)]))

    (made,) = facts((await extracted(client))["return"])

    assert (made["resourceType"], made["code"]) == (
        "AllergyIntolerance",
        {"coding": [PENICILLIN]},
    )


async def test_a_definition_that_is_no_element_is_an_error_and_nothing_is_committed(
    client: httpx.AsyncClient,
) -> None:
    items = [
        question("what", "choice", f"{ALLERGY}#AllergyIntolerance.code"),
        question("note", "string", f"{ALLERGY}#AllergyIntolerance.weather"),
    ]
    group = allergies(item=items)
    await given(client, form([group]), response([allergy(PENICILLIN, "rash")]))

    made = await extracted(client)
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "commit", "valueBoolean": True}],
    }
    refused = await client.post("/QuestionnaireResponse/r/$extract", json=body)

    assert made["issues"]["issue"][0]["severity"] == "error"
    assert "AllergyIntolerance.weather" in made["issues"]["issue"][0]["diagnostics"]
    assert refused.status_code == 422
    assert await stored(client, "AllergyIntolerance") == []


async def test_a_wrong_expression_is_told_with_its_place(client: httpx.AsyncClient) -> None:
    group = allergies(
        extension=[makes(ALLERGY), computed(f"{ALLERGY}#AllergyIntolerance.type", "1 +")]
    )
    await given(client, form([group]), response([allergy(PENICILLIN)]))

    issue = (await extracted(client))["issues"]["issue"][0]

    assert (issue["severity"], issue["expression"]) == ("error", ["Questionnaire.item[0]"])


async def test_a_fact_of_another_patient_is_an_error(client: httpx.AsyncClient) -> None:
    """C5: whatever a form computes, it is about the patient of the response."""
    group = allergies(
        extension=[
            makes(ALLERGY),
            fixed(
                f"{ALLERGY}#AllergyIntolerance.patient",
                valueReference={"reference": "Patient/other"},
            ),
        ]
    )
    await given(client, form([group]), response([allergy(PENICILLIN)]))

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "this AllergyIntolerance is in the record of another patient than the response"
    )


async def test_a_stored_resource_of_another_patient_is_not_updated(
    client: httpx.AsyncClient,
) -> None:
    person = f"{CORE}Patient"
    items = [
        question("id", "string", f"{person}#Patient.id"),
        question("sex", "choice", f"{person}#Patient.gender"),
    ]
    answered = [
        {"linkId": "id", "answer": [{"valueString": "other"}]},
        {"linkId": "sex", "answer": [{"valueCoding": {"code": "male"}}]},
    ]
    await given(client, form(items, extension=[makes(person)]), response(answered))
    await put(client, {"resourceType": "Patient", "id": "other"})

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0]["severity"] == "error"


async def test_a_fact_inherits_the_labels_of_the_response(client: httpx.AsyncClient) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    answered = response([allergy(PENICILLIN)], meta={"security": [label]})
    await given(client, form([allergies()]), answered)

    await extracted(client, commit=True)

    (found,) = await stored(client, "AllergyIntolerance")
    assert found["meta"]["security"] == [label]


async def test_a_fact_with_our_identifier_in_another_record_hides_nothing(
    client: httpx.AsyncClient,
) -> None:
    await given(client, form([allergies()]), response([allergy(PENICILLIN)]))
    forged = {
        "resourceType": "AllergyIntolerance",
        "id": "forged",
        "patient": {"reference": "Patient/b"},
        "identifier": [{"system": EXTRACTED, "value": "r#allergy.1~definition.0"}],
    }
    await put(client, forged)

    await extracted(client, commit=True)

    found = await stored(client, "AllergyIntolerance")
    assert sorted(one["patient"]["reference"] for one in found) == ["Patient/a", "Patient/b"]


async def test_what_a_proxy_wrote_in_the_patients_name_is_the_proxys(
    client: httpx.AsyncClient,
) -> None:
    await given(client, form([allergies()]), response([allergy(PENICILLIN)]))
    provenance = {
        "resourceType": "Provenance",
        "id": "p",
        "target": [{"reference": "QuestionnaireResponse/r/_history/1"}],
        "recorded": AUTHORED,
        "agent": [{"who": {"reference": "RelatedPerson/mum"}}],
    }
    await put(client, provenance)

    made = await extracted(client)

    (fact,) = facts(made["return"])
    assert fact["asserter"] == {"reference": "RelatedPerson/mum"}
