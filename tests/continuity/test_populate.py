"""``Questionnaire/$populate``: each way to an answer, over HTTP, on every store."""

from typing import Any

import httpx
import pytest

from tests.continuity.populating import (
    JANE,
    KNOWN,
    LOINC,
    UCUM,
    WEIGHT,
    asked,
    client,
    context,
    form,
    house,
    initial,
    issues,
    item,
    kilograms,
    launch,
    link,
    populate,
    put,
    query,
    response,
    rows,
    table,
    unit,
    variable,
)
from tests.rest.house import House, told

__all__ = ["client", "house"]

JANE_1 = ["Patient/a/_history/1"]
SUBJECT = {"name": "subject", "valueReference": {"reference": "Patient/a"}}


async def test_the_response_is_in_progress_and_has_every_item(client: httpx.AsyncClient) -> None:
    made = await populate(
        client,
        form(
            item("d", "display", text="Welcome"),
            item("g", "group", text="You", item=[item("born", "date"), item("n", "string")]),
        ),
    )
    ask = [{"url": "state", "valueCode": "ask"}, {"url": "rule", "valueString": "no source"}]
    known = [{"url": KNOWN, "extension": ask}]
    assert response(made) == {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "http://h.test/q|1",
        "status": "in-progress",
        "subject": {"reference": "Patient/a"},
        "authored": "2026-01-02T03:04:05.678Z",
        "item": [
            {"linkId": "d", "text": "Welcome"},
            {
                "linkId": "g",
                "text": "You",
                "item": [
                    {"linkId": "born", "extension": known},
                    {"linkId": "n", "extension": known},
                ],
            },
        ],
    }
    assert issues(made) == []


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/Questionnaire/q/$populate", []),
        ("/Questionnaire/$populate", [{"name": "questionnaire", "valueUri": "http://h.test/q"}]),
        (
            "/Questionnaire/$populate",
            [{"name": "questionnaire", "valueReference": {"reference": "Questionnaire/q"}}],
        ),
        (
            "/Questionnaire/$populate",
            [{"name": "questionnaireRef", "valueReference": {"reference": "Questionnaire/q"}}],
        ),
        ("/Questionnaire/$populate", [{"name": "canonical", "valueUri": "http://h.test/q|1"}]),
        (
            "/Questionnaire/$populate",
            [{"name": "identifier", "valueIdentifier": {"system": "urn:f", "value": "q-1"}}],
        ),
    ],
)
async def test_a_form_is_named_in_each_way_of_sdc_3_and_4(
    client: httpx.AsyncClient, path: str, given: list[Any]
) -> None:
    await put(client, form(item("x", "string"), identifier=[{"system": "urn:f", "value": "q-1"}]))
    body = {"resourceType": "Parameters", "parameter": [SUBJECT, *given]}
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert response(answer.json())["questionnaire"] == "http://h.test/q|1"


async def test_a_stored_form_is_populated_by_get(client: httpx.AsyncClient) -> None:
    await put(client, form(asked("born", "date", "%patient.birthDate")))
    answer = await client.get("/Questionnaire/q/$populate?subject=Patient/a")
    assert table(answer.json())["born"][2] == ["1980-02-03"]


async def test_expressions_are_answered_in_the_type_of_their_item(
    client: httpx.AsyncClient,
) -> None:
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    made = await populate(
        client,
        form(
            asked("born", "date", "%patient.birthDate"),
            asked("born-time", "dateTime", "%patient.birthDate"),
            asked("family", "string", "%patient.name.family"),
            asked("sex", "choice", "%patient.gender", answerValueSet=gender),
            asked("phone", "string", "%patient.telecom.where(system='phone').value"),
            asked("who", "reference", "%patient"),
        ),
    )
    undated = ("confirm", "C2 undated")
    assert table(made) == {
        "born": (*undated, ["1980-02-03"], JANE_1),
        "born-time": (*undated, ["1980-02-03"], JANE_1),
        "family": (*undated, ["Doe"], JANE_1),
        "sex": (
            *undated,
            [{"system": "http://hl7.org/fhir/administrative-gender", "code": "female"}],
            JANE_1,
        ),
        "phone": (*undated, ["555-1"], JANE_1),
        "who": ("confirm", "C1 not listed", [{"reference": "Patient/a"}], JANE_1),
    }
    assert issues(made) == []


async def test_what_is_said_by_somebody_and_holds_is_known(client: httpx.AsyncClient) -> None:
    await put(client, kilograms(70))
    made = await populate(
        client,
        form(
            item("weight", "quantity", link(), code=[WEIGHT]),
            asked("kg", "decimal", "%w.entry.resource.value.value"),
            extension=[query("w", "Observation?subject=Patient/{{%patient.id}}&code=29463-7")],
        ),
    )
    sources = ["Observation/w/_history/1"]
    quantity = {"value": 70, "unit": "kg", "system": UCUM, "code": "kg"}
    assert table(made) == {
        "weight": ("known", "C1 holds", [quantity], sources),
        "kg": ("known", "C1 holds", [70], sources),
    }
    assert response(made)["item"][0]["extension"][0]["extension"][-1] == {
        "url": "said-at",
        "valueDateTime": "2025-12-30T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("changes", "state", "rule"),
    [
        ({"effectiveDateTime": "2024-12-30"}, "confirm", "C1 expired"),
        ({"performer": []}, "confirm", "C6 nobody named"),
        ({"effectiveDateTime": None}, "confirm", "C2 undated"),
        ({"effectiveDateTime": "2030-01-01"}, "confirm", "C2 future"),
        ({"status": "entered-in-error"}, "ask", "no source"),
        ({"status": "cancelled"}, "ask", "no source"),
        ({"focus": [{"reference": "Patient/baby"}]}, "ask", "no source"),
    ],
)
async def test_an_expression_cannot_show_as_known_what_the_rules_do_not(
    client: httpx.AsyncClient, changes: dict[str, Any], state: str, rule: str
) -> None:
    changed = {k: v for k, v in kilograms(70, **changes).items() if v not in (None, [])}
    await put(client, {**JANE, "id": "baby"}, changed)
    made = await populate(
        client,
        form(
            asked("kg", "quantity", "%w.entry.resource.value"),
            extension=[query("w", "Observation?_id=w")],
        ),
    )
    assert table(made)["kg"][:2] == (state, rule)
    assert bool(table(made)["kg"][2]) is (state == "confirm")


@pytest.mark.parametrize(
    "text",
    [
        "%w.entry.resource.value",
        "%w.entry.resource.value.value.toString()",
        "%w.entry.first().resource.value.value * 2",
        "%w.total",
        "%b.entry.resource.value",
        "%read.value",
        "%given.value.value.toString()",
    ],
)
async def test_what_is_about_somebody_else_never_enters_a_form(
    client: httpx.AsyncClient, text: str
) -> None:
    other = kilograms(3, "other", subject={"reference": "Patient/baby"})
    batch = {"resourceType": "Bundle", "id": "b", "type": "collection"}
    await put(client, {**JANE, "id": "baby"}, other)
    await put(client, {**batch, "entry": [{"fullUrl": "urn:x:1", "resource": other}]})
    made = await populate(
        client,
        form(
            *(asked(type_, type_, text) for type_ in ("quantity", "string", "decimal", "integer")),
            extension=[
                query("w", "Observation?code=29463-7"),  # it forgets to name the patient
                query("b", "Bundle/b"),
                query("read", "Observation/other"),
                launch("given", "Observation"),
            ],
        ),
        {
            "name": "context",
            "part": [
                {"name": "name", "valueString": "given"},
                {"name": "content", "resource": other},
            ],
        },
    )
    assert {row[0] for row in table(made).values()} == {"ask"}
    assert "one Observation was left out: it is about somebody else" in [
        text for text, _ in issues(made)
    ]


async def test_the_topic_of_the_item_counts_beside_that_of_the_source(
    client: httpx.AsyncClient,
) -> None:
    topics = "https://tellonce.org/fhir/CodeSystem/topic"
    await put(client, kilograms(70))
    made = await populate(
        client,
        form(
            asked("plain", "quantity", "%w.entry.resource.value"),
            asked(
                "each",
                "quantity",
                "%w.entry.resource.value",
                code=[{"system": topics, "code": "allergies"}],
            ),
            asked(
                "never",
                "quantity",
                "%w.entry.resource.value",
                code=[{"system": topics, "code": "identity-check"}],
            ),
            extension=[query("w", "Observation?subject=Patient/{{%patient.id}}")],
        ),
    )
    found = table(made)
    assert found["plain"][:2] == ("known", "C1 holds")
    assert found["each"][0] == "confirm"
    assert found["never"] == ("ask", "C1 never carried", [], [])


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("string", "%patient.name.given.join(' ')", ("confirm", "computed", ["Jane Quill"], [])),
        ("boolean", "%patient.name.exists()", ("confirm", "computed", [True], [])),
        ("boolean", "%patient.contact.exists()", ("ask", "C3 absence", [], [])),
        ("boolean", "%patient.contact.exists().not()", ("ask", "C3 absence", [], [])),
        ("boolean", "%patient.contact.empty()", ("ask", "C3 absence", [], [])),
        ("integer", "%patient.contact.count()", ("ask", "C3 absence", [], [])),
        ("string", "iif(%patient.contact.empty(), 'none', 'some')", ("ask", "C3 absence", [], [])),
    ],
)
async def test_what_is_computed_is_confirmed_and_never_made_of_an_absence(
    client: httpx.AsyncClient, type_: str, text: str, expected: Any
) -> None:
    made = await populate(client, form(asked("x", type_, text)))
    assert table(made)["x"] == expected


async def test_several_values_where_one_is_wanted_are_a_conflict(
    client: httpx.AsyncClient,
) -> None:
    made = await populate(
        client,
        form(
            asked("one", "string", "%patient.name.given"),
            asked("all", "string", "%patient.name.given", repeats=True),
        ),
    )
    found = table(made)
    assert found["one"] == ("conflict", "C4 several values", [], JANE_1)
    assert found["all"][2:] == (["Jane", "Quill"], JANE_1)


async def test_a_newer_word_against_an_expression_is_a_conflict(
    client: httpx.AsyncClient,
) -> None:
    await put(client, kilograms(70), kilograms(90, "old", effectiveDateTime="2025-12-01"))
    made = await populate(
        client,
        form(
            asked("kg", "quantity", "%w.entry.resource.value", code=[WEIGHT]),
            asked("plain", "decimal", "%w.entry.resource.value.value"),
            item(
                "history",
                "group",
                context("o", "%w.entry.resource"),
                repeats=True,
                item=[asked("past", "decimal", "%o.value.value")],
            ),
            extension=[query("w", "Observation?_id=old")],
        ),
    )
    sources = ["Observation/w/_history/1", "Observation/old/_history/1"]
    assert table(made)["kg"] == ("conflict", "C4 other source", [], sources)
    assert table(made)["plain"] == ("conflict", "C4 other source", [], sources)
    assert [row[2] for name, row in rows(made) if name == "past"] == [[90]]


async def test_one_bad_item_never_loses_the_others(client: httpx.AsyncClient) -> None:
    made = await populate(
        client,
        form(
            asked("unknown", "string", "%nobody.name"),
            asked("broken", "string", "%patient.name."),
            asked("cql", "string", "Patient.name", extension=[initial("x", "text/cql")]),
            asked("costly", "string", "('a').repeat($this & 'b')"),
            asked("wrong", "date", "%patient.name.family"),
            asked("good", "string", "%patient.name.family"),
        ),
    )
    assert table(made)["good"][2] == ["Doe"]
    assert {row[0] for name, row in rows(made) if name != "good"} == {"ask"}
    told_of = {where[0] for _, where in issues(made) if where}
    assert told_of >= {
        f"item.where(linkId='{n}')" for n in ("unknown", "broken", "costly", "cql", "wrong")
    }
    assert (
        "item unknown: '%nobody.name': there is no variable %nobody (column 1)",
        ["item.where(linkId='unknown')"],
    ) in issues(made)


async def test_variables_are_seen_below_and_never_in_a_circle(client: httpx.AsyncClient) -> None:
    made = await populate(
        client,
        form(
            item("g", "group", variable("given", "%name.given.first()"), item=[
                asked("in", "string", "%given"),
            ]),
            asked("out", "string", "%given"),
            asked("circle", "string", "%one"),
            extension=[
                variable("name", "%patient.name.first()"),
                variable("one", "%two"),
                variable("two", "%one"),
            ],
        ),
    )  # fmt: skip
    found = table(made)
    assert found["in"][2] == ["Jane"]
    assert (found["out"][0], found["circle"][0]) == ("ask", "ask")
    assert [text for text, _ in issues(made)] == [
        "'%two': there is no variable %two (column 1)",
        "'%one': there is no variable %one (column 1)",
        "item out: '%given': there is no variable %given (column 1)",
        "item circle: '%one': there is no variable %one (column 1)",
    ]


def medication(id_: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationStatement",
        "id": id_,
        "status": "active",
        "medicationCodeableConcept": {"text": text},
        "dosage": [{"text": f"{text} daily"}],
        "subject": {"reference": "Patient/a"},
        "dateAsserted": "2025-12-30",
        **more,
    }


async def test_a_repeating_group_has_one_repetition_for_each_of_its_context(
    client: httpx.AsyncClient,
) -> None:
    stopped = medication("m3", "Never", status="not-taken")
    await put(client, medication("m1", "Aspirin"), medication("m2", "Ibuprofen"), stopped)
    text = "MedicationStatement?subject=Patient/{{%patient.id}}&_sort=_id"
    made = await populate(
        client,
        form(
            item(
                "meds",
                "group",
                context("m", text, "application/x-fhir-query"),
                repeats=True,
                item=[
                    asked("name", "string", "%m.medication.text"),
                    asked("dose", "string", "%m.dosage.text"),
                ],
            )
        ),
    )
    assert [i["linkId"] for i in response(made)["item"]] == ["meds", "meds"]
    assert [(name, row[2]) for name, row in rows(made)] == [
        ("name", ["Aspirin"]),
        ("dose", ["Aspirin daily"]),
        ("name", ["Ibuprofen"]),
        ("dose", ["Ibuprofen daily"]),
    ]
    assert {row[0] for _, row in rows(made)} == {"confirm"}


async def test_source_queries_are_a_batch(client: httpx.AsyncClient) -> None:
    await put(client, kilograms(70))
    batch = {
        "resourceType": "Bundle",
        "id": "Pre",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": "Observation?subject=Patient/{{%patient.id}}"}}
        ],
    }
    queries = {
        "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-sourceQueries",
        "valueReference": {"reference": "#Pre"},
    }
    text = "%Pre.entry[0].resource.entry.resource.value"
    made = await populate(
        client, form(asked("kg", "quantity", text), contained=[batch], extension=[queries])
    )
    assert table(made)["kg"][:2] == ("known", "C1 holds")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "http://evil.test/fhir/Patient?x=1",
            "the query is none of this server: it starts with a resource type",
        ),
        (
            "//evil.test/Patient",
            "the query is none of this server: it starts with a resource type",
        ),
        ("Nothing?x=1", "the query is none of this server: it starts with a resource type"),
        ("Patient/none", "the query reads a resource that is not there"),
        ("Observation?subject={{%patient.contact.name.text}}", "nothing is there for {{%patient"),
        ("Observation?subject={{%patient.name}}", "an embedded expression gives texts"),
        ("Observation?colour=red", "the query is refused: "),
    ],
)
async def test_a_query_is_asked_of_this_server_alone(
    client: httpx.AsyncClient, text: str, message: str
) -> None:
    made = await populate(client, form(item("x", "string"), extension=[query("w", text)]))
    ((told_, _),) = issues(made)
    assert message in told_


async def test_what_is_embedded_in_a_query_stays_a_value(client: httpx.AsyncClient) -> None:
    hostile = {**JANE, "name": [{"family": "x&_id=secret"}]}
    await put(client, hostile, {**JANE, "id": "secret"})
    made = await populate(
        client,
        form(
            asked("n", "integer", "%p.entry.count()"),
            asked("id", "string", "%p.entry.resource.id"),
            extension=[query("p", "Patient?family:exact={{%patient.name.family}}")],
        ),
    )
    assert table(made)["id"][2] == ["a"]


async def test_launch_contexts_come_by_reference_or_as_resources(
    client: httpx.AsyncClient,
) -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/a"},
        "reasonCode": [{"text": "cough"}],
    }
    await put(client, visit)
    wanted = form(
        asked("reason", "string", "%encounter.reasonCode.text"),
        asked("clinic", "string", "%clinic.name"),
        extension=[launch("encounter", "Encounter"), launch("clinic", "Organization")],
    )
    clinic = {"resourceType": "Organization", "name": "West Clinic"}
    made = await populate(
        client,
        wanted,
        {
            "name": "context",
            "part": [
                {"name": "name", "valueString": "encounter"},
                {"name": "content", "valueReference": {"reference": "Encounter/e"}},
            ],
        },
        {
            "name": "launchContext",
            "part": [
                {"name": "name", "valueString": "clinic"},
                {"name": "content", "resource": clinic},
            ],
        },
    )
    assert table(made) == {
        "reason": ("confirm", "C1 not listed", ["cough"], ["Encounter/e/_history/1"]),
        "clinic": ("confirm", "computed", ["West Clinic"], []),
    }


async def test_contexts_that_do_not_fit_are_warned_of(client: httpx.AsyncClient) -> None:
    def given(name: str, **content: Any) -> dict[str, Any]:
        parts = [{"name": "name", "valueString": name}, {"name": "content", **content}]
        return {"name": "context", "part": parts}

    made = await populate(
        client,
        form(item("x", "string"), extension=[launch("visit", "Encounter"), launch("w", "Patient")]),
        given("visit", valueReference={"reference": "Encounter/none"}),
        given("other", valueReference={"reference": "Patient/a"}),
        given("patient", valueReference={"reference": "Patient/b"}),
        given("w", resource={"resourceType": "Organization", "name": "x"}),
        given("visit", resource={"resourceType": "Encounter"}),
    )
    assert [text.partition(":")[0] for text, _ in issues(made)] == [
        "the context 'visit' refers to nothing that is here",
        "the form has no context 'other'; it is not used",
        "the context 'patient' is not the one that the call is for",
        "the context 'w' is a Patient; it is not used",
        "the context 'visit' is not valid",
    ]


async def test_the_latest_observation_in_the_period_is_linked(client: httpx.AsyncClient) -> None:
    await put(
        client,
        kilograms(60, "before", effectiveDateTime="2023-01-01"),
        kilograms(71, "earlier", effectiveDateTime="2025-12-28"),
        kilograms(99, "wrong", effectiveDateTime="2025-12-31", status="entered-in-error"),
        kilograms(98, "early", effectiveDateTime="2026-01-01", status="preliminary"),
        kilograms(97, "fetus", effectiveDateTime="2026-01-01", focus=[{"reference": "Patient/b"}]),
        kilograms(70, "latest"),
    )
    pounds = item("lb", "decimal", link(), unit("[lb_av]"), code=[WEIGHT])
    made = await populate(
        client,
        form(
            item("kg", "decimal", link(), unit("kg"), code=[WEIGHT]),
            pounds,
            item("month", "quantity", link(1, "h"), code=[{**WEIGHT, "code": "8302-2"}]),
            item("no-unit", "decimal", link(), code=[WEIGHT]),
            item("height", "decimal", link(), unit("cm"), code=[WEIGHT]),
        ),
    )
    found = table(made)
    assert found["kg"][2:] == ([70], ["Observation/latest/_history/1"])
    assert str(found["lb"][2][0]).startswith("154.32")
    assert [found[name][2] for name in ("month", "no-unit", "height")] == [[], [], []]
    assert [text for text, _ in issues(made)] == [
        "one Observation was left out: it is about somebody else",
        "item no-unit: the value has a unit and the item says none",
        "item height: the value is in another unit than the item",
    ]


async def test_an_observation_out_of_the_period_is_not_linked(client: httpx.AsyncClient) -> None:
    await put(client, kilograms(70, effectiveDateTime="2025-06-01"))
    made = await populate(client, form(item("kg", "quantity", link(1, "mo"), code=[WEIGHT])))
    assert table(made)["kg"][0] != "known"


async def test_two_latest_observations_that_differ_are_a_conflict(
    client: httpx.AsyncClient,
) -> None:
    await put(client, kilograms(70, "one"), kilograms(90, "two"))
    made = await populate(client, form(item("kg", "quantity", link(), code=[WEIGHT])))
    assert table(made)["kg"][0] == "conflict"
    assert table(made)["kg"][2] == []


async def test_a_link_goes_over_concept_maps(client: httpx.AsyncClient) -> None:
    local = {"system": "http://h.test/local", "code": "WT"}
    target = {"code": "29463-7", "equivalence": "equivalent"}
    await put(
        client,
        kilograms(70),
        {
            "resourceType": "ConceptMap",
            "id": "m",
            "status": "active",
            "url": "http://h.test/m",
            "group": [
                {
                    "source": "http://h.test/local",
                    "target": LOINC,
                    "element": [{"code": "WT", "target": [target]}],
                }
            ],
        },
    )
    made = await populate(client, form(item("kg", "quantity", link(), code=[local])))
    assert table(made)["kg"][:2] == ("known", "C1 holds")


async def test_defaults_of_the_form_are_confirmed(client: httpx.AsyncClient) -> None:
    options = [
        {"valueCoding": {"system": "urn:o", "code": "y"}, "initialSelected": True},
        {"valueCoding": {"system": "urn:o", "code": "n"}},
    ]
    made = await populate(
        client,
        form(
            item("x", "string", initial=[{"valueString": "hello"}]),
            item("o", "choice", answerOption=options),
        ),
    )
    assert table(made) == {
        "x": ("confirm", "form default", ["hello"], []),
        "o": ("confirm", "form default", [{"system": "urn:o", "code": "y"}], []),
    }


async def test_only_answers_that_an_item_offers_are_given(client: httpx.AsyncClient) -> None:
    def option(code: str) -> dict[str, Any]:
        return {"valueCoding": {"system": "urn:sex", "code": code, "display": code.title()}}

    contained = {
        "resourceType": "ValueSet",
        "id": "vs",
        "status": "active",
        "compose": {"include": [{"system": "urn:sex", "concept": [{"code": "male"}]}]},
    }
    made = await populate(
        client,
        form(
            asked("fits", "choice", "%patient.gender", answerOption=[option("female")]),
            asked("not", "choice", "%patient.gender", answerOption=[option("male")]),
            asked("open", "open-choice", "%patient.name.family", answerOption=[option("male")]),
            asked("set", "choice", "%patient.gender", answerValueSet="#vs"),
            asked("gone", "choice", "%patient.maritalStatus", answerValueSet="http://h.test/none"),
            contained=[contained],
        ),
    )
    found = table(made)
    female = {"system": "urn:sex", "code": "female", "display": "Female"}
    assert found["fits"][2] == [female]
    assert (found["not"][2], found["set"][2], found["gone"][2]) == ([], [], [])
    assert found["open"][2] == ["Doe"]


async def test_by_meaning_items_without_expression_are_answered(
    client: httpx.AsyncClient,
) -> None:
    await put(client, kilograms(70))
    definition = "http://hl7.org/fhir/StructureDefinition/Patient#Patient.birthDate"
    made = await populate(
        client,
        form(
            item("weight", "quantity", code=[WEIGHT]),
            item("born", "date", definition=definition),
            item("other", "string"),
        ),
    )
    found = table(made)
    assert found["weight"][0] == "known"
    assert found["born"][2:] == (["1980-02-03"], JANE_1)
    assert found["other"] == ("ask", "no source", [], [])


async def test_local_false_looks_at_the_contexts_alone(client: httpx.AsyncClient) -> None:
    await put(client, kilograms(70))
    made = await populate(
        client,
        form(
            item("weight", "quantity", code=[WEIGHT]),
            item("linked", "quantity", link(), code=[WEIGHT]),
            asked("asked", "quantity", "%w.entry.resource.value"),
            asked("family", "string", "%patient.name.family"),
            extension=[query("w", "Observation?_id=w")],
        ),
        {"name": "local", "valueBoolean": False},
    )
    found = table(made)
    assert [found[n][0] for n in ("weight", "linked", "asked")] == ["ask", "ask", "ask"]
    assert found["family"][:3] == ("confirm", "C1 not listed", ["Doe"])


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("/Questionnaire/none/$populate", [SUBJECT], (404, "not-found", None)),
        (
            "/Questionnaire/$populate",
            [SUBJECT],
            (400, "invalid", ["questionnaire", "questionnaireRef", "canonical", "identifier"]),
        ),
        (
            "/Questionnaire/q/$populate",
            [SUBJECT, {"name": "canonical", "valueUri": "http://forms.test/other"}],
            (400, "invalid", ["canonical"]),
        ),
        ("/Questionnaire/q/$populate", [], (400, "invalid", ["subject"])),
        (
            "/Questionnaire/q/$populate",
            [{"name": "subject", "valueReference": {"reference": "Patient/none"}}],
            (404, "not-found", ["subject"]),
        ),
        (
            "/Questionnaire/q/$populate",
            [{"name": "subject", "valueReference": {"reference": "Group/g"}}],
            (404, "not-supported", ["subject"]),
        ),
        (
            "/Questionnaire/$populate",
            [SUBJECT, {"name": "questionnaire", "resource": {"resourceType": "Questionnaire"}}],
            (422, "required", ["Questionnaire.status"]),
        ),
        (
            "/Questionnaire/q/$populate",
            [SUBJECT, {"name": "context", "part": [{"name": "content", "valueString": "x"}]}],
            (400, "invalid", ["Parameters.parameter[1].part[0]"]),
        ),
    ],
)
async def test_bad_calls_are_refused(
    client: httpx.AsyncClient, path: str, given: list[Any], expected: Any
) -> None:
    await put(client, form(item("x", "string")))
    body = {"resourceType": "Parameters", "parameter": given}
    assert told(await client.post(path, json=body)) == expected


async def test_a_patient_who_was_merged_is_not_populated(house: House) -> None:
    async with house.client() as client:
        await put(client, {**JANE, "id": "b"})
        other = {"other": {"reference": "Patient/b"}, "type": "replaced-by"}
        await put(client, {**JANE, "active": False, "link": [other]}, form(item("x", "string")))
        answer = await client.get("/Questionnaire/q/$populate?subject=Patient/a")
    assert told(answer) == (422, "business-rule", ["subject"])
    assert "merged into Patient/b" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Phone", "%patient.telecom.value.last()"),  # the e-mail
        ("Phone at work", "%patient.telecom.where(system='phone').value"),
        ("Reached by", "%patient.telecom.value.first()"),
        ("Town", "%patient.address.city"),  # of work
    ],
)
async def test_what_an_expression_happens_to_find_is_not_known(
    client: httpx.AsyncClient, text: str, path: str
) -> None:
    work = {"address": [{"use": "work", "city": "Berlin"}]}
    await put(client, {**JANE, **work}, said_by_herself(2))
    found = table(await populate(client, form({**asked("x", "string", path), "text": text})))
    assert found["x"][0] == "confirm"
    wanted = "%patient.address.where(use='work').city"
    found = table(await populate(client, form(asked("x", "string", wanted))))
    assert found["x"][0] == "known"


def said_by_herself(version: int) -> dict[str, Any]:
    return {
        "resourceType": "Provenance", "id": "said", "recorded": "2026-01-01T00:00:00Z",
        "target": [{"reference": f"Patient/a/_history/{version}"}],
        "occurredDateTime": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "Patient/a"}}],
    }  # fmt: skip
