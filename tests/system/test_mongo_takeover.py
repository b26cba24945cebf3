"""Of two processes on one MongoDB one is killed: the other goes on with all that it had begun."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from mappings.parse import parse
from server.access.context import SYSTEM
from server.search.query import Query
from server.store.mongo import MongoStore
from tests.feeds.outbound import Receiver, accept, receiver, site, ward
from tests.system.forked import tellonce
from tests.system.mongo import database, opened, soon
from tests.system.process import Process, served

ASYNC = {"Prefer": "respond-async"}
LONGEST_S = 25.0  # leases of ten and fifteen seconds, and who looks for those that are over


@dataclass
class Killed:
    """What the first process is in the middle of when it ends."""

    process: Process
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    async def behave(self, to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer nothing to the process that is to be killed."""
        if self.seen.is_set() and self.process.popen.poll() is not None:
            await accept(to, message, writer)
        self.seen.set()


async def create(server: Process, client: httpx.AsyncClient, number: int) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"value": f"n{number}"}]}
    made = await client.post(f"{server.base_url}/Patient", json=patient)
    assert made.status_code == 201, made.text


async def begun(server: Process, client: httpx.AsyncClient) -> str:
    asked = await client.get(f"{server.base_url}/Patient?_count=5", headers=ASYNC)
    assert asked.status_code == 202, asked.text
    return asked.headers["content-location"].rpartition("/")[2]


@asynccontextmanager
async def looked_at(url: str) -> AsyncIterator[MongoStore]:
    store = opened(url)
    try:
        yield store
    finally:
        await store.close()


async def test_another_process_goes_on_with_all_that_a_killed_one_had_begun(
    tmp_path: Path,
) -> None:
    with database() as url, ExitStack() as stack:
        async with receiver() as to, httpx.AsyncClient(timeout=30) as client:
            maps = site(tmp_path, ward(to.port).replace("ack_timeout_s: 0.3", "ack_timeout_s: 20"))
            options = ("--open", "--maps", str(maps))
            given = {"TELLONCE_STORE": url}

            def start(name: str) -> Process:
                return stack.enter_context(served(tmp_path / name, *options, settings=given))

            first = await asyncio.to_thread(start, "first")
            killed = Killed(first)
            to.behave = killed.behave
            await create(first, client, 0)
            async with asyncio.timeout(20):
                await killed.seen.wait()  # it has all turns by now, and waits for an answer
            second = await asyncio.to_thread(start, "second")

            jobs = await asyncio.gather(*(begun(first, client) for _ in range(4)))
            first.popen.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.popen.wait, 10)
            for number in range(1, 6):
                await create(second, client, number)

            async def answered(id_: str) -> bool:
                found = await client.get(f"{second.base_url}/_async/{id_}")
                assert found.status_code in (200, 202), found.text
                return found.status_code == 200

            async def all_told() -> bool:
                return len(set(to.ids)) == 6

            async with looked_at(url) as store:
                last = (await store.history(SYSTEM, "Patient", limit=1))[0].seq

                async def corrections_looked() -> bool:
                    cursor = await store.get_record("corrections", "cursor")
                    return cursor is not None and int(cursor.value) >= last

                await asyncio.gather(
                    *(soon(lambda id_=id_: answered(id_), LONGEST_S) for id_ in jobs),
                    soon(all_told, LONGEST_S),
                    soon(corrections_looked, LONGEST_S),
                )
                events = await store.count(SYSTEM, Query(("AuditEvent",)))
            verified = await sealed(url, events)

    assert [parse(body).get("PID-3") for body in to.got] == ["n0", *(f"n{n}" for n in range(6))]
    assert to.got[0] == to.got[1]  # the same bytes, under the same control id
    assert verified.startswith("sound: ")


async def sealed(url: str, events: int) -> str:
    """Return what is said of the seals, as soon as so many events have one."""

    async def enough() -> str:
        words = ("audit", "verify", "--store", url)
        said = (await asyncio.to_thread(tellonce, *words)).stdout
        counted = [int(word) for word in said.replace(",", "").split() if word.isdigit()]
        return said if counted and max(counted) >= events else ""

    return str(await soon(enough, LONGEST_S))
