"""What a correction costs does not grow with what was shown beside it (C11)."""

from pathlib import Path
from time import process_time

import orjson
import pytest

from server.access.context import AccessContext
from server.continuity.citations import SHOWN, Cited, Showings, remember
from server.continuity.corrections.watch import Corrections
from server.continuity.showing import unpack
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.memory import MemoryStore
from server.store.port import RecordWrite, Version
from tests.continuity.test_corrections_storm import look, observation, reader, rights
from tests.rest.house import BASE, STORES, Clock, index

READERS = 10


class Shown:
    """A record of so many resources, all of which were shown to ten readers."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.clock = Clock()
        self.store = STORES["sqlite"](folder, self.clock)
        self._made = 0
        self.services = Services(self.store, BASE, self.clock, self._id, b"k" * 32)
        self.watcher = Corrections(self.services, rights, owner="one")
        self._size = size

    def _id(self) -> str:
        self._made += 1
        return f"n{self._made}"

    async def fill(self) -> None:
        await self.store.commit(
            [to_write({"resourceType": "Patient", "id": "a"}, base_url=BASE, method="PUT")]
        )
        await look(self.watcher)
        for first in range(0, self._size, 1_000):
            await self.correct(range(first, min(first + 1_000, self._size)), 70)
        await look(self.watcher)
        sources = frozenset(f"Observation/w{n}/_history/1" for n in range(self._size))
        for number in range(READERS):
            who, at = reader(number), self.clock()
            shown = Cited("story", "Patient/a", sources, at, who.principal, who.person)
            await remember(self.services, who, shown)
        await look(self.watcher)

    async def correct(self, numbers: range, value: int) -> None:
        self.clock.at += 1_000
        await self.store.commit(
            [to_write(observation(n, value), base_url=BASE, method="PUT") for n in numbers]
        )

    async def one_by_one(self, count: int) -> float:
        """Return the CPU seconds that a look at one correction takes, the least of all."""
        least = float("inf")
        for number in range(count):
            await self.correct(range(number, number + 1), 100)
            begun = process_time()
            await look(self.watcher)
            least = min(least, process_time() - begun)
        return least

    @property
    def messages(self) -> int:
        return self._made


@pytest.mark.soak
async def test_a_thousand_corrections_of_ten_thousand_resources(tmp_path: Path) -> None:
    small, large = Shown(tmp_path / "small", 1_000), Shown(tmp_path / "large", 10_000)
    await small.fill()
    await large.fill()

    await large.correct(range(1_000), 7)
    await look(large.watcher)
    assert large.messages == READERS  # one for each, and not ten thousand

    of_small, of_large = await small.one_by_one(20), await large.one_by_one(20)
    assert large.messages == READERS + 20 * READERS
    assert of_large < 4 * of_small  # measured 1.9; reading all that was shown made it 10
    await small.store.close()
    await large.store.close()


class Reading(MemoryStore):
    """Counts the earlier versions that are read."""

    read_again = 0

    async def vread(
        self, access: AccessContext, type_: str, id_: str, number: int
    ) -> Version | None:
        self.read_again += 1
        return await super().vread(access, type_, id_, number)


async def test_before_anything_was_shown_nothing_is_compared() -> None:
    clock = Clock()
    store = Reading(now=clock, index=index, fingerprint="test")
    services = Services(store, BASE, clock, lambda: "n", b"k" * 32)
    watcher = Corrections(services, rights, owner="one")
    await look(watcher)

    async def correct(value: int) -> None:
        clock.at += 1_000
        made = to_write(observation(0, value), base_url=BASE, method="PUT")
        await store.commit([made])
        await look(watcher)

    await correct(70)
    await correct(71)
    assert store.read_again == 0
    shown = Cited(
        "story", "Patient/a", frozenset(["Observation/w0/_history/2"]), clock(), "user/u0"
    )
    await remember(services, reader(0), shown)
    await correct(72)
    assert store.read_again > 0


async def test_what_was_kept_in_one_piece_is_still_found(tmp_path: Path) -> None:
    house = Shown(tmp_path / "old", 3)
    await house.fill()
    (held, *_) = await house.store.find_records(SHOWN, tag="Patient/a", limit=1)
    whole = orjson.dumps({k: v for k, v in unpack(held.value).items() if k != "at"})
    await house.store.commit(
        [], records=[RecordWrite(SHOWN, held.key, whole, "Patient/a", if_rev=held.rev)]
    )

    showings = Showings(house.services, {"Observation/w1"})
    found = await showings.of("Observation/w1", ["Patient/a"])

    assert sorted(one.reader for one in found) == [f"user/u{n}" for n in range(READERS)]
    assert {tuple(one.versions) for one in found} == {(1,)}
    await house.store.close()


def test_one_of_many_is_found_as_all_of_few_are() -> None:
    lines = b"".join(b'Observation/w%d\t{"v":{"1":5},"p":[""]}\n' % n for n in range(100))
    stored = b'{"reader":"user/a","at":5}\n' + lines
    one = {"v": {"1": 5}, "p": [""]}
    assert unpack(stored, {"Observation/w1"})["of"] == {"Observation/w1": one}
    wanted = {f"Observation/w{n}" for n in range(1, 200, 2)}
    assert len(unpack(stored, wanted)["of"]) == 50
    assert len(unpack(stored)["of"]) == 100
