"""As many AuditEvents as security-relevant requests (docs/audit.md says which those are).

A server over real sockets, a thousand mixed requests; then the file is counted.
"""

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import SYSTEM
from server.store.port import Store
from server.store.sqlite import SqliteStore
from tests.audit.house import interaction
from tests.rest.house import NAME, Clock, bundle, entry, index, observation, patient
from tests.system import forked
from tests.system.process import Process, served

REQUESTS = 1_000
READERS = 4
RUNS_S = 2.5
TURN_S = 0.02
Sent = tuple[str, str, Any, int]  # method, address, body, AuditEvents


def kept(data: Path) -> list[dict[str, Any]]:
    """Return all AuditEvents in a server's file."""
    (file,) = data.glob("*.db")

    async def read(store: Store) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = 0
        while page := await store.changes(SYSTEM, after=after, limit=500, type_="AuditEvent"):
            found += [json.loads(version.body or b"{}") for version in page]
            after = page[-1].seq
        await store.close()
        return found

    return asyncio.run(
        read(SqliteStore(file, now=Clock(), index=index, fingerprint=NAME, beside=True))
    )


def request_ids(events: list[dict[str, Any]]) -> set[str]:
    """Return the ``X-Request-Id`` of the events."""
    return {
        one["what"]["identifier"]["value"]
        for event in events
        for one in event.get("entity", [])
        if one["type"]["code"] == "XrequestId"
    }


def requests() -> Iterator[Sent]:
    """Yield mixed requests; each concerns one patient at most."""
    chance = random.Random(11)
    kinds: list[Sent] = [
        ("GET", "/Patient/{}", None, 1),
        ("GET", "/Observation/o{}", None, 1),
        ("GET", "/Observation/o{}/_history/1", None, 1),
        ("GET", "/Observation/o{}/_history", None, 1),
        ("GET", "/Observation?patient={}", None, 1),
        ("GET", "/Observation?code=none{}", None, 1),
        ("GET", "/Patient/{}/Observation?_count=2", None, 1),
        ("GET", "/Patient/{}/$everything", None, 1),
        ("GET", "/Observation/$lastn?patient={}", None, 1),
        ("GET", "/Patient/none{}", None, 1),
        ("GET", "/Nowhere/{}", None, 1),
        ("GET", "/Patient?birthdate=x{}", None, 1),
        ("GET", "/metadata?{}", None, 0),
        ("OPTIONS", "/Patient/{}", None, 0),
        ("POST", "/Observation", observation("Patient/{}"), 1),
        ("POST", "/Observation", {"resourceType": "Observation"}, 1),
        ("PUT", "/Observation/o{}", observation("Patient/{}", "o{}"), 1),
        ("DELETE", "/Observation/o{}", None, 1),
        ("DELETE", "/Basic/{}", None, 1),
        ("POST", "", bundle("batch", *(entry("GET", f"Patient/{p}") for p in ("{}", "x"))), 2),
        ("POST", "", bundle("transaction", entry("POST", "Basic", _basic("Patient/{}"))), 1),
    ]
    for _ in range(REQUESTS):
        method, address, body, events = chance.choice(kinds)
        n = str(chance.randrange(5))
        sent = json.loads(json.dumps(body).replace("{}", n)) if body is not None else None
        yield method, address.replace("{}", n), sent, events


def _basic(subject: str) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": subject}}


def test_a_thousand_requests_are_as_many_events(tmp_path: Path) -> None:
    expected = 10
    with served(tmp_path / "d") as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx.Client(base_url=server.base_url, headers=headers) as client:
            for n in range(5):
                client.put(f"/Patient/{n}", json=patient(str(n))).raise_for_status()
                made = observation(f"Patient/{n}", f"o{n}")
                client.put(f"/Observation/o{n}", json=made).raise_for_status()
            for method, address, body, events in requests():
                answer = client.request(method, address, json=body)
                assert answer.status_code < 500, answer.text
                expected += events
        with httpx.Client(base_url=server.base_url) as stranger:
            assert [stranger.get("/Patient/1").status_code for _ in range(20)] == [401] * 20

    found = kept(tmp_path / "d")
    strangers = [event for event in found if event["type"]["code"] == "110113"]
    assert len(found) - len(strangers) == expected
    told = [event["outcomeDesc"].split(" ", 1) for event in strangers]
    assert {words for _, words in told} == {"requests without a valid token"}
    assert sum(int(number) for number, _ in told) == 20
    checked = forked.tellonce("audit", "verify", "--data", tmp_path / "d")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.startswith(f"sound: {len(found):,} events in ")


@pytest.mark.parametrize(("mode", "grace_s"), [("durable", 0.0), ("buffered", 1.0)])
def test_what_was_answered_is_in_the_audit_of_a_killed_server(
    tmp_path: Path, mode: str, grace_s: float
) -> None:
    settings = {"TELLONCE_AUDIT_READS": mode}
    with served(tmp_path / "d", "--open", settings=settings) as server:
        httpx.put(f"{server.base_url}/Patient/a", json=patient("a")).raise_for_status()
        answered = asyncio.run(_read_until_killed(server))

    found = request_ids([event for event in kept(tmp_path / "d") if interaction(event) == "read"])
    ran_s = max(answered.values())
    due = {id_ for id_, at in answered.items() if at <= ran_s - grace_s}
    assert len(due) > 20
    assert due - found == set()
    for name in range(READERS):  # what is lost is the last, without a hole before it
        numbers = sorted(int(one.partition("-")[2]) for one in found if one[1] == str(name))
        assert numbers == list(range(len(numbers)))


async def _read_until_killed(server: Process) -> dict[str, float]:
    """Return when each read was answered, by its request id: seconds in which the server ran.

    Between two answers these are :data:`TURN_S` at the most, however long the machine stalled.
    The server is killed when it ran for :data:`RUNS_S`.
    """
    answered: dict[str, float] = {}
    ran_s, last = 0.0, time.monotonic()

    async def one(client: httpx.AsyncClient, name: str) -> None:
        nonlocal ran_s, last
        for n in range(1_000_000):
            id_ = f"{name}-{n}"
            try:
                answer = await client.get("/Patient/a", headers={"X-Request-Id": id_})
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            now = time.monotonic()
            ran_s, last = ran_s + min(TURN_S, now - last), now
            answered[id_] = ran_s
            if ran_s >= RUNS_S:
                server.popen.send_signal(signal.SIGKILL)

    async with httpx.AsyncClient(base_url=server.base_url) as client:
        await asyncio.gather(*(one(client, f"r{n}") for n in range(READERS)))
    return answered
