"""HL7v2 end to end: through sockets into the embedded store, durable, with explanations.

``python scripts/bench_feed.py [--small] [--profile]`` starts ``tellonce serve``, sends admissions
from several connections and tells messages a second, CPU of the server per message, and the time
until the acknowledgement; ``--rate 100`` sends so many a second and not as fast as it goes.
``--profile`` runs the server inside this process and prints where the time went.
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

from server import app
from server.settings import Settings

_TICKS = os.sysconf("SC_CLK_TCK")


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
    """Seconds until each acknowledgement."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.wrong = 0

    def told(self) -> str:
        """Return the median, the 99th percentile and the worst in milliseconds."""
        ordered = sorted(self.seconds)
        at = [ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99)]
        return f"ACK p50 {at[0]:.1f} p99 {at[1]:.1f} max {ordered[-1] * 1000:.1f} ms"


async def send(
    port: int, bodies: list[bytes], times: Times, *, window: int, every_s: float = 0.0
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
    start = time.perf_counter()
    for number, body in enumerate(bodies):
        await room.acquire()
        if every_s:
            await asyncio.sleep(max(0.0, start + number * every_s - time.perf_counter()))
        begun.append(time.perf_counter())
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
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_s(int(child)) for child in children)


async def drive(port: int, given: argparse.Namespace, make: object) -> tuple[Times, float]:
    """Send everything; return the times and how long it took."""
    times, senders = Times(), given.senders
    bodies = [make(n, given.patients) for n in range(given.messages)]  # type: ignore[operator]
    every_s = senders / given.rate if given.rate else 0.0
    began = time.perf_counter()
    await asyncio.gather(
        *(
            send(port, bodies[n::senders], times, window=given.window, every_s=every_s)
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
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--processes", default="", help="TELLONCE_FEED_PROCESSES")
    given = parser.parse_args()
    make = small if given.small else admission
    with tempfile.TemporaryDirectory(prefix="tellonce-feed-") as folder:
        data = Path(folder) / "data"
        if given.profile:
            _profile(data, given, make)
            return
        _measure(data, given, make)


def _profile(data: Path, given: argparse.Namespace, make: object) -> None:
    async def run() -> None:
        async with inside(data) as port:
            profile = cProfile.Profile()
            profile.enable()
            times, seconds = await drive(port, given, make)
            profile.disable()
            print(f"{given.messages / seconds:.0f}/s (profiled) {times.told()}")
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)

    asyncio.run(run())


def _measure(data: Path, given: argparse.Namespace, make: object) -> None:
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--port", "0"]
    command += ["--mllp-port", "0", "--data", str(data), "--open"]
    env = dict(os.environ)
    if given.processes:
        env["TELLONCE_FEED_PROCESSES"] = given.processes
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout
        line = next(line for line in server.stdout if line.startswith("MLLP"))
        port = int(line.rsplit(":", 1)[1])
        before = cpu_s(server.pid)
        times, seconds = asyncio.run(drive(port, given, make))
        used = cpu_s(server.pid) - before
        server.terminate()
    print(
        f"{given.messages / seconds:.0f}/s, {used / given.messages * 1000:.2f} ms CPU a message, "
        f"{times.told()}, not AA: {times.wrong}"
    )


if __name__ == "__main__":
    main()
