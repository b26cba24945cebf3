"""Template-based extraction.  SDC 4.0 extraction.html#template-based-extraction."""

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
    response,
    stored,
)

__all__ = ["client", "house"]


def value(expression: str) -> dict[str, Any]:
    return {"extension": [{"url": f"{SDC}templateExtractValue", "valueString": expression}]}


def context(expression: str) -> dict[str, Any]:
    return {"url": f"{SDC}templateExtractContext", "valueString": expression}


def template(name: str, **details: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "template", "valueReference": {"reference": f"#{name}"}}]
    parts += [{"url": key, "valueString": text} for key, text in details.items()]
    return {"url": f"{SDC}templateExtract", "extension": parts}


CONDITION = {
    "resourceType": "Condition",
    "id": "condition",
    "code": {
        "coding": [value("item.where(linkId='what').answer.value")],
        "_text": value("item.where(linkId='words').answer.value"),
    },
    "subject": {"_reference": value("%resource.subject.reference")},
    "_onsetDateTime": value("item.where(linkId='since').answer.value"),
    "note": [
        {
            "extension": [context("item.where(linkId='note').answer.value")],
            "_text": value("$this"),
        }
    ],
}
GROUP = {
    "linkId": "illness",
    "type": "group",
    "repeats": True,
    "extension": [template("condition")],
    "item": [
        {"linkId": "what", "type": "choice"},
        {"linkId": "words", "type": "string"},
        {"linkId": "since", "type": "date"},
        {"linkId": "note", "type": "string", "repeats": True},
    ],
}
ASTHMA = {"system": "http://snomed.info/sct", "code": "195967001"}


async def test_a_template_is_filled_for_each_repetition(client: httpx.AsyncClient) -> None:
    first = [
        {"linkId": "what", "answer": [{"valueCoding": ASTHMA}]},
        {"linkId": "since", "answer": [{"valueDate": "2019"}]},
        {"linkId": "note", "answer": [{"valueString": "worse"}, {"valueString": "at night"}]},
    ]
    second = [{"linkId": "words", "answer": [{"valueString": "bad knee"}]}]
    answered = [{"linkId": "illness", "item": items} for items in (first, second)]
    await given(client, form([GROUP], contained=[CONDITION]), response(answered))

    said = {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/a"},
        "recorder": {"reference": "Patient/a"},
        "asserter": {"reference": "Patient/a"},
        "recordedDate": AUTHORED,
    }
    assert facts((await extracted(client))["return"]) == [
        {
            **said,
            "code": {"coding": [ASTHMA]},
            "onsetDateTime": "2019",
            "note": [{"text": "worse"}, {"text": "at night"}],
            "identifier": [{"system": EXTRACTED, "value": "r#illness.1~template.0"}],
        },
        {
            **said,
            "code": {"text": "bad knee"},
            "identifier": [{"system": EXTRACTED, "value": "r#illness.2~template.0"}],
        },
    ]


async def test_committed_templates_are_valid_and_there_once(client: httpx.AsyncClient) -> None:
    answered = [
        {
            "linkId": "illness",
            "item": [{"linkId": "what", "answer": [{"valueCoding": ASTHMA}]}],
        }
    ]
    await given(client, form([GROUP], contained=[CONDITION]), response(answered))

    await extracted(client, commit=True)
    await extracted(client, commit=True)

    assert len(await stored(client, "Condition")) == 1


async def test_templates_refer_to_each_other_by_an_allocated_id(client: httpx.AsyncClient) -> None:
    kin = {
        "resourceType": "RelatedPerson",
        "id": "kin",
        "patient": {"_reference": value("%resource.subject.reference")},
        "name": [{"_text": value("item.answer.value")}],
    }
    flag = {
        "resourceType": "Flag",
        "id": "flag",
        "status": "active",
        "code": {"text": "lives with"},
        "subject": {"_reference": value("%resource.subject.reference")},
        "author": {"_reference": value("%kinId")},
    }
    allocate = {"url": f"{SDC}extractAllocateId", "valueString": "kinId"}
    group = {
        "linkId": "kin",
        "type": "group",
        "extension": [allocate, template("kin", fullUrl="%kinId"), template("flag")],
        "item": [{"linkId": "name", "type": "string"}],
    }
    answered = [{"linkId": "name", "answer": [{"valueString": "Mum"}]}]
    questionnaire = form([group], contained=[kin, flag])
    await given(client, questionnaire, response([{"linkId": "kin", "item": answered}]))

    bundle = (await extracted(client))["return"]

    person, other = (one for one in bundle["entry"] if one["request"]["url"] != "Provenance")
    assert person["resource"]["name"] == [{"text": "Mum"}]
    assert other["resource"]["author"] == {"reference": person["fullUrl"]}


async def test_a_bundle_of_templates_is_filled(client: httpx.AsyncClient) -> None:
    entry = {
        "resource": {
            "resourceType": "Goal",
            "lifecycleStatus": "proposed",
            "description": {"_text": value("item.where(linkId='goal').answer.value")},
            "subject": {"_reference": value("%resource.subject.reference")},
        },
        "request": {"method": "POST", "url": "Goal"},
    }
    bundle = {"resourceType": "Bundle", "id": "b", "type": "transaction", "entry": [entry]}
    root = [{"url": f"{SDC}templateExtractBundle", "valueReference": {"reference": "#b"}}]
    items = [{"linkId": "goal", "type": "string"}]
    answered = [{"linkId": "goal", "answer": [{"valueString": "walk again"}]}]
    await given(client, form(items, contained=[bundle], extension=root), response(answered))

    assert facts((await extracted(client))["return"]) == [
        {
            "resourceType": "Goal",
            "lifecycleStatus": "proposed",
            "description": {"text": "walk again"},
            "subject": {"reference": "Patient/a"},
            "expressedBy": {"reference": "Patient/a"},
            "identifier": [{"system": EXTRACTED, "value": "r#~bundle.0"}],
        }
    ]


async def test_a_form_cannot_make_a_provenance(client: httpx.AsyncClient) -> None:
    forged = {
        "resourceType": "Provenance",
        "id": "p",
        "recorded": AUTHORED,
        "target": [{"reference": "Patient/a"}],
        "agent": [{"who": {"reference": "Practitioner/doc"}}],
    }
    items = [{"linkId": "x", "type": "string", "extension": [template("p")]}]
    answered = [{"linkId": "x", "answer": [{"valueString": "y"}]}]
    await given(client, form(items, contained=[forged]), response(answered))

    made = await extracted(client)

    assert facts(made["return"]) == []
    assert made["issues"]["issue"][0]["diagnostics"] == (
        "a form makes no Provenance: who said what is told by the server"
    )


async def test_a_template_that_is_not_there_is_an_error(client: httpx.AsyncClient) -> None:
    items = [{"linkId": "x", "type": "string", "extension": [template("gone")]}]
    answered = [{"linkId": "x", "answer": [{"valueString": "y"}]}]
    await given(client, form(items), response(answered))

    issue = (await extracted(client))["issues"]["issue"][0]

    assert issue["diagnostics"] == "the form contains no template 'gone'"
