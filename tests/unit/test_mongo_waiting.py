"""The driver's locks, when callers go while they wait for a database that is away."""

import asyncio
import logging
import sys
from types import ModuleType

import pytest
from pymongo.lock import _async_cond_wait, _async_create_condition, _async_create_lock

from server.store.mongo import waiting

waiting.mend()


async def test_callers_that_go_at_the_end_of_their_wait_leave_the_lock_as_it_was() -> None:
    lock = _async_create_lock()
    changed = _async_create_condition(lock)

    async def waits() -> None:
        async with lock:
            await _async_cond_wait(changed, 0.02)

    callers = [asyncio.create_task(waits()) for _ in range(3)]
    await asyncio.sleep(0)
    async with lock:
        await asyncio.sleep(0.05)  # their time is over, and they wait for the lock
        for one in callers:
            one.cancel()
        await asyncio.sleep(0.01)
        held = lock.locked()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert held
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 3
    assert not lock.locked()


async def test_a_wait_for_what_does_not_come_ends_in_time() -> None:
    lock = _async_create_lock()
    changed = _async_create_condition(lock)
    async with lock:
        assert await _async_cond_wait(changed, 0.01) is False
    assert not lock.locked()


def test_the_driver_that_is_installed_is_one_whose_locks_can_be_mended() -> None:
    assert waiting.mend() is True
    assert waiting.mend() is True  # for each client once more


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="nothing is mended there")
@pytest.mark.parametrize("locks", ["other_locks", "no_locks"])
def test_a_driver_with_other_locks_is_used_as_it_is_and_that_is_logged(
    locks: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "other_locks", ModuleType("other_locks"))
    with caplog.at_level(logging.WARNING, logger="tellonce"):
        assert waiting.mend(locks) is False
    assert not hasattr(sys.modules["other_locks"], "wait_for")
    assert "are not as they were" in caplog.text
