"""``Prefer: respond-async``: accepted, polled, answered once, and nobody else's business."""

import json
import logging
from typing import Any

import anyio
import httpx
import pytest

from server import rest
from server.access.context import SHARED, AccessContext, Permit, Trace
from server.operations import OPERATIONS
from server.operations.registry import Call, Operation, Streamed
from server.rest import Application, Limits, kept_access
from server.rest.jobs import KIND, REQUEST, RESULT
from server.rest.routes import ROUTES
from server.search.query import EVERYTHING, AllOf, DateIs, HasKey, Mentioned, Not, Query
from tests.rest.house import (
    BASE,
    JSON_PATCH,
    House,
    authenticate,
    bundle,
    entry,
    ids,
    logged,
    observation,
    patient,
    told,
)

ASYNC = {"Prefer": "respond-async"}
DAY = 24 * 3600 * 1_000_000


async def accepted(answer: httpx.Response) -> str:
    """Return where the answer will be."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.json()["issue"][0]["severity"] == "information"
    return str(answer.headers["content-location"])


async def ended(client: httpx.AsyncClient, address: str) -> httpx.Response:
    """Return the first answer that is not "still running"."""
    for _ in range(2000):
        answer = await client.get(address)
        if answer.status_code != 202:
            return answer
        await anyio.sleep(0.005)
    raise AssertionError("it did not end")


async def later(client: httpx.AsyncClient, method: str, address: str, **more: Any) -> Any:
    """Return the one entry of the answer to an asynchronous request."""
    headers = {**more.pop("headers", {})}
    headers["Prefer"] = ", ".join(filter(None, ("respond-async", headers.get("Prefer"))))
    where = await accepted(await client.request(method, address, headers=headers, **more))
    answer = await ended(client, where)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["resourceType"], made["type"]) == ("Bundle", "batch-response")
    (found,) = made["entry"]
    return found


def held(house: House, *, affects_state: bool = False) -> tuple[Application, anyio.Event]:
    """Return a server with the operation ``$wait``, which ends when the event is set."""
    gate = anyio.Event()

    async def wait(_: Call) -> bytes:
        await gate.wait()
        return b'{"resourceType":"Parameters"}'

    operation = Operation(
        "wait", "http://x/wait", "Waits.", ("system",), wait, affects_state=affects_state
    )
    return served(house, operation), gate


def served(house: House, *more: Operation, limits: Limits | None = None) -> Application:
    return rest.build(
        house.services,
        authenticate=authenticate,
        limits=limits or Limits(),
        operations=[*OPERATIONS, *more],
    )


def client_of(app: Application, caller: str = "admin") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=BASE,
        headers={"Authorization": f"Bearer {caller}"},
    )


async def test_a_search_is_answered_later(client: httpx.AsyncClient) -> None:
    await client.put("/Patient/a", json=patient("a"))

    found = await later(client, "GET", "/Patient?_id=a")

    assert found["response"] == {"status": "200 OK"}
    assert found["resource"]["type"] == "searchset"
    assert ids(found["resource"]) == ["Patient/a"]


async def test_a_write_is_done_once_and_says_where(client: httpx.AsyncClient) -> None:
    found = await later(client, "PUT", "/Patient/a", json=patient("a", active=True))

    assert found["resource"]["active"] is True
    assert found["response"] == {
        "status": "201 Created",
        "location": f"{BASE}/Patient/a/_history/1",
        "etag": 'W/"1"',
        "lastModified": "2026-01-02T03:04:05.000Z",
    }
    assert (await client.get("/Patient/a/_history")).json()["total"] == 1


@pytest.mark.parametrize(
    ("method", "address", "headers", "body", "status"),
    [
        ("GET", "/Patient/a", {}, None, "200 OK"),
        ("GET", "/Patient/a", {"If-None-Match": 'W/"1"'}, None, "304 Not Modified"),
        ("GET", "/Patient/none", {}, None, "404 Not Found"),
        ("GET", "/Patient?birthdate=soon", {}, None, "400 Bad Request"),
        ("GET", "/Patient/a/$everything", {}, None, "200 OK"),
        ("GET", "/_history", {}, None, "200 OK"),
        ("POST", "/Patient", {}, patient(), "201 Created"),
        ("POST", "/Patient", {"If-None-Exist": "identifier=s|1"}, patient(), "200 OK"),
        ("POST", "/Patient", {}, {"resourceType": "Patient", "active": "yes"},
         "422 Unprocessable Entity"),
        ("PUT", "/Patient/a", {"If-Match": 'W/"7"'}, patient("a"), "412 Precondition Failed"),
        ("PATCH", "/Patient/a", {"Content-Type": JSON_PATCH},
         [{"op": "add", "path": "/active", "value": True}], "200 OK"),
        ("DELETE", "/Organization/none", {}, None, "204 No Content"),
        ("POST", "", {}, bundle("transaction", entry("POST", "Patient", patient())), "200 OK"),
        ("POST", "/Patient/$validate", {}, patient(active="yes"), "200 OK"),
    ],
)  # fmt: skip
async def test_every_interaction_can_wait(
    client: httpx.AsyncClient,
    method: str,
    address: str,
    headers: dict[str, str],
    body: Any,
    status: str,
) -> None:
    await client.put("/Patient/a", json=patient("a", identifier=[{"system": "s", "value": "1"}]))

    found = await later(client, method, address, headers=headers, json=body)

    assert found["response"]["status"] == status
    failed = int(status[:3]) >= 400
    assert ("outcome" in found["response"]) is failed
    assert ("resource" in found) is (not failed and status[:3] not in ("204", "304"))


async def test_other_preferences_count_as_ever(client: httpx.AsyncClient) -> None:
    minimal = await later(
        client, "POST", "/Patient", json=patient(), headers={"Prefer": "return=minimal"}
    )
    outcome = await later(
        client, "POST", "/Patient", json=patient(), headers={"Prefer": "return=OperationOutcome"}
    )
    strict = await later(
        client, "GET", "/Patient?shoesize=44", headers={"Prefer": "handling=strict"}
    )

    assert "resource" not in minimal
    assert minimal["response"]["etag"] == 'W/"1"'
    assert "resource" not in outcome
    assert outcome["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert strict["response"]["outcome"]["issue"][0]["expression"] == ["shoesize"]


async def test_content_of_a_binary_comes_as_a_resource(client: httpx.AsyncClient) -> None:
    found = await later(
        client, "PUT", "/Binary/b", content=b"\x00\xff", headers={"Content-Type": "image/png"}
    )
    read = await later(client, "GET", "/Binary/b", headers={"Accept": "image/png, */*"})

    assert found["response"]["status"] == "201 Created"
    assert (read["resource"]["contentType"], read["resource"]["data"]) == ("image/png", "AP8=")


async def test_what_is_wrong_with_the_address_is_told_at_once(client: httpx.AsyncClient) -> None:
    assert told(await client.get("/Paciento", headers=ASYNC))[0] == 404
    assert told(await client.get("/$jump", headers=ASYNC))[0] == 404
    assert told(await client.put("/metadata", headers=ASYNC))[0] == 405
    assert told(await client.get("/Patient?_format=xml", headers=ASYNC))[0] == 406


async def test_some_requests_are_answered_at_once_all_the_same(house: House) -> None:
    async with house.client() as client:
        for method, address in (("GET", "/metadata"), ("HEAD", "/Patient"), ("OPTIONS", "/")):
            answer = await client.request(method, address, headers=ASYNC)
            assert answer.status_code in (200, 204)
            assert "preference-applied" not in answer.headers
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        await ended(client, where)
        assert (await client.get(where, headers=ASYNC)).status_code == 200


async def test_a_running_request_says_so(house: House) -> None:
    app, gate = held(house)
    async with client_of(app) as client:
        where = await accepted(await client.get("/$wait", headers=ASYNC))
        first = await client.get(where)
        house.clock.at += 20_000_000
        then = await client.get(where)
        gate.set()
        done = await ended(client, where)

    assert first.status_code == then.status_code == 202
    assert first.headers["x-progress"] == "running, accepted 0 seconds ago"
    assert (first.headers["retry-after"], first.content) == ("1", b"")
    assert then.headers["x-progress"] == "running, accepted 20 seconds ago"
    assert then.headers["retry-after"] == "6"
    assert done.json()["entry"][0]["resource"] == {"resourceType": "Parameters"}


async def test_the_request_of_somebody_else_is_not_there(house: House) -> None:
    async with house.client() as client, house.client("other") as other:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        await ended(client, where)
        for method in ("GET", "DELETE"):
            theirs = await other.request(method, where)
            absent = await other.request(method, "/_async/none")
            assert told(theirs) == (404, "not-found", None)
            assert theirs.content == absent.content
        assert (await client.get(where)).status_code == 200


async def test_an_answer_is_kept_for_a_day(house: House) -> None:
    async with house.client() as client:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        answer = await ended(client, where)
        house.clock.at += DAY - 1
        assert (await client.get(where)).status_code == 200
        house.clock.at += 1
        late = await client.get(where)

    assert answer.headers["expires"] == "Sat, 03 Jan 2026 03:04:05 GMT"
    assert told(late) == (404, "not-found", None)
    await house.store.expire_records(house.clock.at)
    for kind in (KIND, REQUEST, RESULT):
        assert await house.store.find_records(kind) == []


async def test_a_request_can_be_removed_while_it_runs_and_afterwards(house: House) -> None:
    app, gate = held(house)
    async with client_of(app) as client:
        running = await accepted(await client.get("/$wait", headers=ASYNC))
        done = await accepted(await client.get("/Patient", headers=ASYNC))
        await ended(client, done)
        for where in (running, done):
            removed = await client.delete(where)
            assert removed.status_code == 202
            assert removed.json()["issue"][0]["severity"] == "information"
            assert told(await client.get(where)) == (404, "not-found", None)
            assert told(await client.delete(where)) == (404, "not-found", None)
        gate.set()
        await app.stop(grace_s=5)

    for kind in (KIND, REQUEST, RESULT):
        assert await house.store.find_records(kind) == []


async def test_too_many_at_a_time_are_told_to_come_again(house: House) -> None:
    gate = anyio.Event()

    async def wait(_: Call) -> bytes:
        await gate.wait()
        return b"{}"

    operation = Operation("wait", "http://x/wait", "Waits.", ("system",), wait)
    app = served(house, operation, limits=Limits(jobs=3, jobs_per_caller=2))
    async with client_of(app) as client, client_of(app, "other") as other:
        mine = [await accepted(await client.get("/$wait", headers=ASYNC)) for _ in range(2)]
        third = await client.get("/$wait", headers=ASYNC)
        await accepted(await other.get("/$wait", headers=ASYNC))
        in_all = await other.get("/$wait", headers=ASYNC)
        gate.set()
        for where in mine:
            await ended(client, where)
        again = await client.get("/$wait", headers=ASYNC)
    await app.stop(grace_s=5)

    for refused in (third, in_all):
        assert told(refused) == (429, "throttled", None)
        assert refused.headers["retry-after"] == "5"
    await accepted(again)


@pytest.mark.parametrize("limits", [Limits(jobs_kept=2)])
async def test_answers_do_not_pile_up(house: House) -> None:
    async with house.client() as client, house.client("other") as other:
        kept = []
        for _ in range(2):
            kept.append(await accepted(await client.get("/Patient", headers=ASYNC)))
            await ended(client, kept[-1])
        third = await client.get("/Patient", headers=ASYNC)
        await accepted(await other.get("/Patient", headers=ASYNC))
        await client.delete(kept[0])
        again = await client.get("/Patient", headers=ASYNC)

    assert told(third) == (429, "throttled", None)
    assert "DELETE" in third.json()["issue"][0]["diagnostics"]
    await accepted(again)


@pytest.mark.parametrize("limits", [Limits(body_bytes=200, bundle_bytes=1000)])
async def test_a_refused_request_takes_no_place(house: House) -> None:
    async with house.client() as client:
        for _ in range(10):
            large = await client.post("", content=b" " * 1001, headers=ASYNC)
            assert told(large) == (413, "too-long", ["Content-Length"])
        found = await later(client, "POST", "/Patient", content=b" " * 201)
        assert found["response"]["status"] == "413 Request Entity Too Large"
    assert len(await house.store.find_records(KIND)) == 1


@pytest.mark.parametrize("limits", [Limits(job_bytes=400)])
async def test_an_answer_that_is_too_long_says_so(house: House) -> None:
    async with house.client() as client:
        long = patient("a", name=[{"text": "x" * 400}])
        written = await later(client, "PUT", "/Patient/a", json=long)
        read = await later(client, "GET", "/Patient/a")
        whole = await later(client, "GET", "/Patient/a/$everything")

    assert written["response"]["status"] == "201 Created"
    assert written["response"]["etag"] == 'W/"1"'
    issue = written["response"]["outcome"]["issue"][0]
    assert (issue["severity"], issue["code"]) == ("warning", "too-costly")
    for found in (read, whole):
        assert found["response"]["status"] == "403 Forbidden"
        assert "400 bytes" in found["response"]["outcome"]["issue"][0]["diagnostics"]
        assert "resource" not in found


async def restarted(house: House, path: str, *, affects_state: bool) -> tuple[Application, str]:
    """Return a second server on the store of one that ended during ``path``, and the address."""
    app, _ = held(house, affects_state=affects_state)
    async with client_of(app) as client:
        where = await accepted(await client.post(path, headers=ASYNC))
    await app.stop(grace_s=0)
    again, gate = held(house, affects_state=affects_state)
    gate.set()
    return again, where


async def test_a_read_is_run_again_after_a_restart(house: House) -> None:
    app, where = await restarted(house, "/$wait", affects_state=False)
    async with client_of(app) as client:
        assert told(await client.get(where)) == (500, "incomplete", None)
        await app.start()
        answer = await ended(client, where)
    assert answer.json()["entry"][0]["resource"] == {"resourceType": "Parameters"}
    await app.stop(grace_s=5)


async def test_a_write_is_not_run_again_but_reported(house: House) -> None:
    app, where = await restarted(house, "/$wait", affects_state=True)
    await app.start()
    async with client_of(app) as client:
        answer = await client.get(where)
        assert told(answer) == (500, "incomplete", None)
        assert "before you repeat it" in answer.json()["issue"][0]["diagnostics"]
        assert (await client.delete(where)).status_code == 202
        assert told(await client.get(where))[0] == 404


async def test_a_request_that_ends_the_server_is_not_run_for_ever(house: House) -> None:
    app, _ = held(house)
    async with client_of(app) as client:
        where = await accepted(await client.get("/$wait", headers=ASYNC))
        for attempt in range(4):
            await app.stop(grace_s=0)
            app, _ = held(house)
            async with client_of(app) as again:
                await app.start()
                status = (await again.get(where)).status_code
            assert status == (202 if attempt < 2 else 500)


async def test_a_stopping_server_lets_requests_end_and_takes_no_new_ones(house: House) -> None:
    app, gate = held(house, affects_state=True)
    async with client_of(app) as client:
        where = await accepted(await client.post("/$wait", headers=ASYNC))
        async with anyio.create_task_group() as group:
            group.start_soon(app.stop, 5)
            await anyio.sleep(0.01)
            refused = await client.post("/$wait", headers=ASYNC)
            gate.set()
        assert told(refused) == (503, "no-store", None)
        assert (await client.get(where)).status_code == 200


async def test_a_bug_is_an_answer_too(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Call) -> bytes:
        raise KeyError("Jane Doe")

    async def fail_late(_: Call) -> Streamed:
        async def chunks() -> Any:
            yield b"{"
            raise KeyError("Jane Doe")

        return Streamed(chunks())

    app = served(
        house,
        Operation("fail", "http://x/fail", "Fails.", ("system",), fail),
        Operation("fail-late", "http://x/late", "Fails.", ("system",), fail_late),
    )
    async with client_of(app) as client:
        for address in ("/$fail", "/$fail-late"):
            found = await later(client, "GET", address, headers={"X-Request-Id": "r7"})
            assert found["response"]["status"] == "500 Internal Server Error"
            assert "r7" in found["response"]["outcome"]["issue"][0]["diagnostics"]
    assert caplog.text.count("request r7: KeyError") == 2
    assert "Jane" not in caplog.text


async def test_the_rights_are_those_of_the_caller(house: House) -> None:
    async with house.client() as admin:
        for who in ("a", "b"):
            await admin.put(f"/Patient/{who}", json=patient(who))
            await admin.put(f"/Observation/{who}", json=observation(f"Patient/{who}", who))
    async with house.client("patient-a") as client:
        found = await later(client, "GET", "/Observation")
        other = await later(client, "GET", "/Patient/b")
        refused = await later(client, "PUT", "/Patient/b", json=patient("b"))
    assert ids(found["resource"]) == ["Observation/a"]
    assert other["response"]["status"] == refused["response"]["status"] == "404 Not Found"


async def test_a_narrower_token_does_not_see_the_answer_to_a_wider_one(house: House) -> None:
    async def by_rights(authorization: bytes | None) -> AccessContext:
        assert authorization is not None
        wide = authorization == b"Bearer wide"
        type_ = "*" if wide else "Observation"
        return AccessContext("user/1", "app", (Permit(type_),))

    app = rest.build(house.services, authenticate=by_rights)
    async with client_of(app, "wide") as client:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        await ended(client, where)
        narrow = await client.get(where, headers={"Authorization": "Bearer narrow"})
    assert told(narrow) == (404, "not-found", None)


async def test_who_is_not_told_of_what_is_withheld_any_more_does_not_see_the_answer(
    house: House,
) -> None:
    async def by_rights(authorization: bytes | None) -> AccessContext:
        told_of = (Permit("*"),) if authorization == b"Bearer told" else ()
        return AccessContext("user/1", "app", (Permit("Patient"),), beyond=told_of)

    app = rest.build(house.services, authenticate=by_rights)
    async with client_of(app, "told") as client:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        await ended(client, where)
        withdrawn = await client.get(where, headers={"Authorization": "Bearer other"})
        still = await client.get(where)
    assert told(withdrawn) == (404, "not-found", None)
    assert still.status_code == 200


async def test_no_token_and_nothing_of_a_patient_is_kept_or_logged_in_the_clear(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with house.client() as client:
        await later(client, "GET", "/Patient?name=Zanaida", headers={"X-Request-Id": "r1"})
    (record,) = await house.store.find_records(KIND)
    assert b"Bearer" not in record.value
    records = logged(caplog)
    assert "Zanaida" not in "".join(map(caplog.handler.format, records))
    lines = [r.getMessage() for r in records if " r1 " in r.getMessage()]
    assert lines[0].startswith("GET /{type} 202 ")
    assert any(line.startswith("GET /{type} (async) 200 ") for line in lines)


def test_a_job_keeps_every_right_of_its_caller() -> None:
    inside = Mentioned(Query(("Observation",), HasKey(("compartment|Patient/a",))))
    limited = Permit(
        SHARED,
        frozenset(("read", "search")),
        "Patient/a",
        AllOf((inside, Not(DateIs("Observation", "date", "gt", 1, 2)), EVERYTHING)),
        ("http://x|R", "http://x|V"),
        1_767_323_045_678_000,
        frozenset(("Task", "Device")),
    )
    access = AccessContext(
        "user/a", "app", (limited, Permit("*")), "Patient/a", "Patient/a", "grant-1", "patient",
        Trace("r1", "10.0.0.1", None, ("TREAT",)),
    )  # fmt: skip

    again = kept_access.made_anew(json.loads(json.dumps(kept_access.plain(access))))

    assert again == access
    assert again.trace == access.trace


async def test_time_goes_on_but_rights_stay(house: House) -> None:
    """What may be seen from now on differs at each request; that is not another right."""
    hidden: tuple[str, ...] = ()

    async def released_now(_: bytes | None) -> AccessContext:
        permit = Permit("*", compartment="Patient/a", hidden=hidden, released=house.clock())
        return AccessContext("user/a", "app", (permit,), grant="1")

    app = rest.build(house.services, authenticate=released_now)
    async with client_of(app) as client:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        house.clock.at += 5_000_000
        assert (await ended(client, where)).status_code == 200
        hidden = ("http://x|R",)
        assert told(await client.get(where)) == (404, "not-found", None)


async def test_an_answer_is_fetched_under_the_grant_that_asked(house: House) -> None:
    async def by_grant(authorization: bytes | None) -> AccessContext:
        return AccessContext("user/a", "app", (Permit("*"),), grant=str(authorization))

    app = rest.build(house.services, authenticate=by_grant)
    async with client_of(app, "one") as client:
        where = await accepted(await client.get("/Patient", headers=ASYNC))
        assert (await ended(client, where)).status_code == 200
    async with client_of(app, "two") as client:
        assert told(await client.get(where)) == (404, "not-found", None)
        assert told(await client.delete(where)) == (404, "not-found", None)


async def test_no_route_is_left_out(house: House) -> None:
    assert {"GET", "DELETE"} == set(ROUTES["/_async/{job}"])
    async with house.client() as client:
        for address in ("/_async", "/_async/a/b", "/_async/%2e%2e"):
            assert told(await client.get(address))[0] == 404
