"""Logins are dear to compute; whoever reads must not wait for them.  And nobody tries for ever."""

import asyncio
import math
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.people import PASSWORD, Service, add_user, browser, command
from tests.system.process import Process, served

LOGINS = 100
TRIES = 6  # other programs on the machine may fall into one measurement, or into its half


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("load") / "data"


@pytest.fixture(scope="module", name="server")
def started(data: Path) -> Iterator[Process]:
    settings = {
        "TELLONCE_LOGIN_ADDRESS_LIMIT": "none",
        "TELLONCE_LOGIN_LIMIT": "3+1/min",
        "TELLONCE_REQUEST_LIMIT": "none",
        "TELLONCE_TOKEN_LIMIT": "20+1/min",
    }
    with served(data, settings=settings) as process:
        patient = {"resourceType": "Patient", "id": "a"}
        bearer = {"Authorization": f"Bearer {process.token}"}
        httpx.put(f"{process.base_url}/Patient/a", json=patient, headers=bearer)
        yield process


async def reads(api: httpx.AsyncClient, stop: asyncio.Event) -> list[float]:
    """Return how long reads took, one after another, until ``stop``, in seconds."""
    took = []
    while not stop.is_set():
        begun = time.perf_counter()
        answer = await api.get("/fhir/Patient/a")
        took.append(time.perf_counter() - begun)
        assert answer.status_code == 200
    return took


async def logins(root: str, names: str) -> list[int]:
    """Try to log in so often at once, under as many new names; return the statuses."""
    limits = httpx.Limits(max_connections=LOGINS)
    async with httpx.AsyncClient(base_url=root, limits=limits, timeout=60) as http:
        page = await http.get("/auth/login")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        form = {"csrf": found[1], "next": "/auth/", "password": PASSWORD}
        asked = [
            http.post("/auth/login", data={**form, "name": f"{names}{n}"}, headers={"Origin": root})
            for n in range(LOGINS)
        ]
        return [answer.status_code for answer in await asyncio.gather(*asked)]


async def measured(server: Process, names: str) -> tuple[float, float, list[int]]:
    """Return the median of a read alone, beside logins, and what became of those."""
    bearer = {"Authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(base_url=server.root, headers=bearer, timeout=30) as api:
        quiet, busy = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(1.0, quiet.set)
        alone = await reads(api, quiet)
        reading = asyncio.create_task(reads(api, busy))
        statuses = await logins(server.root, names)
        busy.set()
        beside = await reading
    return statistics.median(alone), statistics.median(beside), statuses


async def test_a_hundred_logins_do_not_make_reads_take_twice_as_long(server: Process) -> None:
    alone, beside = math.inf, math.inf  # the least of all tries: reads are no quicker than they can
    for number in range(TRIES):
        *took, statuses = await measured(server, f"u{number}-")
        assert statuses == [403] * LOGINS
        alone, beside = min(alone, took[0]), min(beside, took[1])
        print(f"a read takes {alone * 1e3:.2f} ms alone, {beside * 1e3:.2f} ms beside {LOGINS}")
        if beside <= 2 * alone:
            break
        await asyncio.sleep(1)
    assert beside <= 2 * alone


def test_a_name_that_is_tried_too_often_has_to_wait(server: Process, data: Path) -> None:
    add_user("anna", "admin", data)
    statuses = []
    for password in ("wrong one 1234", "wrong two 1234", "wrong three 12", PASSWORD):
        with browser(server.root, "anna", password) as (_, answer):
            statuses.append(answer.status_code)
            after = answer.headers.get("retry-after")

    assert statuses == [403, 403, 403, 429]
    assert after is not None
    assert 50 <= int(after) <= 60


def test_the_token_endpoint_asks_for_patience_too(server: Process, data: Path) -> None:
    service = Service("eager", server.root)
    grant = ("--grant", "client_credentials", "--scope", "system/*.rs")
    command(
        "client", "add", "eager", "--jwks", str(service.key_file(data.parent)), *grant, data=data
    )

    answers = [service.ask("system/Patient.rs") for _ in range(22)]

    assert [one.status_code for one in answers[:15]] == [200] * 15
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0


def test_a_client_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with served(tmp_path / "d", settings={"TELLONCE_REQUEST_LIMIT": "5+60/min"}) as process:
        bearer = {"Authorization": f"Bearer {process.token}"}
        with httpx.Client(base_url=process.base_url, headers=bearer) as api:
            answers = [api.get("/Patient") for _ in range(8)]

    assert [one.status_code for one in answers] == [200] * 5 + [429] * 3
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["issue"][0]["code"] == "throttled"
