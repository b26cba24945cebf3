"""Walks over pages of a running server while others write: none twice, none missed.

Every kind of sort, forward synchronisation by ``_lastUpdated``, over HTTP.  The same is proven of
each store without a server in ``tests/contract``.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest

from tests.system.mongo import database
from tests.system.process import Process, served

STILL, NOTED, GONE = 150, 60, 60  # Observations left alone, updated, deleted during the walks
PATIENTS = 12
PAGE = 11
WRITERS = 3
MADE = 50  # Observations that each writer adds; more would only make the walks longer
LOINC = "http://loinc.org"


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.soak)])
def store(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    """What makes a server keep its record in the store."""
    if request.param == "sqlite":
        yield ()
        return
    with database() as url:
        yield ("--store", url)


SORTS = (
    "",  # newest clinical date first
    "date",
    "-date",
    "code",
    "-status",
    "value-quantity",
    "-value-quantity",
    "value-string",
    "subject",
    "_source",
    "-_id",
    "code,-date",
    "-status,value-string,_id",
    "subject:Patient.family",
    "-subject:Patient.birthdate,code",
    "subject:Patient.organization:Organization.name,-date",
)


def patient(n: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "name": [{"family": f"Family {n % 5}"}],
        "birthDate": f"19{50 + n % 7}-01-01",
        "managingOrganization": {"reference": f"Organization/o{n % 3}"},
    }


def observation(id_: str, n: int) -> dict[str, Any]:
    """Return an Observation with many ties, and some values left out."""
    value: dict[str, Any] = {}
    if n % 3 == 0:
        value = {"valueQuantity": {"value": n % 13, "code": "kg", "system": "http://u.test"}}
    elif n % 3 == 1:
        value = {"valueString": f"words {n % 11}"}
    return {
        "resourceType": "Observation",
        "id": id_,
        "meta": {"source": f"http://h.test/source/{n % 4}"},
        "status": ("final", "amended", "preliminary")[n % 3],
        "code": {"coding": [{"system": LOINC, "code": f"{n % 6}-8"}]},
        "subject": {"reference": f"Patient/p{n % PATIENTS}"},
        **({"effectiveDateTime": f"2020-01-{1 + n % 9:02}"} if n % 10 else {}),
        **value,
    }


def entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"request": {"method": "PUT", "url": url}, "resource": resource}


@contextmanager
def hospital(data: Path, *options: str) -> Iterator[Process]:
    """Serve Organizations, Patients, and Observations ``s``till, ``n``oted and ``g``one."""
    numbers = {"s": STILL, "n": NOTED, "g": GONE}
    entries = [
        entry({"resourceType": "Organization", "id": f"o{n}", "name": f"Ward {n}"})
        for n in range(3)
    ]
    entries += [entry(patient(n)) for n in range(PATIENTS)]
    entries += [
        entry(observation(f"{kind}{n}", n * 7))
        for kind, count in numbers.items()
        for n in range(count)
    ]
    data.with_name(".env").write_text("TELLONCE_DELETE=allow\n")
    with served(data, "--open", *options) as server:
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        httpx.post(server.base_url, json=sent, timeout=30).raise_for_status()
        yield server


@dataclass
class Writers:
    """Create, update beside the sort values, and delete, until they are stopped."""

    base_url: str
    stopped: bool = False
    writes: int = 0
    gone: set[str] = field(default_factory=set)

    async def write(self, number: int) -> None:
        """Be one of the writers; each has its own share of what is noted and what goes."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=30) as client:
            for n in itertools.count():
                if self.stopped:
                    return
                await self._create(client, f"w{number}-{n % MADE}", n % MADE)
                await self._note(client, (n * WRITERS + number) % NOTED)
                if n % 4 == 0 and (at := n // 4 * WRITERS + number) < GONE:
                    self.gone.add(f"g{at}")
                    await self._done(client.delete(f"/Observation/g{at}"))
                self.writes += 2

    async def _create(self, client: httpx.AsyncClient, id_: str, n: int) -> None:
        await self._done(client.put(f"/Observation/{id_}", json=observation(id_, n)))

    async def _note(self, client: httpx.AsyncClient, n: int) -> None:
        changed = {**observation(f"n{n}", n * 7), "note": [{"text": f"seen at {self.writes}"}]}
        await self._done(client.put(f"/Observation/n{n}", json=changed))

    async def _done(self, request: Any) -> None:
        (await request).raise_for_status()


@asynccontextmanager
async def writing(server: Process) -> AsyncIterator[Writers]:
    writers = Writers(server.base_url)
    async with anyio.create_task_group() as group:
        for number in range(WRITERS):
            group.start_soon(writers.write, number)
        yield writers
        writers.stopped = True
    assert writers.writes > 10


async def walk(client: httpx.AsyncClient, address: str) -> list[dict[str, Any]]:
    """Return the matches of all pages, in their order."""
    found: list[dict[str, Any]] = []
    following: str | None = address
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [e["resource"] for e in page.get("entry", ()) if e["search"]["mode"] == "match"]
        links = {link["relation"]: link["url"] for link in page["link"]}
        following = links.get("next")
    return found


async def test_walks_by_every_sort_show_what_stays_once(
    tmp_path: Path, store: tuple[str, ...]
) -> None:
    stay = {f"s{n}" for n in range(STILL)} | {f"n{n}" for n in range(NOTED)}
    with hospital(tmp_path / "d", *store) as server:
        async with writing(server), httpx.AsyncClient(timeout=30) as client:
            for sort in SORTS:
                asked = urlencode({"_count": PAGE, **({"_sort": sort} if sort else {})})
                found = await walk(client, f"{server.base_url}/Observation?{asked}")
                seen = [resource["id"] for resource in found]
                assert len(seen) == len(set(seen)), sort
                assert stay <= set(seen), sort


async def test_walks_with_criteria_show_what_stays_once(
    tmp_path: Path, store: tuple[str, ...]
) -> None:
    """Criteria that chains and modifiers drive, as well as the sort."""
    stay = {f"s{n}" for n in range(STILL)} | {f"n{n}" for n in range(NOTED)}
    asked = (
        ("subject:Patient.family", "Family 1"),
        ("code:not", f"{LOINC}|0-8"),
        ("_filter", "status eq final or value-string co word"),
    )
    with hospital(tmp_path / "d", *store) as server:
        async with httpx.AsyncClient(timeout=30) as client:
            urls = [
                f"{server.base_url}/Observation?{urlencode({name: value, '_count': PAGE})}"
                for name, value in asked
            ]
            before = [{r["id"] for r in await walk(client, url)} & stay for url in urls]
            async with writing(server):
                for url, expected in zip(urls, before, strict=True):
                    seen = [r["id"] for r in await walk(client, f"{url}&_sort=-code,date")]
                    assert len(seen) == len(set(seen)), url
                    assert len(expected) > 10
                    assert expected <= set(seen), url


async def test_what_is_not_written_is_seen_once_in_the_order_of_updates(
    tmp_path: Path, store: tuple[str, ...]
) -> None:
    still = {f"s{n}" for n in range(STILL)}
    with hospital(tmp_path / "d", *store) as server:
        async with writing(server), httpx.AsyncClient(timeout=30) as client:
            for order in ("_lastUpdated", "-_lastUpdated", "-_lastUpdated,_id"):
                asked = urlencode({"_count": PAGE, "_sort": order})
                found = await walk(client, f"{server.base_url}/Observation?{asked}")
                seen = [r["id"] for r in found if r["id"] in still]
                versions = [(r["id"], r["meta"]["versionId"]) for r in found]
                assert len(seen) == len(set(seen)), order
                assert still <= set(seen), order
                assert len(versions) == len(set(versions)), order


async def test_a_copy_kept_by_last_updated_becomes_the_record(
    tmp_path: Path, store: tuple[str, ...]
) -> None:
    """A client that asks again from the last time it saw has everything once the writers rest.

    Two commits may share a millisecond, so it asks with ``ge`` and knows versions again.
    """
    with hospital(tmp_path / "d", *store) as server:
        async with httpx.AsyncClient(timeout=30) as client:
            copy: dict[str, dict[str, Any]] = {}
            async with writing(server) as writers:
                for _ in range(8):
                    await synchronise(client, server, copy, "ge")
            await synchronise(client, server, copy, "ge")
            now = {r["id"]: r for r in await walk(client, f"{server.base_url}/Observation")}

    assert {id_: one for id_, one in copy.items() if id_ not in writers.gone} == now


async def test_later_than_the_last_seen_finds_only_what_is_new(
    tmp_path: Path, store: tuple[str, ...]
) -> None:
    with hospital(tmp_path / "d", *store) as server:
        async with httpx.AsyncClient(timeout=30) as client:
            copy: dict[str, dict[str, Any]] = {}
            await synchronise(client, server, copy, "gt")
            assert await synchronise(client, server, copy, "gt") == []
            await anyio.sleep(0.002)  # the next commit is in another millisecond
            for id_ in ("n3", "new"):
                url = f"{server.base_url}/Observation/{id_}"
                (await client.put(url, json=observation(id_, 3))).raise_for_status()
            assert await synchronise(client, server, copy, "gt") == ["n3", "new"]


async def synchronise(
    client: httpx.AsyncClient, server: Process, copy: dict[str, dict[str, Any]], prefix: str
) -> list[str]:
    """Bring a copy up to date, oldest change first; return what was shown, in order."""
    last = max((one["meta"]["lastUpdated"] for one in copy.values()), default="")
    since = {"_lastUpdated": f"{prefix}{last}"} if last else {}
    asked = urlencode({"_sort": "_lastUpdated", "_count": PAGE, **since})
    found = await walk(client, f"{server.base_url}/Observation?{asked}")
    times = [resource["meta"]["lastUpdated"] for resource in found]
    assert times == sorted(times)
    for resource in found:
        copy[resource["id"]] = resource
    return [resource["id"] for resource in found]
