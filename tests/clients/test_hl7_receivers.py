"""HL7v2 receivers that we did not write: npm's simple-hl7 and python-hl7's asyncio server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

from server.feeds.outbound.queue import Queue
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.feeds.conftest import NOW, index, services_on
from tests.feeds.outbound import patient, put, sending, site, until, visit, ward

HERE = Path(__file__).parent / "node"


@pytest.fixture
async def record() -> AsyncIterator[Services]:
    """A record with a patient whose name is not ASCII, and a visit."""
    ticks = count(NOW, 1000)
    store = MemoryStore(now=lambda: next(ticks), index=index)
    services = services_on(store, lambda: next(ticks))
    await put(services, patient(name=[{"family": "Ødegård", "given": ["Ada & Eve"]}]))
    await put(services, visit())
    yield services
    await store.close()


async def acknowledged(services: Services, folder: Path) -> list[str]:
    """Send what there is; return the control ids of what was acknowledged."""
    own = Queue(services.store, "ward")

    async def both() -> bool:
        return len(await own.of_state("sent")) == 2

    async with sending(services, folder):
        await until(both, within_s=20)
    return [message.control_id for message in await own.of_state("sent")]


@asynccontextmanager
async def simple_hl7(node: str) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Run the receiver; yield its port, and what it prints."""
    command = [node, "receive-hl7.js", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=HERE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            port = json.loads(await process.stdout.readline())["port"]
        yield port, process.stdout
    finally:
        process.terminate()
        await process.wait()


async def test_simple_hl7_takes_what_is_sent(
    node_with: Callable[[str], str], record: Services, tmp_path: Path
) -> None:
    async with simple_hl7(node_with("simple-hl7")) as (port, said):
        text = ward(port).replace("0.3", "5")
        ids = await acknowledged(record, site(tmp_path, text))
        told = [json.loads(await said.readline()) for _ in ids]
    assert told == [
        {"type": "ADT^A28", "id": ids[0], "number": "77", "family": "Ødegård"},
        {"type": "ADT^A01", "id": ids[1], "number": "77", "family": "Ødegård"},
    ]


async def test_the_asyncio_server_of_python_hl7_takes_what_is_sent(
    record: Services, tmp_path: Path
) -> None:
    got: list[Any] = []

    async def take(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                got.append(message)
                writer.writemessage(message.create_ack())
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    server = await start_hl7_server(take, "127.0.0.1", 0, encoding="utf-8")
    port = server.sockets[0].getsockname()[1]
    ids = await acknowledged(record, site(tmp_path, ward(port).replace("0.3", "5")))
    server.close()
    assert [str(message["MSH.F10"]) for message in got] == ids
    assert str(got[0]["PID.F5.R1.C1"]) == "Ødegård"
    assert got[0].unescape(str(got[0]["PID.F5.R1.C2"])) == "Ada & Eve"
