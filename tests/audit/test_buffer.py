"""The buffer of what is told of reads: soon on disk, bounded, and never silently lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.access.context import SYSTEM, AccessContext, Permit
from server.audit.port import Told
from server.fhir.errors import StoreUnavailable
from server.interactions import audit_log
from server.interactions.audit_log import AuditLog
from server.store.memory import MemoryStore
from server.uuid7 import new_id
from tests.audit.house import AuditedHouse, interaction
from tests.rest.house import BASE, Clock, index, patient

ANNA = AccessContext("user/anna", "app", (Permit("*"),))


class Away(MemoryStore):
    """A store that cannot write for a while."""

    away = False

    async def commit(self, *args: Any, **more: Any) -> Any:
        if self.away:
            raise StoreUnavailable("the disk is full")
        return await super().commit(*args, **more)


def login(at: int = 0) -> Told:
    return Told(at, "E", "login", ANNA)


@pytest.fixture
def store() -> Away:
    return Away(now=Clock(), index=index)


@pytest.fixture
def log_of(store: Away) -> Callable[[], AuditLog]:
    return lambda: AuditLog(store, Clock(), new_id, BASE)


async def count(store: Away) -> int:
    return len(await store.changes(SYSTEM, limit=100_000, type_="AuditEvent"))


async def test_what_is_told_is_kept_within_a_second(
    store: Away, log_of: Callable[[], AuditLog]
) -> None:
    log = log_of()
    await log.start()
    log.tell(login())
    assert await count(store) == 0
    for _ in range(45):  # 0.9 s, and longer when the machine is stalled
        await asyncio.sleep(0.02)
    assert await count(store) == 1
    await log.stop()


async def test_who_waits_for_it_is_told_when_it_is_kept(
    store: Away, log_of: Callable[[], AuditLog]
) -> None:
    log = log_of()
    await log.start()
    for _ in range(1_200):
        log.tell(login())
    async with asyncio.timeout(30):
        await asyncio.gather(*(log.settled() for _ in range(3)))
    assert await count(store) == 1_200
    await log.stop()


async def test_a_stop_keeps_what_was_told(store: Away, log_of: Callable[[], AuditLog]) -> None:
    log = log_of()
    await log.start()
    for _ in range(700):
        log.tell(login())
    await log.stop()
    assert await count(store) == 700


async def test_events_wait_for_a_store_that_is_away_and_waiting_for_them_fails(
    store: Away, log_of: Callable[[], AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "RETRY_S", 0.01)
    log = log_of()
    await log.start()
    store.away = True
    log.tell(login())
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await log.settled()
    store.away = False
    await log.settled()
    assert await count(store) == 1
    await log.stop()


async def test_nothing_more_is_told_when_it_cannot_be_kept(
    store: Away, log_of: Callable[[], AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MOST_WAITING", 3)
    log = log_of()
    for _ in range(3):
        log.tell(login())
    with pytest.raises(StoreUnavailable, match="nothing is shown without one"):
        log.tell(login())


async def test_reads_answer_503_while_they_cannot_be_told(
    house: AuditedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.client("anna") as client:
        await client.put("/Patient/a", json=patient("a"))
        await house.audit.settled()
        monkeypatch.setattr(audit_log, "MOST_WAITING", 0)
        answers = [await client.get(one) for one in ("/Patient/a", "/Patient?_id=a")]
        absent = await client.get("/Patient/none")
        written = await client.put("/Patient/b", json=patient("b"))

    assert [answer.status_code for answer in answers] == [503, 503]
    assert all("Patient/a" not in answer.text for answer in answers)
    assert absent.status_code == 404
    assert written.status_code == 201  # in its own commit, and so told of


async def test_a_durable_answer_leaves_behind_its_event(tmp_path: Any) -> None:
    clock = Clock()
    house = AuditedHouse(MemoryStore(now=clock, index=index), clock, durable=True)
    await house.audit.start()
    async with house.client("anna") as client:
        await client.put("/Patient/a", json=patient("a"))
        for address in ("/Patient/a", "/Patient/none"):
            await client.get(address)
            assert house.audit.waiting == 0
    assert [interaction(event) for event in await house.kept("AuditEvent")] == [
        "update", "read", "read",
    ]  # fmt: skip
    await house.audit.stop()


async def test_what_was_told_of_logins_says_so(store: Away, log_of: Callable[[], AuditLog]) -> None:
    log = log_of()
    log.tell(login())
    log.tell(Told(0, "E", "grant", ANNA, entities=("client/my-app",), patients=("Patient/a",)))
    await log.stop()
    found = await store.changes(SYSTEM, limit=10, type_="AuditEvent")
    assert b'"code":"110114"' in (found[0].body or b"")
    assert b'"code":"AuthZ-Role"' in (found[1].body or b"")
    assert b'{"identifier":{"value":"client/my-app"}}' in (found[1].body or b"")
