"""Asynchronous requests of several processes on one store: who goes on, and what is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server.access.context import SYSTEM
from server.fhir.errors import Interrupted, NotFound
from server.interactions.services import Services
from server.rest import jobs as made
from server.rest.body import Limits
from server.rest.jobs import Job, Jobs
from server.store.memory import MemoryStore
from tests.contract.made import index

NOW = 1_767_323_045_000_000
JOB = Job("1", SYSTEM, "GET", "/{type}", ("Patient",), (), (), "r", True, NOW, NOW + 10**12)
WRITE = Job("2", SYSTEM, "POST", "/{type}", ("Patient",), (), (), "r", False, NOW, NOW + 10**12)


class Clock:
    at = NOW

    def __call__(self) -> int:
        return self.at


async def never(job: Job, body: bytes) -> bytes:
    await asyncio.Event().wait()
    return b""


async def at_once(job: Job, body: bytes) -> bytes:
    return b"done by the other"


@asynccontextmanager
async def processes(
    monkeypatch: pytest.MonkeyPatch, first_runs: Callable[..., object] = never
) -> AsyncIterator[tuple[Jobs, Jobs, Clock]]:
    monkeypatch.setattr(made, "LOOK_EVERY_S", 0.02)
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    one = Services(store, "http://fhir.test/fhir", clock, lambda: "1", b"k", owner="a")
    other = Services(store, "http://fhir.test/fhir", clock, lambda: "2", b"k", owner="b")
    first, second = Jobs(one, Limits(), first_runs), Jobs(other, Limits(), at_once)  # type: ignore[arg-type] # a coroutine function
    await first.start()
    await second.start()
    try:
        yield first, second, clock
    finally:
        await first.stop(0.1)
        await second.stop(0.1)


async def begin(jobs: Jobs, job: Job) -> None:
    with jobs.place(job.owner):
        await jobs.begin(job, b"")


async def killed(jobs: Jobs) -> None:
    assert jobs._looking is not None
    jobs._looking.cancel()


async def test_another_process_knows_that_a_request_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with processes(monkeypatch) as (first, second, _):
        await begin(first, JOB)
        assert not (await second.find(SYSTEM, "1")).done
        await asyncio.sleep(0.2)
        assert not (await second.find(SYSTEM, "1")).done  # and does not take it


async def test_a_read_of_a_killed_process_is_run_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with processes(monkeypatch) as (first, second, clock):
        await begin(first, JOB)
        await killed(first)
        clock.at += 60_000_000
        async with asyncio.timeout(30):
            while True:
                job = await second.find(SYSTEM, "1")
                if job.done:
                    break
                await asyncio.sleep(0.02)
        assert await second.result(job) == b"done by the other"
        assert job.attempt == 2


async def test_a_write_of_a_killed_process_is_not_run_again_and_its_caller_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with processes(monkeypatch) as (first, second, clock):
        await begin(first, WRITE)
        await killed(first)
        clock.at += 60_000_000

        async def asked_until_told() -> None:
            while True:
                assert not (await second.find(SYSTEM, "2")).done
                await asyncio.sleep(0.02)

        with pytest.raises(Interrupted):
            await asyncio.wait_for(asked_until_told(), 30)


async def test_a_request_removed_at_one_process_ends_in_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with processes(monkeypatch) as (first, second, _):
        await begin(first, JOB)
        await second.remove(SYSTEM, "1")
        await asyncio.wait(first._tasks.values(), timeout=30)
        with pytest.raises(NotFound):
            await first.find(SYSTEM, "1")
