"""A random walk: senders that misbehave, a server that is killed, and what must be left of it.

Every group is a hospital of its own (its authority is in no other group's messages), so what is
left of each can be told beforehand: the record that the same messages make in order, one by one,
in a store in memory.  An ``orderly`` group has patients that are merged, in chains and circles,
other people's data and messages that cannot be applied; it is sent in its order.  The others are
histories of which docs/feeds.md, "In any order", promises that their order does not matter; they
come in any, by two connections and two feeds.  In a ``held`` group what cannot be applied keeps the
rest of its patient waiting, until somebody dismisses it.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from mappings.maps import load_maps
from server.access.context import SYSTEM
from server.feeds.apply import apply
from server.feeds.framing import frame
from server.feeds.header import read_header
from server.feeds.inbox import Inbox
from server.feeds.refused import RefusedMessage
from server.feeds.work import plan_message
from server.fhir import json as fhir_json
from server.store.memory import MemoryStore
from server.store.port import Store
from tests.feeds.conftest import NOW, index, services_on
from tests.feeds.histories import History

MAPS = load_maps()
ORDERLY, HELD = "orderly", "held"
BESIDE = ("id", "meta", "extension")  # an extension says what a running server held back
PATIENCE_S = 60.0  # an answer, if only that it takes long, comes within 20 s
USUAL = b"|^~\\&"
END = (b"PID|1||nobody\r", b"\x00\x01 no message", b"MSH|^^\\&|A|B|C|D|1||ADT^A04|9|P|2.5\r")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its feed and its bytes; without ``MSH`` no positive answer is expected."""

    feed: str
    body: bytes

    @property
    def is_headless(self) -> bool:
        return not self.body.startswith(b"MSH")


def history(group: int, chance: random.Random, number: int) -> list[Message]:
    """Messages of one patient by two feeds, in a random order."""
    made = []
    for n, sent in enumerate(History(chance, ("adt", "lab")).messages(number)):
        text = sent.body(0).decode().replace("1.2.3", f"1.2.3.{group}")
        text = text.replace("|APP|FAC|", f"|{sent.feed}|G{group}|", 1)
        text = text.replace("|0|P|2.5.1", f"|{group}-{n}|P|2.5.1", 1)
        made.append(Message(sent.feed, text.encode()))
    return chance.sample(made, number)


def orderly(group: int, chance: random.Random, number: int) -> list[Message]:
    """Messages of six patients, who are merged at times; some cannot be applied."""
    made = []
    for n in range(number):
        if chance.random() < 0.06:
            made.append(Message(ORDERLY, chance.choice(END) + b"ZZZ|%d-%d\r" % (group, n)))
            continue
        made.append(Message(ORDERLY, _registration(group, n, chance).encode()))
    return made


def held(group: int, chance: random.Random, number: int) -> list[Message]:
    """Messages of six patients, one in each; some cannot be applied."""
    alone = ["A28", "A31", "A08", "A04", "ZZZ"]
    return [
        Message(HELD, _registration(group, n, chance, HELD, alone).encode()) for n in range(number)
    ]


def _registration(
    group: int,
    n: int,
    chance: random.Random,
    feed: str = ORDERLY,
    events: Sequence[str] = ("A28", "A31", "A08", "A04", "A40", "A40", "ZZZ"),
) -> str:
    at = f"202503{1 + n // 1440:02}{n // 60 % 24:02}{n % 60:02}00"
    at = chance.choice([at, at, at, at, "20990101000000", "20250301000000"])
    number, other = chance.sample("123456", 2)
    authority = f"G{group}&1.2.4.{group}&ISO"
    event = chance.choice(events)
    born = chance.choice(["19850101"] * 12 + ["19850231", "19500505"])
    sex = "M" if born == "19500505" else "F"
    both = f"{number}^^^{authority}^MR~{other}^^^{authority}^MR"
    ids = chance.choice([f"{number}^^^{authority}^MR"] * 8 + [both if "A40" in events else "", ""])
    name = f"Doe{group}^{chance.choice(['Jane', 'Jane', 'Janet'])}"
    phone = chance.choice(["", '""', f"555-{n}"])
    # an earlier message's control id at times, with other bytes; and none
    control = chance.choice([f"o{group}-{n}"] * 18 + [f"o{group}-{max(0, n - 1)}", ""])
    lines = [
        f"MSH|^~\\&|{feed}|G{group}|T|M|{at}||ADT^{event}|{control}|P|2.5.1",
        f"EVN|{event}|{at}",
        f"PID|1||{ids}||{name}||{born}|{sex}|||{n} Main St^^Town||{phone}",
    ]
    lines += [f"MRG|{other}^^^{authority}^MR"] if event == "A40" else []
    if event in ("A08", "A04"):
        lines.append(f"PV1|1|O|W{n % 3}||||||||||||||||V{number}^^^{authority}")
    return "\r".join([*lines, ""])


State = tuple[str, str]  # and its reason


@dataclass
class Expected:
    """What is to be found in the end: states by body, and the record."""

    states: dict[bytes, State] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


async def expected(messages: Sequence[Message]) -> Expected:
    """Return what these messages come to, each applied before the next one comes."""
    ticks = iter(range(NOW, NOW + 10**12, 1000))
    services = services_on(MemoryStore(now=lambda: next(ticks), index=index), lambda: next(ticks))
    inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
    made = Expected()
    for message in messages:
        feed = MAPS.feed(message.feed)
        receipt = await inbox.receive(feed, message.body, read_header(message.body))
        plan, refused = plan_message(MAPS, message.body, feed)
        try:
            if refused is not None or plan is None:
                raise refused or AssertionError
            await apply(services, receipt.entry, plan, feed, finish=lambda entry: entry)
            made.states[message.body] = ("applied", "")
        except RefusedMessage as why:
            given_up = message.feed == HELD  # at the end of the walk
            state: State = "dismissed" if given_up else "quarantined", why.reason
            made.states[message.body] = state
    made.record = await record(services.store)
    return made


async def record(store: Store) -> dict[str, Any]:
    """Return the live resources by what they are, with references to what they mean."""
    latest: dict[str, dict[str, Any]] = {}
    after = 0
    while page := await store.changes(SYSTEM, after=after, limit=1000):
        for version in page:
            if version.type not in ("Provenance", "AuditEvent"):
                resource = fhir_json.loads(version.body or b"{}")
                latest[f"{version.type}/{version.id}"] = resource
        after = page[-1].seq
    names = {reference: _name(one, latest) for reference, one in latest.items()}
    assert len(set(names.values())) == len(names), "two of one identity"
    return {
        names[reference]: _renamed({k: v for k, v in one.items() if k not in BESIDE}, names)
        for reference, one in latest.items()
    }


def _name(resource: dict[str, Any], everything: dict[str, Any]) -> str:
    """What it is: its identifiers, and whose it is, for some are known within a patient only."""
    ids = sorted(f"{i.get('system')}|{i['value']}" for i in resource.get("identifier", ()))
    whose = resource.get("subject") or resource.get("patient") or {}
    patient = everything.get(whose.get("reference", ""))
    of = f" of {_name(patient, {})}" if patient is not None else ""
    return f"{resource['resourceType']} {ids or resource.get('name') or resource.get('code')}{of}"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Return a value with what references mean in it, and lists in no order."""
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((_renamed(v, names) for v in value), key=repr)
    return names.get(value, value) if isinstance(value, str) else value


@dataclass
class Place:
    """Where the server is at the moment; its ports change with every start."""

    mllp_port: int = 0
    root: str = ""
    token: str | None = None


class Sender:
    """Sends its messages in their order until each is acknowledged, and misbehaves on the way."""

    def __init__(
        self, messages: Sequence[Message], place: Place, chance: random.Random, window: int = 1
    ) -> None:
        self.messages, self._place, self._chance, self._window = messages, place, chance, window
        self.acknowledged = 0
        self._hung_up = False
        self.codes: list[str] = []

    @property
    def done(self) -> bool:
        return self.acknowledged == len(self.messages)

    async def run(self) -> None:
        """Return when everything is acknowledged."""
        while not self.done:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, httpx.HTTPError):
                await self._session()
            await asyncio.sleep(self._chance.random() * 0.1)

    async def _session(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._place.mllp_port)
        self._hung_up = False
        try:
            while not self.done:
                window = self.messages[self.acknowledged : self.acknowledged + self._window]
                if not await self._misbehave(writer, window):
                    return
                for message in window:
                    await self._answered(reader, message)
                    self.acknowledged += 1
                if self._hung_up:
                    return
        finally:
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader, message: Message) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await reader.readuntil(b"\x1c\r")
        except TimeoutError:
            raise AssertionError("a live connection was not answered") from None
        msa = answer.split(b"\rMSA|", 1)[1].split(b"\r", 1)[0]
        code = msa.split(b"|")[0].decode()
        header = read_header(message.body)
        if header is not None:
            assert msa.split(b"|")[1] == header.control_id
        if code != "AA" and not (message.is_headless and code == "AR" and header is None):
            raise ConnectionError(code)  # to be sent again
        self.codes.append(code)

    async def _misbehave(self, writer: asyncio.StreamWriter, window: Sequence[Message]) -> bool:
        """Send the messages in one of many ways; tell whether their answers shall be read."""
        data = b"".join(frame(message.body) for message in window)
        how = self._chance.random()
        if how < 0.04:  # breaks off in the middle
            writer.write(data[: self._chance.randrange(len(data))])
            await writer.drain()
            return False
        if how < 0.08:  # does not wait for the answers
            writer.write(data)
            await writer.drain()
            return False
        if how < 0.12:  # junk between frames
            writer.write(b"\r\nGET / HTTP/1.1\r\n\x00\xff" + data)
        elif how < 0.16:  # begins, and begins anew
            writer.write(b"\x0b" + data[1 : self._chance.randrange(1, len(data) - 2)] + data)
            return len(window) == 1  # else what was whole before is answered as well
        elif how < 0.22:  # in small pieces
            for at in range(0, len(data), 7 * 16):
                writer.write(data[at : at + 7 * 16])
                await asyncio.sleep(0)
        elif how < 0.26 and len(window) == 1:  # hangs up its half of the line
            writer.write(data)
            writer.write_eof()
            self._hung_up = True
        else:
            writer.write(data)
        return True


class Poster(Sender):
    """Sends by HTTP."""

    async def _session(self) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while not self.done:
                message = self.messages[self.acknowledged]
                try:
                    answer = await self._posted(client, message)
                except httpx.ReadTimeout:
                    raise AssertionError("a live connection was not answered") from None
                if answer.status_code != (400 if message.is_headless else 200):
                    raise ConnectionError(answer.status_code)
                self.codes.append("AR" if message.is_headless else "AA")
                self.acknowledged += 1

    async def _posted(self, client: httpx.AsyncClient, message: Message) -> httpx.Response:
        return await client.post(
            f"{self._place.root}/hl7v2/{message.feed}",
            content=message.body,
            headers={
                "Authorization": f"Bearer {self._place.token}",
                "Content-Type": "application/hl7-v2",
            },
        )


class Dropper(Sender):
    """Drops its messages as files of a few, one after the other."""

    def __init__(
        self, messages: Sequence[Message], folder: Path, place: Place, chance: random.Random
    ) -> None:
        super().__init__([one for one in messages if one.body[3:8] == USUAL], place, chance)
        self._folder = folder

    async def run(self) -> None:
        """Return when everything is answered."""
        while not self.done:
            upto = min(len(self.messages), self.acknowledged + self._chance.randrange(1, 9))
            name = f"{id(self)}-{upto}"
            bodies = b"".join(one.body for one in self.messages[self.acknowledged : upto])
            (self._folder / f"{name}.part").write_bytes(bodies)
            (self._folder / f"{name}.part").rename(self._folder / name)
            answers = self._folder / "done" / f"{name}.ack"
            while not answers.exists():  # noqa: ASYNC110 - another process moves it there
                await asyncio.sleep(0.05)
            self.codes += [line[4:6].decode() for line in answers.read_bytes().split(b"\r")
                           if line.startswith(b"MSA")]  # fmt: skip
            self.acknowledged = upto
