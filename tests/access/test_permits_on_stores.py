"""What permits open is the same on every store, and by every way: read, search and count."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.access.permits import permits
from server.access.person import Person
from server.access.policy import Policy
from server.access.scopes import parse
from server.fhir import definitions
from server.search.query import Query
from server.store.port import Store
from tests import mongod
from tests.access.records import NOON, context, seen
from tests.access.test_permits import ANNA, BERT, LAB_APP, MOTHER, OF_CHILD, RECORD, WARD
from tests.contract.conftest import STORES
from tests.contract.made import Clock, put

EVERY = tuple(sorted(definitions.resource_types()))
ALL = [one for one in (*RECORD, *OF_CHILD) if one["id"] != "anna-lab"] + [RECORD[2]]


@pytest.fixture(scope="module", params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
                ) -> AsyncIterator[Store]:  # fmt: skip
    folder: Path = tmp_path_factory.mktemp("permits")
    opened = STORES[request.param](folder, Clock(NOON))
    await opened.commit([put(one) for one in ALL])
    yield opened
    await opened.close()
    mongod.clean_up(opened)


@pytest.mark.parametrize(
    ("person", "scope", "patient"),
    [
        (ANNA, "patient/*.rs", "Patient/anna"),
        (ANNA, "patient/Encounter.rs patient/Organization.rs", "Patient/anna"),
        (ANNA, "patient/Observation.rs?category=laboratory", "Patient/anna"),
        (MOTHER, "user/*.cruds", None),
        (MOTHER, "patient/*.rs", "Patient/child"),
        (BERT, "user/*.cruds", None),
        (BERT, "patient/*.rs", "Patient/zoe"),
        (WARD, "user/*.rs", None),
        (WARD, "patient/*.rs", "Patient/anna"),
        (LAB_APP, "system/*.rs", None),
        (Person("root", ("admin",)), "user/*.rs", None),
    ],
)
async def test_every_store_and_every_way_opens_the_same(
    policy: Policy, store: Store, person: Person, scope: str, patient: str | None
) -> None:
    access = context(permits(policy, person, parse(scope), patient, NOON))
    expected = seen(access.permits, ALL)
    places = [(one["resourceType"], one["id"]) for one in ALL]

    read = [place for place in places if await store.read(access, *place) is not None]
    many = await store.read_many(access, places)
    page = await store.search(access, Query(EVERY), limit=100)
    count = await store.count(access, Query(EVERY))

    assert {"/".join(place) for place in read} == expected
    assert {"/".join(place) for place in many} == expected
    assert {f"{one.type}/{one.id}" for one in page.versions} == expected
    assert count == len(expected)
