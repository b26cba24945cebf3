"""``POST /hl7v2/{feed}`` and ``/admin``, in the application as it is served."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mappings.feed import Feed
from server.access.context import AccessContext, Permit
from server.auth import Authenticator, FeedDoor, administrator, new_feed_token, new_token
from server.feeds import admin, http
from server.feeds.framing import frame
from server.feeds.header import read_header
from server.feeds.inbox import Inbox
from server.feeds.newest import newest
from server.feeds.quarantine import Filter
from server.feeds.service import FeedService
from server.feeds.wiring import Wire, Wiring
from server.fhir.errors import Forbidden
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.uuid7 import uuid7
from tests.feeds.conftest import index, services_on
from tests.feeds.test_folder import Away
from tests.feeds.test_service import BATCH, FeedMaps, message

ER7 = {"Content-Type": "application/hl7-v2"}


class Site:
    """A service with its routes, and what an administrator and a sender of ``lab`` show."""

    def __init__(self, services: Services, **settings: Any) -> None:
        self.services = services
        wiring = Wiring({"lab": Wire(), "errors": Wire(batch="errors")})
        self.service = FeedService(
            services, FeedMaps(**settings), [], wiring=wiring, replay_poll_s=0.01
        )
        authenticate = Authenticator(services.store, services.now)
        self.app = FastAPI()
        door = FeedDoor(services.store, authenticate, services.now)
        self.app.include_router(http.router(self.service, door))

        async def only(header: bytes | None) -> AccessContext:
            await administrator(authenticate, header)
            return await authenticate(header)

        self.app.include_router(admin.router(self.service, only))
        self.admin: dict[str, str] = {}
        self.lab: dict[str, str] = {}

    async def start(self) -> None:
        self.admin = {"Authorization": f"Bearer {await new_token(self.services.store, 'ann')}"}
        token = await new_feed_token(self.services.store, "lab", "analyser")
        self.lab = {"Authorization": f"Bearer {token}"}
        await self.service.start()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://test", headers=self.admin
        )


@pytest.fixture
async def site(services: Services) -> AsyncIterator[Site]:
    made = Site(services, ack_quarantined="AE")
    await made.start()
    yield made
    await made.service.stop(grace_s=2)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as made:
        yield made


async def sent(client: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    return await client.post("/hl7v2/lab", content=body, headers={**ER7, **headers})


def codes(answer: httpx.Response) -> list[str]:
    lines = answer.content.decode().split("\r")
    return [line.split("|")[1] for line in lines if line.startswith("MSA")]


UNIDENTIFIED = message("2").replace(b"77^^^HOSP^MR", b"")


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (message("1"), 200, ["AA"]),
        (b"\x0b" + message("1") + b"\x1c\r", 200, ["AA"]),
        (b"".join(map(frame, (message("1"), UNIDENTIFIED, b"junk"))), 500, ["AA", "AE", "AR"]),
        (message("1", more="|||AL|AL"), 200, ["CA", "AA"]),
        (message("1", more="|||NE|NE"), 204, []),
        (UNIDENTIFIED, 500, ["AE"]),
        (b"no message", 400, ["AR"]),
        (b"", 400, ["AR"]),
        (BATCH, 500, ["AA", "AE"]),
        (message("1") + b"NTE|" + b"x" * 17_000_000, 413, ["AR"]),
    ],
    ids=[
        "applied", "framed", "frames", "enhanced", "no answer asked for", "in quarantine",
        "no message", "empty", "batch", "too large",
    ],
)  # fmt: skip
async def test_the_status_says_what_the_acknowledgement_says(
    client: httpx.AsyncClient, body: bytes, status: int, expected: list[str]
) -> None:
    answer = await sent(client, body)
    assert (answer.status_code, codes(answer)) == (status, expected)
    if answer.content:
        assert answer.headers["content-type"] == "application/hl7-v2"


async def test_a_message_is_the_same_with_and_without_its_frame(
    site: Site, client: httpx.AsyncClient
) -> None:
    plain, framed = await sent(client, message("1")), await sent(client, frame(message("1")))
    assert framed.content == plain.content
    (entry,) = [entry async for entry in site.service.inbox.walk()]
    assert await site.service.inbox.received_body(entry) == message("1")


async def test_the_answer_has_the_media_type_of_the_message(client: httpx.AsyncClient) -> None:
    type_ = "x-application/hl7-v2+er7; charset=utf-8"
    assert (await sent(client, message("1"), **{"Content-Type": type_})).headers[
        "content-type"
    ] == type_
    refused = await sent(client, message("1"), **{"Content-Type": "text/plain"})
    assert refused.status_code == 415
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("", 401), ("Basic x", 401), ("Bearer tellonce_x", 401), ("Bearer tellonce_feed_x", 401)],
)
async def test_without_a_known_token_nothing_is_kept(
    site: Site, client: httpx.AsyncClient, authorization: str, status: int
) -> None:
    answer = await sent(client, message("1"), Authorization=authorization)
    assert answer.status_code == status
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert [entry async for entry in site.service.inbox.walk()] == []


async def test_the_token_of_a_feed_opens_that_feed_and_nothing_else(
    site: Site, client: httpx.AsyncClient
) -> None:
    assert (await sent(client, message("1"), **site.lab)).status_code == 200
    other = await client.post("/hl7v2/adt", content=message("1"), headers={**ER7, **site.lab})
    assert other.status_code == 403
    for path in ("/admin/feeds", "/admin/inbox"):
        assert (await client.get(path, headers=site.lab)).status_code == 401
    assert [entry.feed async for entry in site.service.inbox.walk()] == ["lab"]


async def test_who_may_read_everything_is_not_an_administrator(site: Site) -> None:
    async def reader(_: bytes | None) -> AccessContext:
        return AccessContext("user/1", "some-app", (Permit("*"),))

    with pytest.raises(Forbidden):
        await administrator(reader, b"Bearer x")


async def test_while_the_store_is_away_the_sender_is_told_to_come_again(
    now: Callable[[], int],
) -> None:
    services = services_on(Away(now=now, index=index), now)
    services.store.away = 0  # type: ignore[attr-defined]
    site = Site(services)
    await site.start()
    services.store.away = 1  # type: ignore[attr-defined]
    async with site.client() as client:
        answer = await sent(client, message("1"))
        assert (answer.status_code, codes(answer)) == (503, ["AR"])
        assert answer.headers["retry-after"] == "5"
        assert (await sent(client, message("1"))).status_code == 200
        await site.service.drain()
        assert (await sent(client, message("2"))).status_code == 503
    await site.service.stop()


async def test_the_console_sees_feeds_with_their_states(client: httpx.AsyncClient) -> None:
    for body in (message("1"), message("1"), UNIDENTIFIED):
        await sent(client, body)
    told = (await client.get("/admin/feeds")).json()
    assert [feed["name"] for feed in told["feeds"]] == ["errors", "lab"]
    lab = told["feeds"][1]
    assert lab["states"] == {"applied": 1, "quarantined": 1}
    assert lab["quarantined"] == {"patient-unidentified": 1}
    assert (lab["received"], lab["repeated"], lab["applied"]) == (2, 1, 1)
    assert lab["bytes"] == len(message("1") + UNIDENTIFIED)
    assert lab["per_minute"]["one"] == 2.0
    assert lab["last_message"].startswith("2026-01-02T03:04:0")
    assert (lab["lag_s"], lab["unfinished"], lab["backlog"]) == (0.0, 0, False)
    assert lab["ack_p99_s"] > 0
    assert told["lanes"] == {"busy": 0, "active": 0, "waiting": 0}
    assert (await client.get("/admin/feeds/lab")).json() == lab
    assert (await client.get("/admin/feeds/none")).status_code == 404


async def test_the_console_sees_why_changed_maps_are_not_used(
    client: httpx.AsyncClient, site: Site
) -> None:
    assert (await client.get("/admin/feeds")).json()["map_problems"] == []
    site.service.maps.refused = ("site/lab.yaml:2: mode is one of backload, live, replay",)
    told = (await client.get("/admin/feeds")).json()["map_problems"]
    site.service.maps.refused = ()
    assert told == ["site/lab.yaml:2: mode is one of backload, live, replay"]


async def test_messages_are_paged_newest_or_oldest_first(client: httpx.AsyncClient) -> None:
    for n in range(7):
        await sent(client, message(f"m{n}", mrn=str(n)))

    async def walked(**query: Any) -> list[str]:
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            params = {"limit": 3, "after": after, **query}
            page = (await client.get("/admin/inbox", params=params)).json()
            found += [one["control_id"] for one in page["messages"]]
            assert len(page["messages"]) <= 3
            after = page["next"]
        return found

    assert await walked() == [f"m{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert await walked(order="oldest") == [f"m{n}" for n in range(7)]
    assert await walked(control_id="m3") == ["m3"]
    assert await walked(feed="lab", state="applied", type="ADT^A04") == await walked()
    assert await walked(feed="adt") == []
    assert await walked(state="quarantined") == []
    assert await walked(until="2026-01-01T00:00:00Z") == []
    assert (await client.get("/admin/inbox", params={"order": "up"})).status_code == 422


async def test_a_message_is_shown_with_its_explanation_and_its_bytes(
    client: httpx.AsyncClient,
) -> None:
    await sent(client, message("1"))
    (listed,) = (await client.get("/admin/inbox")).json()["messages"]
    told = (await client.get(f"/admin/inbox/{listed['id']}")).json()
    assert {name: told[name] for name in listed} == listed
    assert any(row["source"].startswith("PID-5") for row in told["explain"])
    reference = {"target": "Encounter.subject", "source": "", "how": "reference"}
    assert {**reference, "value": "Patient"} in told["explain"]
    assert told["ack"].split("\r")[1] == "MSA|AA|1"
    raw = await client.get(f"/admin/inbox/{listed['id']}/raw")
    assert raw.content == message("1")
    assert raw.headers["x-content-type-options"] == "nosniff"
    assert (await client.get(f"/admin/inbox/{listed['id']}/raw?edit=1")).status_code == 404
    assert (await client.get("/admin/inbox/none")).status_code == 404


async def test_a_message_is_mended_tried_dry_and_applied(
    site: Site, client: httpx.AsyncClient
) -> None:
    await sent(client, UNIDENTIFIED)
    (listed,) = (await client.get("/admin/inbox")).json()["messages"]
    path = f"/admin/inbox/{listed['id']}/replay"
    refused = (await client.post(path, json={"dry_run": True})).json()["dry_run"]
    assert (refused["refused"], refused["writes"]) == ("patient-unidentified", [])
    edited = message("2").decode().replace("\r", "\n")
    dry = (await client.post(path, json={"dry_run": True, "edited": edited})).json()["dry_run"]
    assert any(version.startswith("Patient/") for version in dry["writes"])
    assert {one["resourceType"] for one in dry["resources"]} >= {"Patient"}
    done = await client.post(path, json={"edited": edited})
    assert (done.status_code, done.json()["asked"]) == (202, 1)
    for _ in range(200):
        await _pause()
        found = (await client.get(f"/admin/inbox/{listed['id']}")).json()
        if found["state"] == "applied":
            break
    assert (found["state"], found["edits"], found["mode"]) == ("applied", 1, "replay")
    assert (await client.get(f"/admin/inbox/{listed['id']}/raw")).content == UNIDENTIFIED
    assert (await client.get(f"/admin/inbox/{listed['id']}/raw?edit=1")).content == message("2")


async def test_a_message_is_dismissed_once(client: httpx.AsyncClient) -> None:
    await sent(client, UNIDENTIFIED)
    (listed,) = (await client.get("/admin/inbox")).json()["messages"]
    path = f"/admin/inbox/{listed['id']}/dismiss"
    assert (await client.post(path, json={"reason": ""})).status_code == 422
    done = (await client.post(path, json={"reason": "a test"})).json()
    assert (done["state"], done["dismissed"]) == ("dismissed", "a test")
    again = await client.post(path, json={"reason": "a test"})
    assert again.status_code == 409
    assert again.json()["detail"].endswith("is dismissed, not in quarantine")


async def test_many_messages_are_tried_and_asked_for_by_filter(client: httpx.AsyncClient) -> None:
    for n in range(3):
        await sent(client, message(str(n), mrn=""))
    await sent(client, message("9"))
    dry = (await client.post("/admin/inbox/replay", json={"dry_run": True})).json()
    assert (dry["messages"], dry["refused"], dry["complete"]) == (
        3, {"patient-unidentified": 3}, True,
    )  # fmt: skip
    wanted = {"states": ["applied"], "feed": "lab", "type": "ADT"}
    dry = (await client.post("/admin/inbox/replay", json={**wanted, "dry_run": True})).json()
    assert (dry["messages"], dry["unchanged"]) == (1, 1)
    assert (await client.post("/admin/inbox/replay", json=wanted)).json()["asked"] == 1
    odd = {"until": "2020-01-01T00:00:00Z"}
    assert (await client.post("/admin/inbox/replay", json=odd)).json()["asked"] == 0
    assert (await client.post("/admin/inbox/replay", json={"sates": []})).status_code == 422


async def test_unmapped_codes_of_a_feed_are_listed(client: httpx.AsyncClient) -> None:
    await sent(client, message("1", sex="KK"))
    told = (await client.get("/admin/feeds/lab/unmapped")).json()
    assert {(one["code"], one["messages"]) for one in told} == {
        ("AdministrativeSex KK", 1),
        ("AssigningAuthority HOSP", 1),
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/feeds"),
        ("GET", "/admin/feeds/lab"),
        ("GET", "/admin/feeds/lab/unmapped"),
        ("GET", "/admin/inbox"),
        ("GET", "/admin/inbox/x"),
        ("GET", "/admin/inbox/x/raw"),
        ("POST", "/admin/inbox/x/replay"),
        ("POST", "/admin/inbox/x/dismiss"),
        ("POST", "/admin/inbox/replay"),
    ],
)
async def test_every_admin_route_wants_an_administrator(
    site: Site, client: httpx.AsyncClient, method: str, path: str
) -> None:
    for headers in ({"Authorization": ""}, site.lab):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 401, answer.text
    listed = {
        (verb.upper(), route.replace("{feed}", "lab").replace("{id}", "x"))
        for route, verbs in site.app.openapi()["paths"].items()
        for verb in verbs
    }
    assert (method, path) in listed


async def _pause() -> None:
    await asyncio.sleep(0.01)


async def test_the_newest_of_very_many_are_found_without_reading_all(
    now: Callable[[], int],
) -> None:
    store = MemoryStore(now=now, index=index)
    at = [1_700_000_000_000]

    def later() -> str:
        at[0] += 7_000_000 if len(made) % 500 == 0 else 0  # bursts, two hours apart
        made.append(uuid7(at[0], len(made).to_bytes(10, "big")))
        return made[-1]

    made: list[str] = []
    inbox = Inbox(store, now=now, new_id=later)
    for n in range(1200):
        body = message(f"n{n}")
        await inbox.receive(Feed("a" if n % 3 else "b"), body, read_header(body))
    found = [entry.control_id async for entry in newest(store, inbox, Filter())]
    assert found == [f"n{n}" for n in reversed(range(1200))]
