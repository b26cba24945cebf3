"""The primary of three is killed while a server writes: nothing is lost, and the wait is short."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from server.access.context import SYSTEM
from server.store.port import Version
from tests.system.mongo import opened, three
from tests.system.process import Process, served

WRITERS = 8
LONGEST_STALL_S = 5.0  # the election itself takes the two seconds that the members are set to


@dataclass
class Load:
    """What clients were told while they wrote."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    without_retry_after: int = 0

    @property
    def stall_s(self) -> float:
        """The longest time without an acknowledgement."""
        pairs = zip(self.times, self.times[1:], strict=False)
        return max(later - earlier for earlier, later in pairs)

    async def write(self, server: Process, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with httpx.AsyncClient(timeout=30) as client:

            async def one(number: int) -> None:
                while time.monotonic() < end:
                    patient = {"resourceType": "Patient", "identifier": [{"value": str(number)}]}
                    made = await client.post(f"{server.base_url}/Patient", json=patient)
                    if made.status_code == 201:
                        self.acknowledged.append(made.json()["id"])
                        self.times.append(time.monotonic())
                    else:
                        self.refused.append(made.status_code)
                        self.without_retry_after += "retry-after" not in made.headers
                        await asyncio.sleep(0.1)

            await asyncio.gather(*(one(number) for number in range(WRITERS)))


async def followed(url: str, stop: asyncio.Event) -> list[Version]:
    """Return what a consumer of the change feed saw, which looked all the time."""
    store = opened(url)
    seen: list[Version] = []
    try:
        while True:
            ending = stop.is_set()
            after = seen[-1].seq if seen else 0
            found = await store.changes(SYSTEM, after=after, limit=1000)
            seen += found
            if ending and not found:
                return seen
            await asyncio.sleep(0.02)
    finally:
        await store.close()


async def _killed_under_load(
    server: Process, url: str, kill: Callable[[], None], before_s: float, after_s: float
) -> tuple[Load, list[Version]]:
    load, stop = Load(), asyncio.Event()
    following = asyncio.create_task(followed(url, stop))
    writing = asyncio.create_task(load.write(server, before_s + after_s))
    await asyncio.sleep(before_s)
    kill()
    await writing
    stop.set()
    return load, await following


def _check(load: Load, seen: list[Version]) -> None:
    assert len(load.acknowledged) == len(set(load.acknowledged))
    assert set(load.refused) <= {503}
    assert load.without_retry_after == 0
    seqs = [version.seq for version in seen]
    assert seqs == list(range(1, len(seqs) + 1))
    assert set(load.acknowledged) <= {v.id for v in seen if v.type == "Patient"}
    assert load.stall_s <= LONGEST_STALL_S


def _kill_first(members: list[Popen[bytes]]) -> Callable[[], None]:
    return lambda: members[0].send_signal(signal.SIGKILL)


def test_the_primary_killed_under_load_loses_no_acknowledged_write(tmp_path: Path) -> None:
    with three(tmp_path) as (url, members):
        settings = {"TELLONCE_STORE": url, "TELLONCE_MLLP_PORT": "0"}
        with served(tmp_path / "server", "--open", settings=settings) as server:
            load, seen = asyncio.run(
                _killed_under_load(server, url, _kill_first(members), 1.5, 6.0)
            )
            _check(load, seen)
            assert httpx.get(f"{server.root}/readyz").json()["store"] == "ok"
    print(f"{len(load.acknowledged)} acknowledged, stall {load.stall_s:.2f} s")


@pytest.mark.soak
def test_primaries_killed_one_after_the_other_lose_nothing(tmp_path: Path) -> None:
    """A member that was killed is started again before the next is."""
    from tests import mongod

    with three(tmp_path) as (url, members):
        ports = [int(host.rpartition(":")[2]) for host in url.split("/")[2].split(",")]
        with served(tmp_path / "server", "--open", settings={"TELLONCE_STORE": url}) as server:
            for _ in range(3):
                loads = asyncio.run(
                    _killed_under_load(server, url, _killer(url, ports, members), 5.0, 15.0)
                )
                _check(*loads)
                for number, member in enumerate(members):
                    if member.poll() is not None:
                        folder = tmp_path / str(ports[number])
                        members[number] = mongod.start(ports[number], folder, "--replSet", "rs0")


def _killer(url: str, ports: list[int], members: list[Popen[bytes]]) -> Callable[[], None]:
    from pymongo import MongoClient

    def kill() -> None:
        with MongoClient(url) as client:
            client.admin.command("ping")
            assert client.primary is not None
            members[ports.index(client.primary[1])].send_signal(signal.SIGKILL)

    return kill
