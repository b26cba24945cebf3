"""A server in a process of its own, killed while it sends: nothing is lost, ids stay."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mappings.parse import parse
from server.feeds.framing import frame
from tests.feeds.outbound import Receiver, accept, ack, receiver, site, until, ward

TELLONCE = str(Path(sys.executable).with_name("tellonce"))
Start = Callable[[], Awaitable["Server"]]


class Server:
    """One run of ``tellonce serve``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def post(self, number: int) -> bool:
        """Create a patient; tell whether that was acknowledged."""
        body = {"resourceType": "Patient", "identifier": [{"value": str(number)}]}
        return await asyncio.to_thread(self._post, json.dumps(body).encode())

    def _post(self, body: bytes) -> bool:
        headers = {"Content-Type": "application/fhir+json"}
        request = urllib.request.Request(f"{self.url}/Patient", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status == 201)
        except OSError:
            return False


@asynccontextmanager
async def servers(folder: Path, maps: Path) -> AsyncIterator[Start]:
    """Yield a function that starts a server on the same data; all are killed at the end."""
    made: list[Server] = []

    async def start() -> Server:
        command = [TELLONCE, "serve", "--open", "--port", "0", "--mllp-port", "none"]
        command += ["--data", str(folder / "data"), "--maps", str(maps)]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while line := await process.stdout.readline():
                if found := re.search(rb"FHIR\s+(http://\S+)", line):
                    made.append(Server(process, found[1].decode()))
                    return made[-1]
        raise AssertionError(f"the server ended with {process.returncode}")

    try:
        yield start
    finally:
        for server in made:
            server.kill()
            await server.process.wait()


async def test_killed_between_sending_and_the_answer_it_sends_the_same_again(
    tmp_path: Path,
) -> None:
    running: list[Server] = []

    async def first_time_kill(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        if len(to.got) == 1:
            running[0].kill()
        else:
            await accept(to, message, writer)

    async with receiver(first_time_kill) as to:
        maps = site(tmp_path, ward(to.port).replace("0.3", "5"))
        async with servers(tmp_path, maps) as start:
            running.append(await start())
            assert await running[0].post(1)
            await to.until(1)
            await running[0].process.wait()
            await start()
            await to.until(2)
    assert to.got[0] == to.got[1]


async def test_what_was_acknowledged_arrives_in_order_however_often_it_is_killed(
    tmp_path: Path,
) -> None:
    async def now_and_then(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        if len(to.got) % 7 == 0:
            writer.write(frame(ack(message))[:9])
            writer.transport.abort()
        else:
            await accept(to, message, writer)

    async with receiver(now_and_then) as to:
        maps = site(tmp_path, ward(to.port))
        taken: list[int] = []
        async with servers(tmp_path, maps) as start:
            for run in range(4):
                server = await start()
                numbers = range(run * 25, run * 25 + 25)
                taken += [number for number in numbers if await server.post(number)]
                if run < 3:
                    server.kill()  # while the queue is being sent
                    await server.process.wait()
            await until(lambda: _came(to, taken[-1]), within_s=30)
    came = list(dict.fromkeys(_numbers(to)))
    assert came == sorted(came, key=int)
    assert {str(number) for number in taken} <= set(came)
    ids = {(parse(body).get("PID-3"), parse(body).control_id) for body in to.got}
    assert len(ids) == len(came)  # a repetition has the control id of the first


async def _came(to: Receiver, number: int) -> bool:
    return str(number) in _numbers(to)


def _numbers(to: Receiver) -> list[str]:
    return [parse(body).get("PID-3") for body in to.got]
