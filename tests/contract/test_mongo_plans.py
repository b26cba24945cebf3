"""What searches look at in a MongoDB of 20,000 resources, as its profiler counts it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient

from server.access.context import SYSTEM
from server.fhir.errors import DeadlineExceeded
from server.search.parse import parse_search
from server.search.query import Query, StringIs
from server.search.rows import IndexRows, hash64, key_hash, param_hash
from server.store.codec import RAW
from server.store.mongo import MongoStore, look
from server.store.mongo.layout import Birth, Stored, index_fields, resource_document
from server.store.port import Page, Version
from tests import mongod
from tests.contract.made import Clock, index, patient, within

PATIENTS = 100
EACH = 200
CODES = 4
DAY = 86_400_000_000
PAGE = 20
DATE = param_hash("Observation", "date")


def observation(number: int) -> dict[str, Any]:
    """Return a document as a commit makes it; 20,000 commits would take a minute."""
    owner = f"Patient/p{number % PATIENTS}"
    at = number * DAY // 10
    keys = ("Observation", f"Observation|code|c|{number // PATIENTS % CODES}")
    refers = (param_hash("Observation", "patient"), hash64(owner))
    mark = key_hash(f"compartment|{owner}")
    rows = IndexRows(
        keys=frozenset({*map(key_hash, keys), refers[0] ^ refers[1], mark}),
        date=at,
        dates=((DATE, at, at + DAY),),
        references=(refers,),
        strings=((param_hash("Observation", "x"), f"text {number}"),),
    )
    id_ = f"o{number:05}"
    version = Version("Observation", id_, 1, 1000 + number, 1000 + number, "PUT", b"{}")
    birth = Birth(version.seq, version.at)
    indexed = index_fields(rows, "Observation", id_, (mark,), birth, words=False)
    return resource_document(version, birth, (mark,), Stored(RAW, b"{}"), indexed)


class Clinic:
    """A store, and what its database says of its questions."""

    def __init__(self, store: MongoStore, database: Any) -> None:
        self.store, self._database = store, database

    async def page(self, text: str, *, after: Any = None, access: Any = SYSTEM) -> Page:
        type_, _, rest = text.partition("?")
        pairs = [(n, v) for n, _, v in (one.partition("=") for one in rest.split("&")) if n]
        asked = parse_search(type_, pairs, default_count=PAGE, max_count=100)
        return await self.store.search(
            access, asked.query, sort=asked.sort, limit=PAGE, after=after
        )

    async def looked_at(self, text: str, **more: Any) -> tuple[int, int, Page]:
        """Return how many keys and documents were examined for a page.

        Counts are included; of a list that is long they go up to 1,000 keys, once a minute.
        """
        self._database.command("profile", 0)
        self._database.drop_collection("system.profile")
        self._database.command("profile", 2)
        page = await self.page(text, **more)
        self._database.command("profile", 0)
        told = [one for one in self._database["system.profile"].find() if "keysExamined" in one]
        assert not any("COLLSCAN" in one.get("planSummary", "") for one in told)
        return (
            sum(one["keysExamined"] for one in told),
            sum(one["docsExamined"] for one in told),
            page,
        )


@pytest.fixture(scope="module")
async def clinic() -> AsyncIterator[Clinic]:
    name = mongod.take()
    store = MongoStore(mongod.url(), name, now=Clock(), index=index, fingerprint="1")
    people = [
        patient(f"p{n}", name=[{"family": f"family {n:03}"}], gender=["male", "female"][n % 2])
        for n in range(PATIENTS)
    ]
    await store.commit(people)
    with MongoClient[dict[str, Any]](mongod.url()) as client:
        database = client[name]
        made = map(observation, range(PATIENTS * EACH))
        database["resources"].insert_many(made, ordered=False)
        yield Clinic(store, database)
        database.drop_collection("system.profile")
    await store.close()
    mongod.drop(name)


SHAPES = {
    "newest of a patient": ("Observation?patient=Patient/p7", 230, 25, 20),
    "newest of a patient, by date": ("Observation?patient=Patient/p7&_sort=-date", 230, 25, 20),
    "a code of a patient": ("Observation?patient=Patient/p7&code=1", 300, 100, 20),
    "a code of a patient, by date": (
        "Observation?patient=Patient/p7&code=1&_sort=-date",
        300,
        100,
        20,
    ),
    "a patient by id": ("Patient?_id=p3", 10, 5, 1),
    "patients of a name": ("Patient?family=family 01", 150, 30, 10),
    "of patients of a name": ("Observation?patient.family=family 017", 1300, 30, 20),
    "patients who have a code": ("Patient?_id=p7&_has:Observation:patient:code=1", 1500, 210, 1),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_a_page_looks_at_little_more_than_itself(clinic: Clinic, name: str) -> None:
    asked, keys, documents, found = SHAPES[name]

    looked = await clinic.looked_at(asked)

    assert looked[0] <= keys
    assert looked[1] <= documents
    assert len(looked[2].versions) == found


BROAD = {
    "newest of all": ("Observation", 30),
    "newest of all, by date": ("Observation?_sort=-date", 30),
    "newest of a common code": ("Observation?code=2&_sort=-date", 30),
    "all by their last change": ("Observation?_sort=-_lastUpdated", 30),
    "newest of a code of many patients": ("Observation?patient:Patient.gender=male&code=2", 400),
}


@pytest.mark.parametrize("name", BROAD)
async def test_a_walk_of_long_lists_ends_with_its_page(clinic: Clinic, name: str) -> None:
    """How long they are is counted once in a while, which is not looked at here."""
    asked, most = BROAD[name]
    await clinic.page(asked)

    keys, documents, page = await clinic.looked_at(asked)

    assert keys <= most
    assert documents <= most
    assert len(page.versions) == PAGE


async def test_a_far_page_costs_as_much_as_the_first(clinic: Clinic) -> None:
    asked, after, seen = "Observation?code=2&_sort=-date", None, 0
    for _ in range(5):
        page = await clinic.page(asked, after=after)
        after, seen = page.after, seen + len(page.versions)

    keys, documents, page = await clinic.looked_at(asked, after=after)

    assert (seen, len(page.versions)) == (100, PAGE)
    assert keys <= 30
    assert documents <= 30


async def test_a_patient_walks_their_own_list(clinic: Clinic) -> None:
    own = within("Patient/p5")

    keys, documents, page = await clinic.looked_at("Observation?_sort=-date", access=own)

    assert keys <= 230
    assert documents <= 30
    assert {version.id[-2:] for version in page.versions} == {"05"}


async def test_a_search_that_takes_too_long_is_ended_by_the_database_and_told_its_plan(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = StringIs("Observation", "x", "contains", ("no such text",))
    monkeypatch.setattr(look.Look, "left_ms", lambda _: 1)

    with pytest.raises(DeadlineExceeded) as told:
        await clinic.store.search(SYSTEM, Query(("Observation",), asked), limit=5)

    assert "the search ran longer than 10 s; narrow it by a patient" in str(told.value)
    assert "Observation|x contains no such text" in str(told.value)


async def test_a_list_that_does_not_end_soon_is_weighed_against_others(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "Observation?patient=Patient/p9&code=3&_sort=-date"
    at_once = await clinic.page(asked)
    tried: list[int] = []

    @contextmanager
    def took_longer(_: look.Look, patience_ms: int) -> Iterator[None]:
        tried.append(patience_ms)
        raise look.TookLonger
        yield

    monkeypatch.setattr(look.Look, "patient", took_longer)

    assert await clinic.page(asked) == at_once
    assert tried == [20]


async def test_the_plan_tells_what_drives_and_how_much_was_looked_at(clinic: Clinic) -> None:
    search = parse_search(
        "Observation",
        [("patient", "Patient/p7"), ("code", "1"), ("_sort", "-date")],
        default_count=PAGE,
        max_count=100,
    )

    told = await clinic.store.explain(SYSTEM, search.query, sort=search.sort, limit=PAGE)

    assert [(step.does, step.what, step.estimated) for step in told.steps] == [
        ("drive", "Observation|patient|r|Patient/p7", 200),
        ("probe", "Observation|code|c|1", None),
        ("sort", "by -date: as the lists are kept", None),
        ("fetch", "bodies of the page", 20),
    ]
    assert 20 <= (told.steps[0].rows or 0) <= 100
