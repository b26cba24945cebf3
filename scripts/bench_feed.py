"""HL7v2 end to end: through sockets into the embedded store, durable, with explanations.

``python scripts/bench_feed.py [--small] [--profile]`` starts ``tellonce serve``, sends admissions
from several connections and tells messages a second, CPU per message of each of its processes, and
the time until the acknowledgement; beside it what the machine's disk and processors took by
themselves in the same seconds (:mod:`bench_machine`).  ``--rate 100`` sends so many a second,
evenly over all connections, and not as fast as it goes; with ``--at-once`` they all send in one
moment.  ``--profile`` runs the server inside this process and prints where the time went.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from bench_machine import Beside, beside, cpu_by_process, spread

from server import app
from server.settings import Settings


def admission(number: int, patients: int) -> bytes:
    """An A01 that makes ten resources the first time a patient comes."""
    who = number % patients
    return (
        f"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A01^ADT_A01|"
        f"{number}|P|2.5.1\r"
        f"EVN|A01|20260316080000\r"
        f"PID|1||{who}^^^HOSP^MR~{who}^^^NAT^NI||Doe^Jane^{number}||1970{who % 12 + 1:02}03|F|||"
        f"{number} Main St^^Town^^12345||555-{who:04}|||M|||\r"
        f"NK1|1|Doe^John|SPO|1 Main St^^Town|555-9999\r"
        f"PV1|1|I|W{who % 9}^{who % 30}^1^HOSP||||7{who % 20}^Doctor^Ann^^^^^^HOSP|"
        f"8{who % 20}^Refer^Bob^^^^^^HOSP||MED|||||||||V{number}^^^HOSP|||||||||||||||||||||||||"
        f"20260316080000\r"
        f"AL1|1|DA|PCN^Penicillin^L|SV|Rash\r"
        f"DG1|1||I10^Hypertension^I10||20260316|A\r"
        f"IN1|1|PLAN{who % 5}|INS{who % 5}|Insurer {who % 5}"
        f"|||||||||||||||||||||||||||||||POL{who}\r"
    ).encode()


def small(number: int, patients: int) -> bytes:
    """An A08 that changes one resource."""
    who = number % patients
    return (
        f"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A08^ADT_A01|{number}|P|2.5.1\r"
        f"EVN|A08|20260316080000\r"
        f"PID|1||{who}^^^HOSP^MR||Doe^Jane||19700503|F|||{number} Main St^^Town^^12345\r"
        f"PV1|1|O\r"
    ).encode()


class Times:
    """Seconds until each acknowledgement, and that a message was sent after it was due."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.late: list[float] = []
        self.wrong = 0

    def told(self) -> str:
        """Return the median, the 99th percentile and the worst in milliseconds."""
        return f"ACK {spread(self.seconds, (0.5, 0.9, 0.99))}"


async def send(
    port: int,
    bodies: list[bytes],
    times: Times,
    *,
    window: int,
    every_s: float = 0.0,
    first_s: float = 0.0,
) -> None:
    """Send over one connection; with ``every_s`` one message every so many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun: list[float] = []
    room = asyncio.Semaphore(window)

    async def answers() -> None:
        for number in range(len(bodies)):
            answer = await reader.readuntil(b"\x1c\r")
            times.seconds.append(time.perf_counter() - begun[number])
            times.wrong += b"\rMSA|AA" not in answer
            room.release()

    hearing = asyncio.create_task(answers())
    start = time.perf_counter() + first_s
    for number, body in enumerate(bodies):
        due = start + number * every_s
        if every_s:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await room.acquire()
        begun.append(time.perf_counter())
        if every_s:
            times.late.append(begun[-1] - due)
        writer.write(b"\x0b" + body + b"\x1c\r")
    await hearing
    writer.close()


@asynccontextmanager
async def inside(data: Path):  # type: ignore[no-untyped-def]
    """Run the server in this process; yield its MLLP port."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    settings = Settings(data=data, port=0, mllp_port=0, open=True)
    serving = asyncio.create_task(
        app.serve(settings, on_ready=lambda r: ready.set_result(r.mllp_port or 0), stop=stop)
    )
    yield await ready
    stop.set()
    await serving


def cpu_s(pid: int) -> float:
    """Return user and system CPU seconds of a process and of those that it started."""
    return sum(cpu_by_process(pid).values())


async def drive(port: int, given: argparse.Namespace, bodies: list[bytes]) -> tuple[Times, float]:
    """Send everything; return the times and how long it took."""
    times, senders = Times(), given.senders
    every_s = senders / given.rate if given.rate else 0.0
    apart_s = 0.0 if given.at_once or not given.rate else 1 / given.rate
    began = time.perf_counter()
    await asyncio.gather(
        *(
            send(
                port,
                bodies[n::senders],
                times,
                window=given.window,
                every_s=every_s,
                first_s=n * apart_s,
            )
            for n in range(senders)
        )
    )
    return times, time.perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--window", type=int, default=8, help="unanswered messages a connection")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second")
    parser.add_argument("--at-once", action="store_true", help="all senders in one moment")
    parser.add_argument("--warm", type=int, default=100, help="messages before it is measured")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--processes", default="", help="TELLONCE_FEED_PROCESSES")
    given = parser.parse_args()
    make = small if given.small else admission
    bodies = [make(n, given.patients) for n in range(given.warm + given.messages)]
    with tempfile.TemporaryDirectory(prefix="tellonce-feed-") as folder:
        data = Path(folder) / "data"
        if given.profile:
            _profile(data, given, bodies)
            return
        _measure(data, given, bodies)


def _profile(data: Path, given: argparse.Namespace, bodies: list[bytes]) -> None:
    async def run() -> None:
        async with inside(data) as port:
            profile = cProfile.Profile()
            profile.enable()
            times, seconds = await drive(port, given, bodies)
            profile.disable()
            print(f"{len(bodies) / seconds:.0f}/s (profiled) {times.told()}")
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)

    asyncio.run(run())


def _measure(data: Path, given: argparse.Namespace, bodies: list[bytes]) -> None:
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--port", "0"]
    command += ["--mllp-port", "0", "--data", str(data), "--open"]
    env = dict(os.environ)
    if given.processes:
        env["TELLONCE_FEED_PROCESSES"] = given.processes
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout
        line = next(line for line in server.stdout if line.startswith("MLLP"))
        port = int(line.rsplit(":", 1)[1])
        asyncio.run(drive(port, given, bodies[: given.warm]))
        before = cpu_by_process(server.pid)
        times, seconds, machine = asyncio.run(_watched(port, given, bodies[given.warm :], data))
        after = cpu_by_process(server.pid)
        server.terminate()
    used = [(spent - before.get(pid, 0.0)) / given.messages * 1000 for pid, spent in after.items()]
    told = " + ".join(f"{each:.2f}" for each in used)
    print(f"{given.messages / seconds:.0f}/s, {told} ms CPU a message, not AA: {times.wrong}")
    print(times.told() + (f"; sent late {spread(times.late)}" if times.late else ""))
    print(machine.told())


async def _watched(
    port: int, given: argparse.Namespace, bodies: list[bytes], folder: Path
) -> tuple[Times, float, Beside]:
    async with beside(folder) as machine:
        times, seconds = await drive(port, given, bodies)
    return times, seconds, machine


if __name__ == "__main__":
    main()
