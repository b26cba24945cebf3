"""Lanes: order within, side by side between, and pressure."""

import asyncio
import logging

import pytest

from server.feeds.lanes import Lanes


async def test_one_lane_keeps_its_order_and_others_overtake() -> None:
    done: list[str] = []
    gate = asyncio.Event()

    async def work(job: str) -> None:
        if job == "slow":
            await gate.wait()
        done.append(job)

    lanes = Lanes(work, lanes=64)
    lanes.start()
    for lane, job in [("a", "slow"), ("a", "second"), ("b", "other")]:
        await lanes.put(lane, job)
    await asyncio.sleep(0.01)
    assert done == ["other"]
    assert lanes.waiting == 1
    gate.set()
    await lanes.drain()
    assert done == ["other", "slow", "second"]
    await lanes.stop()


async def test_a_full_lane_makes_its_sender_wait() -> None:
    gate = asyncio.Event()

    async def work(_job: int) -> None:
        await gate.wait()

    lanes = Lanes(work, lanes=1, depth=2)
    lanes.start()
    for n in range(3):  # one being worked at, two queued
        await lanes.put("a", n)
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lanes.put("a", 3), 0.01)
    gate.set()
    await lanes.drain()
    await lanes.stop()


async def test_a_job_that_fails_does_not_stop_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def work(job: int) -> None:
        done.append(1 // job)

    lanes = Lanes(work, lanes=1)
    lanes.start()
    with caplog.at_level(logging.ERROR):
        for n in (0, 1):
            await lanes.put("a", n)
        await lanes.drain()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text
    await lanes.stop()
