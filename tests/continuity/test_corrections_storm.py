"""Many corrections for many readers: bounded, each told once, and gone on with (C11)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import AccessContext, Permit
from server.continuity.citations import Cited, remember
from server.continuity.corrections.watch import Corrections
from server.fhir.errors import StoreUnavailable
from server.store.port import Store
from tests.continuity.extracting import put
from tests.continuity.stores import EVERY, house_on
from tests.rest.house import House

READERS, VERSIONS = 12, 30


def reader(number: int) -> AccessContext:
    return AccessContext(f"user/u{number}", "app", (Permit("*"),), person=f"Practitioner/u{number}")


async def rights(principal: str) -> AccessContext | None:
    return reader(int(principal.removeprefix("user/u")))


@dataclass
class Storm:
    house: House
    client: httpx.AsyncClient

    def watcher(self, store: Any = None, **more: Any) -> Corrections:
        services = self.house.services
        if store is not None:
            services = replace(services, store=store)
        return Corrections(services, rights, owner="one", **more)

    async def write(self, value: int, *, at_once: int = 1) -> None:
        for first in range(0, VERSIONS, at_once):
            numbers = range(first, first + at_once)
            entries = [
                {
                    "resource": observation(number, value),
                    "request": {"method": "PUT", "url": f"Observation/w{number}"},
                }
                for number in numbers
            ]
            self.house.clock.at += 1_000
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await self.client.post("/", json=bundle)
            assert answer.status_code == 200, answer.text

    async def told(self) -> dict[str, list[list[str]]]:
        """Return what each message is about, by recipient."""
        found: dict[str, list[list[str]]] = {}
        url = "/Communication?_count=1000"
        for entry in (await self.client.get(url)).json().get("entry", ()):
            one = entry["resource"]
            about = sorted(each["reference"] for each in one["about"])
            found.setdefault(one["recipient"][0]["reference"], []).append(about)
        return found


def observation(number: int, value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"w{number}",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": "Patient/a"},
        "valueQuantity": {"value": value},
    }


async def look(watcher: Corrections) -> None:
    while await watcher.step():
        pass


@pytest.fixture(params=EVERY)
async def storm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storm]:
    async with house_on(request.param, tmp_path) as house, house.client() as client:
        made = Storm(house, client)
        await put(client, {"resourceType": "Patient", "id": "a"})
        await made.write(70, at_once=VERSIONS)
        await look(made.watcher())
        sources = frozenset(f"Observation/w{number}/_history/1" for number in range(VERSIONS))
        for number in range(READERS):
            access = reader(number)
            at, person = house.clock(), access.person
            shown = Cited("story", "Patient/a", sources, at, access.principal, person)
            await remember(house.services, access, shown)
        await look(made.watcher())
        yield made


ALL = sorted(f"Observation/w{number}/_history/2" for number in range(VERSIONS))


@pytest.mark.parametrize("at_once", [1, VERSIONS])
async def test_what_is_looked_at_at_once_is_one_message_for_each_reader(
    storm: Storm, at_once: int
) -> None:
    await storm.write(7, at_once=at_once)

    await look(storm.watcher())
    await look(storm.watcher())

    assert await storm.told() == {f"Practitioner/u{n}": [ALL] for n in range(READERS)}


async def test_what_does_not_fit_into_memory_is_told_in_parts_and_only_once(storm: Storm) -> None:
    await storm.write(7, at_once=VERSIONS)

    await look(storm.watcher(most=READERS * 10))

    told = await storm.told()
    assert {who: len(parts) for who, parts in told.items()} == {
        f"Practitioner/u{n}": 3 for n in range(READERS)
    }
    assert [sorted(chain(*parts)) for parts in told.values()] == [ALL] * READERS


class Dying:
    """A store that fails from the nth commit on, as a process that is killed there."""

    def __init__(self, store: Store, commits: int) -> None:
        self._store, self._left = store, commits

    async def commit(self, *args: Any, **more: Any) -> Any:
        if self._left == 0:
            raise StoreUnavailable("killed")
        self._left -= 1
        return await self._store.commit(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("commits", [0, 1, 2])
async def test_who_goes_on_after_a_death_tells_the_rest_and_nothing_twice(
    storm: Storm, commits: int
) -> None:
    await storm.write(7, at_once=VERSIONS)
    with pytest.raises(StoreUnavailable):
        await look(storm.watcher(Dying(storm.house.store, commits), most=READERS * 10))

    await look(storm.watcher(most=READERS * 10))

    told = await storm.told()
    assert [sorted(chain(*parts)) for parts in told.values()] == [ALL] * READERS


async def test_a_showing_of_more_than_fits_into_one_record_is_kept_whole(
    storm: Storm,
) -> None:
    access = AccessContext("user/u99", "app", (Permit("*"),), person="Practitioner/u99")
    sources = frozenset(f"Observation/w{number}/_history/1" for number in range(2_500))
    at = storm.house.clock()
    shown = Cited("summary", "Patient/a", sources, at, access.principal, access.person)
    await remember(storm.house.services, access, shown)
    await storm.write(7, at_once=VERSIONS)

    await look(storm.watcher())

    assert (await storm.told())["Practitioner/u99"] == [ALL]


class Broken(Dying):
    """A store with a version that a bug of ours cannot read."""

    async def vread(self, access: AccessContext, type_: str, id_: str, number: int) -> Any:
        if (id_, number) == ("w3", 1):
            raise KeyError("a bug")
        return await self._store.vread(access, type_, id_, number)


async def test_a_version_that_cannot_be_understood_keeps_no_other_one_untold(
    storm: Storm, caplog: pytest.LogCaptureFixture
) -> None:
    await storm.write(7, at_once=VERSIONS)

    await look(storm.watcher(Broken(storm.house.store, 1_000)))

    rest = [[one for one in ALL if one != "Observation/w3/_history/2"]]
    assert await storm.told() == {f"Practitioner/u{n}": rest for n in range(READERS)}
    assert "corrections pass over Observation/w3/_history/2: KeyError" in caplog.text


async def test_being_linked_to_a_relatives_record_is_no_merge(storm: Storm) -> None:
    await put(storm.client, {"resourceType": "Patient", "id": "b"})
    link = [{"other": {"reference": "Patient/b"}, "type": "seealso"}]
    await put(storm.client, {"resourceType": "Patient", "id": "a", "link": link})

    await look(storm.watcher())

    assert await storm.told() == {}
