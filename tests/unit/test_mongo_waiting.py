"""The driver's locks, when callers go while they wait for a database that is away."""

import asyncio

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
