"""Acknowledged over MLLP means applied or in quarantine, once and in order, whatever is killed.

Every message of a patient has the same time, so that only the order of arrival can tell which
address is the last.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.feeds.framing import frame
from server.feeds.inbox import Entry, Inbox
from server.fhir import json as fhir_json
from server.store.port import Store, Version
from server.store.sqlite import SqliteStore
from tests.feeds.conftest import NOW, index
from tests.system import forked
from tests.system.process import Process, served

SENDERS = 8
WINDOW = 6  # messages that a sender leaves unanswered before it waits
PATIENTS = 4  # of each sender


def admission(sender: int, number: int) -> bytes:
    """The sender's message number ``number``: every tenth names no patient.

    Every other sender is told (CA) when its message is in the inbox, and not of the record.
    """
    enhanced = "|||AL|NE" if sender % 2 else ""
    patient = "" if number % 10 == 9 else f"{sender}-{number % PATIENTS}^^^H^MR"
    return (
        f"MSH|^~\\&|REG{sender}|H|||20260316080000||ADT^A08|{sender}-{number}|P|2.5{enhanced}\r"
        f"EVN|A08|20260316080000\r"
        f"PID|1||{patient}||Doe^Jane||19700101|F|||{number} Main St^^Town\r"
        f"PV1|1|I|W^{number}^1^H||||7^Doctor^Ann^^^^^^H||||||||||||V{sender}-{number % PATIENTS}\r"
    ).encode()


@dataclass
class Sender:
    """A sending system: sends in order, and again what was not acknowledged."""

    number: int
    messages: list[bytes]
    acknowledged: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> bool:
        return len(self.acknowledged) == len(self.messages)

    async def run(self, port: int, heard: Callable[[], None]) -> None:
        """Send until all is acknowledged or the server is gone."""
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await self._send(reader, writer, heard)
            finally:
                writer.close()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[], None]
    ) -> None:
        sent = len(self.acknowledged)
        while not self.done:
            upto = min(len(self.messages), len(self.acknowledged) + WINDOW)
            for body in self.messages[sent:upto]:
                writer.write(frame(body))
            sent = max(sent, upto)
            async with asyncio.timeout(30):
                answer = await reader.readuntil(b"\x1c\r")
            msa = answer.split(b"\rMSA|", 1)[1].split(b"\r", 1)[0].decode()
            code, control_id = msa.split("|")[:2]
            assert control_id == f"{self.number}-{len(self.acknowledged)}"
            self.acknowledged.append(control_id)
            self.codes[code] += 1
            heard()


async def send_until_killed(server: Process, senders: list[Sender], answers: int) -> None:
    """Send from all senders at once; kill the server after so many answers."""
    left = [answers]

    def heard() -> None:
        left[0] -= 1
        if left[0] == 0:
            server.popen.send_signal(signal.SIGKILL)

    await asyncio.gather(*(sender.run(server.mllp_port, heard) for sender in senders))


def in_file(data: Path) -> SqliteStore:
    return SqliteStore(
        data / "record.db", now=lambda: NOW, index=index, fingerprint="", beside=True
    )


async def found(store: Store) -> tuple[list[Entry], dict[str, list[Version]]]:
    """Return the inbox, and all versions in the record by ``Type/id``, oldest first."""
    try:
        inbox = Inbox(store, now=lambda: NOW, new_id=lambda: "")
        entries = [entry async for entry in inbox.walk()]
        versions: dict[str, list[Version]] = {}
        after = 0
        while page := await store.changes(SYSTEM, after=after, limit=1000):
            for version in page:
                versions.setdefault(f"{version.type}/{version.id}", []).append(version)
            after = page[-1].seq
        return entries, versions
    finally:
        await store.close()


def run(data: Path, messages: int, kills: int, seed: int) -> list[Sender]:
    """Have all messages acknowledged by a server that is killed again and again."""
    chance = random.Random(seed)
    senders = [
        Sender(n, [admission(n, m) for m in range(messages // SENDERS)]) for n in range(SENDERS)
    ]
    for _ in range(kills):
        with served(data, "--open") as server:
            answers = chance.randrange(1, 2 * messages // (kills + 1))
            asyncio.run(send_until_killed(server, senders, answers))
    with served(data, "--open") as server:
        asyncio.run(send_until_killed(server, senders, -1))
    return senders


def body(version: Version) -> dict[str, Any]:
    read: dict[str, Any] = fhir_json.loads(version.body or b"{}")
    return read


def check(data: Path, senders: list[Sender]) -> None:
    check_store(lambda: in_file(data), senders)
    verified = forked.tellonce("verify", "--data", data)
    assert verified.stdout == "sound\n"


def check_store(opened: Callable[[], Store], senders: list[Sender], *, alone: bool = True) -> None:
    """``alone``: nothing but the messages of the senders has written to the store."""

    async def read() -> tuple[list[Entry], dict[str, list[Version]]]:
        return await found(opened())

    entries, versions = asyncio.run(read())
    assert all(sender.done for sender in senders)
    assert sum((sender.codes for sender in senders), Counter()).keys() == {"AA", "CA"}

    states = {entry.control_id: (entry.state, entry.reason) for entry in entries}
    acknowledged = [id_ for sender in senders for id_ in sender.acknowledged]
    unidentified = {id_ for id_ in acknowledged if int(id_.split("-")[1]) % 10 == 9}
    assert states == {
        id_: ("quarantined", "patient-unidentified") if id_ in unidentified else ("applied", "")
        for id_ in acknowledged
    }
    assert len(entries) == len(acknowledged)  # none was taken for a second message

    produced = Counter(reference for entry in entries for reference in entry.produced)
    if not alone:
        known = {reference.partition("/_history/")[0] for reference in produced}
        versions = {place: all_ for place, all_ in versions.items() if place in known}
    assert set(produced.values()) == {1}
    stored = {
        f"{reference}/_history/{version.number}"
        for reference, all_ in versions.items()
        for version in all_
        if version.type not in ("Provenance", "AuditEvent")
    }
    assert produced.keys() == stored

    assert {last_number(all_): streets(all_) for all_ in patients(versions)} == {
        f"{sender.number}-{patient}": [
            f"{number} Main St"
            for number in range(len(sender.messages))
            if number % PATIENTS == patient and number % 10 != 9
        ]
        for sender in senders
        for patient in range(PATIENTS)
    }


def patients(versions: dict[str, list[Version]]) -> list[list[Version]]:
    return [all_ for reference, all_ in versions.items() if reference.startswith("Patient/")]


def last_number(all_: list[Version]) -> str:
    (identifier,) = body(all_[-1])["identifier"]
    return str(identifier["value"])


def streets(all_: list[Version]) -> list[str]:
    """The address of every version: each message changed it once, in its turn."""
    return [body(version)["address"][0]["line"][0] for version in all_]


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    check(tmp_path / "d", run(tmp_path / "d", messages=400, kills=4, seed=7))


@pytest.mark.soak
def test_what_was_acknowledged_survives_sigkill_many_times(tmp_path: Path) -> None:
    check(tmp_path / "d", run(tmp_path / "d", messages=5000, kills=20, seed=11))
