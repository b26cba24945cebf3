"""A backlog drains while a live feed goes on: ``python scripts/bench_backlog.py``.

Messages of feed ``default`` are put into the inbox as an earlier run would have left them; then
``tellonce serve`` starts, and a live feed of other patients sends at a steady rate until the
backlog is empty.  Tells how long that took and how long the live senders waited for their answers,
in all and since the look before, and what the machine took by itself (:mod:`bench_machine`).
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_feed import Times, cpu_s, send, small
from bench_machine import beside

from mappings.feed import Feed
from server import app
from server.feeds.header import read_header
from server.feeds.inbox import Inbox
from server.settings import Settings

TOGETHER = 200  # messages that are put into the inbox at a time
WIRING = "feeds:\n  live: {senders: LIVE}\n"


def old(number: int, patients: int) -> bytes:
    """One message of the backlog."""
    return small(number, patients).replace(b"|REG|", b"|OLD|")


def live(number: int, patients: int) -> bytes:
    """One message of the live feed, of a patient that the backlog does not have."""
    return small(number, patients).replace(b"|REG|", b"|LIVE|").replace(b"^^^HOSP", b"^^^WARD")


async def fill(data: Path, messages: int, patients: int) -> None:
    """Leave so many messages in the inbox, received and not applied."""
    settings = Settings(data=data, port=0, mllp_port=0, open=True)
    store = app.open_store(settings, "http://127.0.0.1/fhir")
    services = await app.services_of(settings, store, "http://127.0.0.1/fhir")
    inbox, feed = Inbox(store, now=services.now, new_id=services.new_id), Feed("default")
    for start in range(0, messages, TOGETHER):
        numbers = range(start, min(start + TOGETHER, messages))
        bodies = [old(number, patients) for number in numbers]
        await asyncio.gather(*(inbox.receive(feed, body, read_header(body)) for body in bodies))
    await store.close()


async def applied(base: str) -> int:
    """Return how many messages of the backlog are applied, from ``/metrics``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    found = re.search(r'tellonce_hl7v2_applied_total\{feed="default"\} (\S+)', text)
    return int(float(found[1])) if found else 0


async def drive(
    base: str, mllp: int, given: argparse.Namespace, folder: Path
) -> tuple[Times, float]:
    """Send live messages until the backlog is empty; return their times and how long it took."""
    async with beside(folder) as machine:
        times, seconds = await _drive(base, mllp, given)
    print(machine.told())
    return times, seconds


async def _drive(base: str, mllp: int, given: argparse.Namespace) -> tuple[Times, float]:
    all_, began, number = Times(), time.perf_counter(), 0
    while True:
        times = Times()
        count = int(given.rate * given.look_s)
        bodies = [live(number + n, 500) for n in range(count)]
        number += count
        await asyncio.gather(
            *(
                send(
                    mllp,
                    bodies[n::4],
                    times,
                    window=8,
                    every_s=4 / given.rate,
                    first_s=n / given.rate,
                )
                for n in range(4)
            )
        )
        all_.seconds += times.seconds
        all_.wrong += times.wrong
        remaining = given.messages - await applied(base)
        seconds = time.perf_counter() - began
        print(f"{seconds:6.0f} s  {remaining:7} left  live {times.told()}", flush=True)
        if not remaining:
            return all_, seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--patients", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=20.0, help="live messages a second")
    parser.add_argument("--look-s", type=float, default=20.0, help="seconds between two looks")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tellonce-backlog-") as folder:
        data, feeds = Path(folder) / "data", Path(folder) / "feeds.yaml"
        feeds.write_text(WIRING)
        began = time.perf_counter()
        asyncio.run(fill(data, given.messages, given.patients))
        print(f"{given.messages} messages put in, {time.perf_counter() - began:.0f} s", flush=True)
        command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--port", "0"]
        command += ["--mllp-port", "0", "--data", str(data), "--open"]
        env = {**os.environ, "TELLONCE_FEEDS": str(feeds)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
            assert server.stdout
            lines = [next(server.stdout) for _ in range(2)]
            base = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
            mllp = re.search(r"(\d+)\s*$", next(line for line in lines if line.startswith("MLLP")))
            assert base is not None, lines
            assert mllp is not None, lines
            before = cpu_s(server.pid)
            times, seconds = asyncio.run(drive(base[0], int(mllp[1]), given, data))
            used = cpu_s(server.pid) - before
            server.terminate()
    print(
        f"{given.messages / seconds:.0f}/s drained, {used / given.messages * 1000:.2f} ms CPU a "
        f"message of the backlog, live {times.told()}, not AA: {times.wrong}"
    )


if __name__ == "__main__":
    main()
