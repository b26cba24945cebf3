"""Messages of other projects through a real socket: applied, or in quarantine with a reason.

The folder is not part of this project; see its manifest for sources and licences.
"""

import asyncio
import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mappings.maps import load_maps
from mappings.parse import parse
from server.access.context import SYSTEM
from server.feeds.ack import wants_accept, wants_application
from server.feeds.framing import frame
from server.feeds.header import read_header, split_messages
from server.feeds.inbox import Entry
from server.feeds.service import FeedService, Port
from server.interactions.services import Services
from server.search import extract
from server.search.rows import IndexRows
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id

TYPES = frozenset(load_maps().message_types)
BASE = "http://fhir.test"
REFERENCE = re.compile(rb'"reference":\s*"([A-Z][A-Za-z]+/[^"/]+)')
NOW = 1_767_323_045_000_000  # 2026-01-02T03:04:05Z


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, its answer, and what the inbox says of it."""

    file: str
    body: bytes
    code: str
    entry: Entry

    @property
    def identified(self) -> bool:
        """True when the message names its patient in PID-3."""
        return bool(parse(self.body).get("PID-3.1"))


def folder(shared_data: Path) -> list[tuple[str, bytes]]:
    """Return (file, message) for every message of the listed types."""
    with (shared_data / "hl7v2" / "manifest.csv").open() as manifest:
        files = [row["file"] for row in csv.DictReader(manifest)]
    return [
        (file, body)
        for file in files
        for body in split_messages((shared_data / "hl7v2" / file).read_bytes())
        if type_of(body) in TYPES
    ]


def type_of(body: bytes) -> str:
    try:
        return parse(body).type
    except ValueError:
        return ""


def again(body: bytes, number: int) -> bytes:
    """Return the message with a new MSH-7 and MSH-10, as a system sends it again."""
    start = body.index(b"MSH")
    separator = body[start + 3 : start + 4]
    line = re.split(rb"[\r\n]", body[start:], maxsplit=1)[0]
    fields = line.split(separator)
    fields += [b""] * (10 - len(fields))
    fields[6], fields[9] = b"20260102030405", b"AGAIN%d" % number
    return body[:start] + separator.join(fields) + body[start + len(line) :]


def index(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    return extract.index_rows(resource, BASE), extract.compartments(resource, BASE)


async def dangling(store: SqliteStore) -> set[str]:
    """Return the references of the record that point nowhere."""
    live: set[str] = set()
    pointed: set[str] = set()
    after = 0
    while page := await store.changes(SYSTEM, after=after, limit=1000):
        for version in page:
            live.add(f"{version.type}/{version.id}")
            pointed |= {found.decode() for found in REFERENCE.findall(version.body or b"")}
        after = page[-1].seq
    return pointed - live


def clock() -> Callable[[], int]:
    ticks = count(NOW, 1000)
    return lambda: next(ticks)


async def send_all(service: FeedService, messages: list[tuple[str, bytes]]) -> list[Sent]:
    """Send over one connection, each when the one before is answered; some ask for no answer."""
    port = service.listeners[0].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    codes = []
    for _, body in messages:
        writer.write(frame(body))
        answers = [await one_answer(reader) for _ in range(answers_asked(body))]
        codes.append(answers[-1] if answers else "")
    await service.settle()
    writer.close()
    await writer.wait_closed()
    entries = [entry async for entry in service.inbox.walk()][-len(messages) :]
    rows = zip(messages, codes, entries, strict=True)
    return [Sent(file, body, code, entry) for (file, body), code, entry in rows]


async def one_answer(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(30):
        answer = (await reader.readuntil(b"\x1c\r"))[1:-2]
    return answer.split(b"\rMSA", 1)[1].split(answer[3:4])[1].decode()


def answers_asked(body: bytes) -> int:
    header = read_header(body)
    assert header is not None
    return wants_accept(header, "CA") + wants_application(header, "AA")


async def counts(store: SqliteStore) -> Counter[str]:
    made: Counter[str] = Counter()
    after = 0
    while page := await store.changes(SYSTEM, after=after, limit=1000):
        made.update(version.type for version in page if version.number == 1)
        after = page[-1].seq
    return made


@pytest.fixture(scope="module")
def sent(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Sent], list[Sent], Counter[str], Counter[str]]:
    """The folder sent once, and once more; the resources after each."""
    messages = distinct(folder(shared_data))

    async def run() -> tuple[list[Sent], list[Sent], Counter[str], Counter[str]]:
        now = clock()
        file = tmp_path_factory.mktemp("feed") / "record.db"
        store = SqliteStore(file, now=now, index=index, fingerprint="test")
        service = FeedService(Services(store, BASE, now, new_id, b"k"), load_maps(), [Port()])
        await service.start()
        try:
            first = await send_all(service, messages)
            after_first = await counts(store)
            resent = [(f, again(body, n)) for n, (f, body) in enumerate(messages)]
            second = await send_all(service, resent)
            assert await dangling(store) == set()
            return first, second, after_first, await counts(store)
        finally:
            await service.stop()
            await store.close()

    return asyncio.run(run())


def distinct(messages: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Leave out what two projects both have, byte for byte: it is one message to the inbox."""
    return list({body: (file, body) for file, body in messages}.values())


Result = tuple[list[Sent], list[Sent], Counter[str], Counter[str]]


def test_every_message_is_applied_or_in_quarantine_with_its_reason(sent: Result) -> None:
    first = sent[0]
    assert len(first) > 400
    assert {one.entry.state for one in first} <= {"applied", "quarantined"}
    assert [
        one.file for one in first if one.entry.state == "quarantined" and not one.entry.reason
    ] == []
    assert {one.code for one in first} <= {"AA", "CA", ""}


def test_98_of_100_messages_that_name_their_patient_are_applied(sent: Result) -> None:
    identified = [one for one in sent[0] if one.identified]
    left = [
        (o.file, o.entry.reason, o.entry.problem) for o in identified if o.entry.state != "applied"
    ]
    assert len(left) <= 0.02 * len(identified), left


def test_sending_the_folder_again_adds_no_resource(sent: Result) -> None:
    _, second, before, after = sent
    del before["Provenance"], after["Provenance"]
    assert after == before
    assert len(second) == len(sent[0])
