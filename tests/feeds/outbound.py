"""A receiver that misbehaves as it is told, a site's files, and a record that changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mappings.emit import load_outbound
from mappings.feed import Feed
from mappings.maps import Maps, load_maps
from mappings.parse import Message as Parsed
from mappings.parse import parse
from server.feeds.framing import Framer, TooLarge, frame
from server.feeds.header import read_header
from server.feeds.outbound.queue import Message, Queue
from server.feeds.outbound.route import Router
from server.feeds.outbound.service import OutboundService
from server.feeds.service import FeedService
from server.interactions.prepare import to_write
from server.interactions.services import Services
from tests.feeds.conftest import BASE

MAPS = load_maps()
Behaviour = Callable[["Receiver", bytes, asyncio.StreamWriter], Awaitable[None]]


def ack(message: bytes, code: str = "AA", *, id_: str = "", text: str = "") -> bytes:
    """An acknowledgement of a message; ``id_``: with another control id."""
    header = read_header(message)
    assert header is not None
    told = id_ or header.control_id.decode()
    return f"MSH|^~\\&|B|||||{told}|ACK|X|P|2.5\rMSA|{code}|{told}|{text}\r".encode()


async def accept(_receiver: "Receiver", message: bytes, writer: asyncio.StreamWriter) -> None:
    """The behaviour of a receiver that takes everything."""
    writer.write(frame(ack(message)))


def answering(*codes: str) -> Behaviour:
    """The behaviour of one that gives these codes, one after the other, then AA."""
    left = list(codes)

    async def answer(_r: "Receiver", message: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(ack(message, left.pop(0) if left else "AA", text="no bed")))

    return answer


@dataclass
class Receiver:
    """Somebody else's system; ``got`` is every message that came, in order."""

    behave: Behaviour = accept
    got: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        framer = Framer()
        with suppress(ConnectionResetError):  # as a sender that is killed leaves it
            while data := await reader.read(65536):
                for found in framer.feed(data):
                    assert not isinstance(found, TooLarge)
                    self.got.append(found.body)
                    self.came.set()
                    await self.behave(self, found.body, writer)

    async def until(self, count: int, *, within_s: float = 30.0) -> list[bytes]:
        """Return the first ``count`` messages, as soon as they came."""
        async with asyncio.timeout(within_s):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()
        return self.got[:count]

    @property
    def ids(self) -> list[str]:
        return [parse(body).control_id for body in self.got]

    @property
    def types(self) -> list[str]:
        return [parse(body).type for body in self.got]


@asynccontextmanager
async def receiver(behave: Behaviour = accept) -> AsyncIterator[Receiver]:
    made = Receiver(behave)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def site(folder: Path, text: str = "", **files: str) -> Path:
    """A site's folder of maps; ``text`` is the destination ``ward``."""
    made = folder / "site"
    made.mkdir(exist_ok=True)
    if text:
        (made / "ward.yaml").write_text(text)
    for name, content in files.items():
        (made / f"{name}.yaml").write_text(content)
    return made


def ward(port: int = 2575, messages: str = "[ADT, ADT-person, ADT-merge]", more: str = "") -> str:
    """A destination that tries again quickly."""
    return f"""destination: ward
port: {port}
start: beginning
ack_timeout_s: 0.3
retry: {{attempts: 3, first_s: 0.01, most_s: 0.05}}
messages: {messages}
{more}
"""


async def put(services: Services, *resources: dict[str, Any]) -> None:
    """Commit resources together, as a FHIR transaction would."""
    writes = [to_write(one, base_url=BASE, method="PUT") for one in resources]
    await services.store.commit(writes)


async def delete(services: Services, type_: str, id_: str) -> None:
    write = to_write({"resourceType": type_, "id": id_}, base_url=BASE, method="DELETE")
    await services.store.commit([replace(write, body=None, rows=None)])


class Routed:
    """A destination without a receiver: what would be sent."""

    def __init__(self, services: Services, folder: Path, text: str, **files: str) -> None:
        made = load_outbound([site(folder, text, **files)], MAPS.tables)
        self.services = services
        (self.outlet,) = made.outlets.values()
        self.queue = Queue(services.store, self.outlet.destination.name)
        self.router = Router(services, self.outlet, self.queue)
        self._seen: set[str] = set()

    async def new(self) -> list[Message]:
        """Return what was queued since the last call."""
        while await self.router.step() is not None:
            continue
        found = [m for s in ("waiting", "parked") for m in await self.queue.of_state(s)]  # type: ignore[arg-type]
        fresh = sorted((m for m in found if m.id not in self._seen), key=lambda m: m.id)
        self._seen |= {m.id for m in fresh}
        return fresh

    async def types(self) -> list[str]:
        """Return the types of what was queued since the last call."""
        return [message.type for message in await self.new()]

    async def parsed(self) -> list[Parsed]:
        """Return what was queued since the last call, parsed."""
        return [parse(await self.queue.body(message.id)) for message in await self.new()]


class FeedMaps(Maps):
    """The shipped maps, with the settings of every feed changed."""

    def __init__(self, **settings: Any) -> None:
        self.adopt(MAPS)
        self._settings = settings

    def feed(self, name: str) -> Feed:
        return replace(MAPS.feed(name), authorities={"HOSP": "urn:oid:1.2.3"}, **self._settings)


@asynccontextmanager
async def feeding(services: Services, **settings: Any) -> AsyncIterator[Callable[..., Any]]:
    """Yield a function that receives one message by a feed, as a sender would see it."""
    service = FeedService(services, FeedMaps(**settings), [])
    await service.start()

    async def receive(body: bytes | str, feed: str = "default") -> None:
        data = body.replace("\n", "\r").encode() if isinstance(body, str) else body
        for answer in await service.receive(data, feed, read_header(data)):
            made = answer if isinstance(answer, bytes) else await answer
            assert made is not None
            assert b"MSA|AA" in made, made

    try:
        yield receive
    finally:
        await service.stop()


@asynccontextmanager
async def sending(
    services: Services, folder: Path, *, owner: str = "server", lease_s: float = 15.0
) -> AsyncIterator[OutboundService]:
    service = OutboundService(
        services, MAPS, [folder], owner=owner, poll_s=0.02, lease_s=lease_s, chance=lambda: 0.0
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop(grace_s=2.0)


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float = 30.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - it looks at what others wrote
            await asyncio.sleep(0.01)


PATIENT = {
    "resourceType": "Patient",
    "id": "ada",
    "identifier": [{"system": "urn:oid:1.2.3", "value": "77"}],
    "name": [{"family": "Gray", "given": ["Ada"]}],
    "birthDate": "1985-01-31",
    "gender": "female",
}
VISIT = {
    "resourceType": "Encounter",
    "id": "v1",
    "status": "in-progress",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": {"reference": "Patient/ada"},
    "period": {"start": "2026-01-02T08:00:00+01:00"},
    "location": [{"location": {"display": "Ward 1"}, "status": "active"}],
}


def patient(id_: str = "ada", **changes: Any) -> dict[str, Any]:
    return {**PATIENT, "id": id_, **changes}


def visit(**changes: Any) -> dict[str, Any]:
    return {**VISIT, **changes}
