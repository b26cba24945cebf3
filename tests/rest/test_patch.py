"""PATCH with JSON Patch (what FHIR adds to RFC 6902) and with FHIRPath Patch."""

from typing import Any

import httpx
import pytest

from tests.rest.house import FHIR_JSON, JSON_PATCH, fhirpath_patch, observation, patient, told

HEADERS = {"Content-Type": JSON_PATCH}
FHIRPATH = {"Content-Type": FHIR_JSON}


@pytest.fixture
async def stored(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/Patient/a", json=patient("a", name=[{"family": "A", "given": ["x"]}]))
    return client


async def test_a_patch_makes_a_new_version(stored: httpx.AsyncClient) -> None:
    answer = await stored.patch(
        "/Patient/a",
        json=[
            {"op": "test", "path": "/name/0/family", "value": "A"},
            {"op": "replace", "path": "/name/0/family", "value": "B"},
            {"op": "copy", "from": "/name/0", "path": "/name/-"},
            {"op": "remove", "path": "/name/0/given"},
        ],
        headers=HEADERS,
    )

    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.json()["name"] == [{"family": "B"}, {"family": "B", "given": ["x"]}]
    history = (await stored.get("/Patient/a/_history")).json()
    assert history["entry"][0]["request"] == {"method": "PATCH", "url": "Patient/a"}


async def test_decimals_that_are_not_touched_stay_as_they_were(client: httpx.AsyncClient) -> None:
    resource = observation("Patient/a", "o")
    del resource["subject"]
    sent = b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
    await client.put(
        "/Observation/o", content=sent + b'"valueQuantity":{"value":1.500},"note":[{"text":"n"}]}'
    )

    answer = await client.patch(
        "/Observation/o",
        content=b'[{"op":"add","path":"/valueQuantity/unit","value":"kg"},'
        b'{"op":"test","path":"/valueQuantity/value","value":1.5}]',
        headers=HEADERS,
    )

    assert b'"valueQuantity":{"value":1.500,"unit":"kg"}' in answer.content


@pytest.mark.parametrize(
    ("operations", "told_"),
    [
        ([{"op": "test", "path": "/active", "value": True}], (422, "invalid", ["patch[0]"])),
        (
            [
                {"op": "add", "path": "/active", "value": True},
                {"op": "remove", "path": "/name/7"},
            ],
            (422, "invalid", ["patch[1]"]),
        ),
        ([{"op": "add", "path": "/foo", "value": 1}], (422, "structure", ["Patient.foo"])),
        ([{"op": "remove", "path": "/resourceType"}], None),
        ([{"op": "replace", "path": "/id", "value": "b"}], (422, "business-rule", ["Patient.id"])),
        (
            [{"op": "replace", "path": "", "value": {"resourceType": "Group"}}],
            None,
        ),
        ([{"op": "jump", "path": "/id"}], (400, "invalid", ["patch[0]"])),
        ([{"op": ["add"], "path": "/id", "value": 1}], (400, "invalid", ["patch[0]"])),
        ([{"op": {"op": "add"}, "path": "/id"}], (400, "invalid", ["patch[0]"])),
        ([{"op": "add", "path": "name", "value": 1}], (400, "invalid", ["patch[0]"])),
        ([{"op": "add", "path": "/name"}], (400, "invalid", ["patch[0]"])),
        ({"op": "add"}, (400, "invalid", ["patch"])),
        ([7], (400, "invalid", ["patch[0]"])),
        ([{"op": "test", "path": "/id", "value": "a"}] * 1001, (403, "too-costly", None)),
        (
            [{"op": "copy", "from": "/name", "path": "/name/0/x"}] * 900,
            (422, "invalid", ["patch[30]"]),
        ),
        ([{"op": "copy", "from": "/name", "path": "/name/-"}] * 60, (403, "too-costly", None)),
        ([{"op": "copy", "from": "/name/0", "path": "/name/-"}] * 999
         + [{"op": "remove", "path": "/nowhere"}], (422, "invalid", ["patch[999]"])),
    ],
)  # fmt: skip
async def test_a_patch_that_is_refused_changes_nothing(
    stored: httpx.AsyncClient, operations: Any, told_: Any
) -> None:
    answer = await stored.patch("/Patient/a", json=operations, headers=HEADERS)

    assert told(answer) == told_ if told_ else answer.status_code == 422
    assert (await stored.get("/Patient/a")).headers["etag"] == 'W/"1"'


async def test_a_patch_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/Patient/none", json=[], headers=HEADERS)
    assert told(answer) == (404, "not-found", None)


async def test_a_patch_of_a_version(stored: httpx.AsyncClient) -> None:
    operations = [{"op": "add", "path": "/active", "value": True}]

    wrong = await stored.patch(
        "/Patient/a", json=operations, headers={**HEADERS, "If-Match": 'W/"9"'}
    )
    right = await stored.patch(
        "/Patient/a", json=operations, headers={**HEADERS, "If-Match": 'W/"1"'}
    )

    assert told(wrong) == (412, "conflict", None)
    assert right.status_code == 200


async def test_a_fhirpath_patch_makes_a_new_version(stored: httpx.AsyncClient) -> None:
    patch = fhirpath_patch(
        ("replace", "Patient.name[0].family", {"valueString": "B"}),
        ("add", "Patient", {"valueBoolean": True}, "deceased"),
        ("delete", "Patient.name.where(family = 'B').given[0]"),
    )

    answer = await stored.patch("/Patient/a", json=patch, headers=FHIRPATH)

    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.json()["name"] == [{"family": "B"}]
    assert answer.json()["deceasedBoolean"] is True
    history = (await stored.get("/Patient/a/_history")).json()
    assert history["entry"][0]["request"] == {"method": "PATCH", "url": "Patient/a"}


async def test_a_fhirpath_patch_leaves_decimals_as_they_were(client: httpx.AsyncClient) -> None:
    sent = b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
    await client.put("/Observation/o", content=sent + b'"valueQuantity":{"value":1.500}}')
    patch = fhirpath_patch(("add", "Observation.value", {"valueString": "kg"}, "unit"))

    answer = await client.patch("/Observation/o", json=patch, headers=FHIRPATH)

    assert b'"valueQuantity":{"value":1.500,"unit":"kg"}' in answer.content


@pytest.mark.parametrize(
    ("patch", "told_"),
    [
        (fhirpath_patch(("replace", "Patient.gender", {"valueCode": "male"})),
         (422, "invalid", ["Parameters.parameter[0]"])),
        (fhirpath_patch(("delete", "Patient.name"), ("add", "Patient.name", {"valueCode": "x"},
                                                     "given")),
         (422, "invalid", ["Parameters.parameter[1]"])),
        (fhirpath_patch(("delete", "Patient.name.(")),
         (400, "invalid", ["Parameters.parameter[0]"])),
        (fhirpath_patch(("delete", "Patient.name.nope()")),
         (400, "invalid", ["Parameters.parameter[0]"])),
        (fhirpath_patch(("delete", "Patient.nmae")),
         (400, "invalid", ["Parameters.parameter[0]"])),
        (fhirpath_patch(("jump", "Patient")), (400, "invalid", ["Parameters.parameter[0]"])),
        (fhirpath_patch(("add", "Patient", {"valueCode": "no-code"}, "gender")),
         (422, "code-invalid", ["Patient.gender"])),
        (fhirpath_patch(("replace", "Patient.id", {"valueId": "b"})),
         (422, "business-rule", ["Patient.id"])),
        (fhirpath_patch(*[("delete", "Patient.photo")] * 201), (403, "too-costly", None)),
        ({"resourceType": "Parameters", "parameter": [{"value": 1}]},
         (422, "structure", ["Parameters.parameter[0].value"])),
        (patient("a"), (400, "invalid", ["Patient"])),
        ([], None),
        ({}, None),
    ],
)  # fmt: skip
async def test_a_fhirpath_patch_that_is_refused_changes_nothing(
    stored: httpx.AsyncClient, patch: Any, told_: Any
) -> None:
    answer = await stored.patch("/Patient/a", json=patch, headers=FHIRPATH)

    assert told(answer) == told_ if told_ else answer.status_code in (400, 422)
    assert (await stored.get("/Patient/a")).headers["etag"] == 'W/"1"'


async def test_a_fhirpath_patch_by_condition_and_of_a_version(stored: httpx.AsyncClient) -> None:
    patch = fhirpath_patch(("add", "Patient", {"valueBoolean": True}, "active"))
    wrong = {**FHIRPATH, "If-Match": 'W/"9"'}
    brief = {**FHIRPATH, "If-Match": 'W/"1"', "Prefer": "return=minimal"}

    nothing = await stored.patch("/Patient?family=Z", json=patch, headers=FHIRPATH)
    stale = await stored.patch("/Patient?family=A", json=patch, headers=wrong)
    right = await stored.patch("/Patient?family=A", json=patch, headers=brief)

    assert told(nothing) == (404, "not-found", None)
    assert told(stale) == (412, "conflict", None)
    assert (right.status_code, right.content) == (200, b"")
    assert (await stored.get("/Patient/a")).json()["active"] is True


async def test_the_media_type_says_which_kind_it_is(stored: httpx.AsyncClient) -> None:
    patch = fhirpath_patch(("delete", "Patient.name"))

    as_json_patch = await stored.patch("/Patient/a", json=patch, headers=HEADERS)
    as_json = await stored.patch(
        "/Patient/a", json=patch, headers={"Content-Type": "application/json"}
    )

    assert told(as_json_patch) == (400, "invalid", ["patch"])
    assert as_json.status_code == 200


async def test_the_capability_statement_names_both_kinds(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/metadata")).json()
    assert statement["patchFormat"] == [JSON_PATCH, FHIR_JSON]


@pytest.mark.parametrize("content_type", ["application/fhir+xml", "application/xml-patch+xml", ""])
async def test_other_kinds_of_patch_are_refused(
    stored: httpx.AsyncClient, content_type: str
) -> None:
    answer = await stored.patch("/Patient/a", content=b"[]", headers={"Content-Type": content_type})

    assert told(answer) == (415, "not-supported", ["Content-Type"])
    assert "application/json-patch+json" in answer.json()["issue"][0]["diagnostics"]
