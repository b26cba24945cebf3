"""Bad input: each kind has its status, its code and its place, stores nothing, and harms nobody."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server import rest
from server.operations.registry import Call, Operation
from server.rest import Limits
from tests.rest.house import BASE, House, authenticate, bundle, entry, patient, told

JSON = {"Content-Type": "application/fhir+json"}
MIB = 1024 * 1024


def packed(body: bytes) -> bytes:
    """Return gzip without the time in it: it becomes the name of a test."""
    return gzip.compress(body, mtime=0)


async def nothing_happened(client: httpx.AsyncClient) -> bool:
    """Tell whether nothing is stored, and the server answers on."""
    answer = await client.get("/_history")
    return answer.status_code == 200 and answer.json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "told_", "line"),
    [
        (b"{", (400, "structure", None), "line 1, column 2"),
        (b"", (400, "structure", None), "line 1, column 1"),
        (b"\xff\xfe", (400, "structure", None), "line 1, column 1"),
        (b'{\n"resourceType": NaN}', (400, "structure", None), "line 2, column 17"),
        (b'{"a":Infinity}', (400, "structure", None), "line 1, column 6"),
        (b'{"resourceType":"Patient",\n"id":"a","id":"b"}', (400, "structure", None),
         "line 2, column 10"),
        (b"[" * 100_000, (400, "structure", None), "line 1, column 65"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, (400, "structure", None),
         "line 1, column 321"),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}',
         (400, "structure", None), "line 1, column 50"),
        (b'{"resourceType":"Patient","active":"yes"}', (422, "structure", ["Patient.active"]),
         "line 1, column 27"),
        (b'{"resourceType":"Patient","name":[{"family":7}]}',
         (422, "structure", ["Patient.name[0].family"]), "line 1, column 36"),
        (b'{"resourceType":"Patient",\n "shoeSize":44}', (422, "structure", ["Patient.shoeSize"]),
         "line 2, column 2"),
        (b'{"resourceType":"Observation"}', (400, "invalid", ["Observation"]), None),
        (b'{"resourceType":"Patiento"}', None, None),
        (b'{}', None, None),
        (b'[]', None, None),
        (b'null', None, None),
        (b'"Patient"', None, None),
        (b'7', None, None),
    ],
)  # fmt: skip
async def test_a_body_that_is_refused(
    client: httpx.AsyncClient, body: bytes, told_: Any, line: str | None
) -> None:
    answer = await client.post("/Patient", content=body, headers=JSON)

    if told_ is None:
        assert answer.status_code in (400, 422)
        told(answer)
    else:
        assert told(answer) == told_
    if line is not None:
        assert answer.json()["issue"][0]["location"] == [line]
    assert await nothing_happened(client)


async def test_all_issues_come_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/Patient", json=patient(active="yes", birthDate="yesterday", gender="blue")
    )

    where = [issue["expression"] for issue in answer.json()["issue"]]
    assert sorted(where) == [["Patient.active"], ["Patient.birthDate"], ["Patient.gender"]]


async def test_one_byte_more_than_10_mib(client: httpx.AsyncClient) -> None:
    most = 10 * MIB
    fits = b'{"resourceType":"Patient"}'.ljust(most)

    assert (await client.post("/Patient", content=fits, headers=JSON)).status_code == 201
    answer = await client.post("/Patient", content=fits + b" ", headers=JSON)

    assert told(answer) == (413, "too-long", ["Content-Length"])
    assert "10 MiB" in answer.json()["issue"][0]["diagnostics"]


async def test_a_length_that_was_not_declared_is_counted(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b" " * MIB

    answer = await client.post("/Patient", content=endless(), headers=JSON)

    assert told(answer) == (413, "too-long", ["Content-Length"])


@pytest.mark.parametrize("limits", [Limits(body_bytes=100, bundle_bytes=1000)])
async def test_a_bundle_may_be_larger(client: httpx.AsyncClient) -> None:
    sent = bundle("transaction", entry("POST", "Patient", patient()))
    large = patient(name=[{"family": "x" * 200}])

    assert (await client.post("", json=sent)).status_code == 200
    assert told(await client.post("/Patient", json=large))[0] == 413
    assert told(await client.post("", json=bundle("batch", {"x": "y" * 1000})))[0] == 413


async def test_gzip_comes_in(client: httpx.AsyncClient) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    body = packed(b'{"resourceType":"Patient","active":true}')

    answer = await client.post("/Patient", content=body, headers=headers)

    assert (answer.status_code, answer.json()["active"]) == (201, True)


@pytest.mark.parametrize(
    ("body", "encoding", "told_"),
    [
        (packed(b" " * 20 * MIB), "gzip", (413, "too-long", ["Content-Encoding"])),
        (packed(b" " * 2 * MIB), "gzip", (413, "too-long", ["Content-Encoding"])),
        (packed(b"{}")[:-4], "gzip", (400, "invalid", ["Content-Encoding"])),
        (packed(b"{}") + b"{}", "gzip", (400, "invalid", ["Content-Encoding"])),
        (packed(b"{}") * 2, "gzip", (400, "invalid", ["Content-Encoding"])),
        (packed(packed(b"{}")), "gzip", (400, "structure", None)),
        (b"no gzip", "gzip", (400, "invalid", ["Content-Encoding"])),
        (packed(b"{}"), "gzip, gzip", (415, "not-supported", ["Content-Encoding"])),
        (b"{}", "br", (415, "not-supported", ["Content-Encoding"])),
    ],
)
async def test_encodings_that_are_refused(
    client: httpx.AsyncClient, body: bytes, encoding: str, told_: Any
) -> None:
    headers = {**JSON, "Content-Encoding": encoding}

    assert told(await client.post("/Patient", content=body, headers=headers)) == told_
    assert await nothing_happened(client)


@pytest.mark.parametrize(
    ("address", "told_"),
    [
        ("/Patient?birthdate=yesterday", (400, "invalid", ["birthdate"])),
        ("/Patient?_count=-1", (400, "invalid", ["_count"])),
        ("/Patient?_count=many", (400, "invalid", ["_count"])),
        ("/Patient?_sort=shoesize", (400, "invalid", ["_sort"])),
        ("/Patient?_cursor=abc", (400, "invalid", ["_cursor"])),
        ("/Patient?_cursor=%C3%A9", (400, "invalid", ["_cursor"])),
        ("/Patient?_cursor=a&_cursor=b", (400, "invalid", ["_cursor"])),
        ("/Patient?name=%ff", (400, "invalid", None)),
        ("/Patient?" + "a=b&" * 3000, (400, "invalid", None)),
        ("/?_type=Paciento", (400, "invalid", ["_type"])),
        ("/Patient/a/Paciento", (404, "not-supported", ["type"])),
        ("/Organization/a/Patient", (404, "not-supported", None)),
        ("/_history?_since=yesterday", (400, "invalid", ["_since"])),
        ("/_history?_count=x", (400, "invalid", ["_count"])),
        ("/_history?_cursor=abc", (400, "invalid", ["_cursor"])),
        ("/Patient/$jump", (404, "not-supported", None)),
        ("/Patient/a/$meta-add", (405, "not-supported", None)),
        ("/$everything", (404, "not-supported", None)),
        ("/metadata?mode=terminology", (404, "not-supported", ["mode"])),
    ],
)
async def test_an_address_that_is_refused(
    client: httpx.AsyncClient, address: str, told_: Any
) -> None:
    assert told(await client.get(address)) == told_


async def test_search_by_form_reads_forms_only(client: httpx.AsyncClient) -> None:
    form = await client.post("/Patient/_search", data={"_summary": "count"})
    json_ = await client.post("/Patient/_search", json={})
    large = await client.post(
        "/Patient/_search",
        content=b"a=" + b"b" * MIB,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert form.json()["total"] == 0
    assert told(json_) == (415, "not-supported", ["Content-Type"])
    assert told(large) == (413, "too-long", ["Content-Length"])


@pytest.mark.parametrize(
    ("sent", "told_"),
    [
        ({"resourceType": "Patient"}, (400, "invalid", ["Bundle"])),
        ([], (400, "invalid", ["Bundle"])),
        (bundle("searchset"), (400, "invalid", ["Bundle.type"])),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}},
         (422, "structure", ["Bundle.entry"])),
        ({"resourceType": "Bundle", "type": "transaction", "foo": 1},
         (422, "structure", ["Bundle.foo"])),
        (bundle("transaction", *[{}] * 5001), (413, "too-long", ["Bundle.entry"])),
        (bundle("transaction", {}), (400, "invalid", ["Bundle.entry[0].request"])),
        (bundle("transaction", 7), (400, "invalid", ["Bundle.entry[0].request"])),
        (bundle("transaction", entry("JUMP", "Patient", patient())),
         (400, "invalid", ["Bundle.entry[0].request.method"])),
        (bundle("transaction", entry("POST", "Paciento", patient())),
         (400, "invalid", ["Bundle.entry[0].request.url"])),
        (bundle("transaction", entry("PUT", "Patient", patient())),
         (400, "invalid", ["Bundle.entry[0].request.url"])),
        (bundle("transaction", entry("PUT", "Patient/a_b", patient())),
         (400, "invalid", ["Bundle.entry[0].request.url"])),
        (bundle("transaction", entry("POST", "Patient")),
         (400, "invalid", ["Bundle.entry[0].resource"])),
        (bundle("transaction", entry("DELETE", "Organization/a", patient())),
         (400, "invalid", ["Bundle.entry[0].resource"])),
        (bundle("transaction", entry("PUT", "Patient/a", patient("b"))),
         (400, "invalid", ["Bundle.entry[0].resource.id"])),
        (bundle("transaction", entry("POST", "Observation", patient())),
         (400, "invalid", ["Bundle.entry[0].resource"])),
        (bundle("transaction", entry("POST", "Patient", patient()),
                entry("POST", "Patient", patient(active="yes"))),
         (422, "structure", ["Bundle.entry[1].resource.active"])),
        (bundle("transaction", entry("PUT", "Patient/a", patient("a"), ifMatch="1")),
         (400, "invalid", ["Bundle.entry[0].request.ifMatch"])),
        (bundle("transaction", entry("POST", "Patient", patient(), ifNoneExist=7)),
         (422, "structure", ["Bundle.entry[0].request.ifNoneExist"])),
        (bundle("transaction", entry("POST", "Patient", patient(), fullUrl=7)),
         (422, "structure", ["Bundle.entry[0].fullUrl"])),
        (bundle("transaction", entry("GET", "Patient/a", ifNoneMatch=[])),
         (422, "structure", ["Bundle.entry[0].request.ifNoneMatch"])),
        (bundle("transaction", {**entry("GET", "Patient/a"), "foo": 1}),
         (422, "structure", ["Bundle.entry[0].foo"])),
    ],
)  # fmt: skip
async def test_a_bundle_that_is_refused(client: httpx.AsyncClient, sent: Any, told_: Any) -> None:
    assert told(await client.post("", json=sent)) == told_
    assert await nothing_happened(client)


async def test_a_misshapen_entry_of_a_batch_answers_for_itself(client: httpx.AsyncClient) -> None:
    sent = bundle(
        "batch",
        entry("POST", "Patient", patient(), ifNoneExist=7),
        entry("POST", "Patient", patient()),
    )

    first, second = (await client.post("", json=sent)).json()["entry"]

    assert first["response"]["status"] == "422 Unprocessable Entity"
    assert second["response"]["status"] == "201 Created"


async def test_a_fault_in_a_bundle_has_a_line(client: httpx.AsyncClient) -> None:
    body = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[\n'
        b'{"request":{"method":"POST","url":"Patient"},\n'
        b'"resource":{"resourceType":"Patient",\n'
        b' "active":"yes"}}]}'
    )

    issue = (await client.post("", content=body, headers=JSON)).json()["issue"][0]

    assert issue["expression"] == ["Bundle.entry[0].resource.active"]
    assert issue["location"] == ["line 4, column 2"]


async def test_a_body_can_be_missing_altogether(client: httpx.AsyncClient) -> None:
    assert told(await client.post("/Patient")) == (400, "invalid", None)
    assert told(await client.put("/Patient/a")) == (400, "invalid", None)


async def test_a_bug_is_told_without_what_it_says(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Call) -> bytes:
        raise KeyError("Jane Doe, born 1980")

    broken = Operation("fail", "http://x/fail", "Fails.", ("system",), fail)
    app = rest.build(house.services, authenticate=authenticate, operations=[broken])
    headers = {"Authorization": "Bearer admin", "X-Request-Id": "r1"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        answer = await client.get("/$fail", headers=headers)
        batch = await client.post("", json=bundle("batch", entry("GET", "$fail")), headers=headers)
        after = await client.get("/Patient", headers=headers)

    assert told(answer) == (500, "exception", None)
    assert "internal error" in answer.text
    assert "r1" in answer.text
    response = batch.json()["entry"][0]["response"]
    assert response["status"] == "500 Internal Server Error"
    assert response["outcome"]["issue"][0]["diagnostics"] == "internal error"
    assert "Jane" not in answer.text + batch.text + caplog.text
    assert caplog.text.count("request r1: KeyError") == 2
    assert after.status_code == 200
