"""Lanes: order within, side by side between, several at once, turns, and pressure."""

import asyncio
import logging

import pytest

from server.feeds.lanes import Lanes


class Recorder:
    """Work that notes what it begins, and waits for the gates that are closed."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def close(self, *jobs: str) -> None:
        self.gates |= {job: asyncio.Event() for job in jobs}

    async def __call__(self, job: str) -> None:
        self.begun.append(job)
        if (gate := self.gates.get(job)) is not None:
            await gate.wait()


async def test_one_lane_keeps_its_order_and_others_overtake() -> None:
    work = Recorder()
    work.close("slow")
    lanes = Lanes(work)
    lanes.start()
    for lane, job in [("a", "slow"), ("a", "second"), ("b", "other")]:
        await lanes.put([lane], job)
    await asyncio.sleep(0.01)
    assert work.begun == ["slow", "other"]
    assert (lanes.waiting, lanes.busy) == (1, 1)
    work.gates["slow"].set()
    await lanes.drain()
    assert work.begun == ["slow", "other", "second"]
    assert (lanes.waiting, lanes.busy) == (0, 0)
    await lanes.stop()


async def test_a_job_of_two_lanes_is_behind_what_is_in_either_and_before_what_comes() -> None:
    work = Recorder()
    work.close("a1", "b1")
    lanes = Lanes(work)
    lanes.start()
    await lanes.put(["a"], "a1")
    await lanes.put(["b"], "b1")
    await lanes.put(["b", "a", "b"], "merge")
    await lanes.put(["a"], "a2")
    await lanes.put(["b"], "b2")
    work.gates["a1"].set()
    await asyncio.sleep(0.01)
    assert work.begun == ["a1", "b1"]
    work.gates["b1"].set()
    await lanes.drain()
    assert work.begun[2] == "merge"
    assert sorted(work.begun[3:]) == ["a2", "b2"]
    await lanes.stop()


async def test_merges_in_a_circle_do_not_wait_for_each_other() -> None:
    work = Recorder()
    lanes = Lanes(work)
    for n, pair in enumerate((["a", "b"], ["b", "c"], ["c", "a"], ["a", "b", "c"])):
        await lanes.put(pair, f"m{n}")
    lanes.start()
    async with asyncio.timeout(30):
        await lanes.drain()
    assert work.begun == ["m0", "m1", "m2", "m3"]
    await lanes.stop()


async def test_a_full_group_makes_its_sender_wait_and_no_other() -> None:
    work = Recorder()
    work.close("1", "2")
    lanes = Lanes(work, depth=2)
    lanes.start()
    await lanes.put(["a"], "1", group="adt")
    await lanes.put(["b"], "2", group="adt")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lanes.put(["c"], "3", group="adt"), 0.01)
    await lanes.put(["c"], "other", group="lab")
    assert (lanes.unfinished("adt"), lanes.unfinished("lab")) == (2, 1)
    for gate in work.gates.values():
        gate.set()
    await lanes.drain()
    await lanes.put(["c"], "3", group="adt")
    await lanes.drain()
    assert work.begun == ["1", "2", "other", "3"]
    await lanes.stop()


async def test_groups_take_turns_so_a_backlog_does_not_keep_a_live_feed_waiting() -> None:
    work = Recorder()
    lanes = Lanes(work, workers=1)
    for n in range(50):
        await lanes.put([f"old{n}"], f"backlog{n}", group="backlog")
    for n in range(2):
        await lanes.put([f"new{n}"], f"live{n}", group="live")
    lanes.start()
    await lanes.drain()
    assert work.begun[:4] == ["backlog0", "live0", "backlog1", "live1"]
    await lanes.stop()


async def test_a_job_that_fails_does_not_stop_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def work(job: int) -> None:
        done.append(1 // job)

    lanes = Lanes(work)
    lanes.start()
    with caplog.at_level(logging.ERROR):
        for n in (0, 1):
            await lanes.put(["a"], n)
        await lanes.drain()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text
    await lanes.stop()


async def test_a_restrained_group_leaves_workers_to_the_others() -> None:
    work = Recorder()
    work.close("old0", "old1", "old2", "old3")
    lanes = Lanes(work, workers=4)
    lanes.restrain("old", 2)
    lanes.start()
    for number in range(4):
        await lanes.put([f"o{number}"], f"old{number}", group="old")
    await lanes.put(["n"], "new", group="live")
    await asyncio.sleep(0.01)
    assert work.begun == ["old0", "old1", "new"]
    work.gates["old0"].set()
    await asyncio.sleep(0.01)
    assert work.begun[3:] == ["old2"]
    lanes.restrain("old", None)
    await asyncio.sleep(0.01)
    assert work.begun[4:] == ["old3"]
    for gate in work.gates.values():
        gate.set()
    await lanes.drain()
    await lanes.stop()


async def test_lanes_tell_whether_anything_ended_in_them_since() -> None:
    work = Recorder()
    work.close("first")
    lanes = Lanes(work)
    lanes.start()
    await lanes.put(["a", "b"], "first")
    await lanes.put(["c"], "other")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lanes.left == 1
    assert lanes.untouched(["a", "b"], 0)
    assert not lanes.untouched(["a", "c"], 0)
    assert lanes.untouched(["a", "c"], 1)
    work.gates["first"].set()
    await lanes.drain()
    assert not lanes.untouched(["b"], 1)
    assert lanes.untouched(["b", "c"], 2)
    for number in range(5000):
        await lanes.put([f"n{number}"], "more")
    await lanes.drain()
    assert not lanes.untouched(["b"], 2)  # that is too long ago to be known
    assert lanes.untouched(["b"], lanes.left)
    await lanes.stop()


async def test_heavy_jobs_leave_room_for_fewer_and_do_not_wait_for_each_other() -> None:
    at_work: list[int] = []
    most = 0
    go_on = asyncio.Event()

    async def work(job: int) -> None:
        nonlocal most
        at_work.append(job)
        most = max(most, sum(at_work))
        await go_on.wait()
        at_work.remove(job)

    lanes: Lanes[int] = Lanes(work, depth=10, weigh=lambda job: job)
    lanes.start()
    puts = [asyncio.create_task(lanes.put([str(n)], weight)) for n, weight in enumerate([6, 6, 99])]
    for _ in range(20):
        await asyncio.sleep(0)
    assert at_work == [6]
    go_on.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*puts)
        await lanes.drain()
        await lanes.put(["more"], 10)  # all the room was given back
        await lanes.drain()
    assert most == 99
