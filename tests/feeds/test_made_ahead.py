"""What is made with its plan, before its turn, keeps the order of its lane."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.access.context import SYSTEM
from server.feeds import makers
from server.feeds.framing import frame
from server.feeds.maker_process import Site, starter
from server.feeds.service import FeedService, Port
from server.fhir import json as fhir_json
from server.interactions.services import Policy
from tests.feeds.conftest import BASE
from tests.feeds.test_makers import MAPS, Beside, beside
from tests.feeds.test_service import message

MESSAGES = 24


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Beside]:
    async with beside(tmp_path) as made:
        yield made


async def exchange(port: int, bodies: list[bytes]) -> list[bytes]:
    """Send all at once over one connection; return the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(frame(body) for body in bodies))
    answers = [await reader.readuntil(b"\x1c\r") for _ in bodies]
    writer.close()
    return answers


async def names(there: Beside) -> dict[str, list[str]]:
    """Return the family names of each patient's versions, oldest first, by number."""
    found: dict[str, list[str]] = {}
    for version in reversed(await there.services.store.history(SYSTEM, "Patient", limit=1000)):
        resource = fhir_json.loads(version.body or b"{}")
        number = resource["identifier"][0]["value"]
        found.setdefault(number, []).append(resource["name"][0]["family"])
    return found


async def test_of_one_patient_each_message_follows_the_one_before(
    there: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makers, "BUSY", 0)
    monkeypatch.setattr(makers, "ONLY_PLANNED", 0)
    site = Site(tmp_path / "record.db", BASE, "UTC", True, Policy(), None)
    service = FeedService(there.services, MAPS, [Port()], processes=1, start=starter(site))
    await service.start()
    assert service.makers is not None
    port = service.listeners[0].port
    # What says what the record said two messages ago would change nothing, made too soon.
    turns = [f"{'Doe' if n % 2 else 'Roe'}^Jane" for n in range(MESSAGES)]
    one = [message(f"a{n}", mrn="1", name=name, type_="ADT^A08") for n, name in enumerate(turns)]
    many = [message(f"b{n}", mrn=f"m{n}", name=f"N{n}^Jane") for n in range(MESSAGES)]
    try:
        await exchange(port, [message("first", mrn="1", name="Doe^Jane")])
        async with asyncio.timeout(30):
            while not service.makers.pids:  # noqa: ASYNC110 - there is nothing to wait for
                await asyncio.sleep(0.05)
        answers = await asyncio.gather(exchange(port, one), exchange(port, many))
        found = await names(there)
    finally:
        await service.stop()

    assert all(b"MSA|AA" in answer for side in answers for answer in side)
    assert found.pop("1") == ["Doe", *(name[:3] for name in turns)]
    assert found == {f"m{n}": [f"N{n}"] for n in range(MESSAGES)}
    assert service.makers.planned > MESSAGES
    assert service.makers.made > MESSAGES
