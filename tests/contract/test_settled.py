"""What limits lead to stays right behind many commits and in little room, on SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.fhir.errors import TooCostly
from server.search.query import HasKey, Query
from server.store.sqlite import SqliteStore, counts, settled
from tests.contract.limited import holding, shared_with
from tests.contract.made import Clock, ids, index, put
from tests.contract.test_limits import OBSERVATIONS, WARD, observation, patient, practitioner, stay


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "record.db", now=Clock(), index=index, fingerprint="1")
    yield opened
    await opened.close()


async def keep(store: SqliteStore, *resources: dict[str, Any]) -> None:
    await store.commit([put(resource) for resource in resources])


async def wards(store: SqliteStore) -> list[str]:
    return sorted(ids((await store.search(WARD, OBSERVATIONS, limit=999)).versions))


@pytest.mark.parametrize("others", [1, settled.MAX_CHANGES, settled.MAX_CHANGES + 1])
async def test_a_stay_among_many_other_commits_is_noticed(store: SqliteStore, others: int) -> None:
    await keep(store, patient("a"), patient("b"), stay("e", "a"), observation("oa"))
    assert await wards(store) == ["oa"]

    await keep(store, *(practitioner(f"p{n}") for n in range(others - 1)), stay("e", "b"))

    assert await wards(store) == []
    await keep(store, observation("ob", subject="b"))
    assert await wards(store) == ["ob"]


@pytest.mark.parametrize("patients", [20, 60, 420])
async def test_however_many_patients_there_are_they_open_the_same(
    store: SqliteStore, patients: int
) -> None:
    """Few are walked list by list, of more each row is asked."""
    names = [f"n{n:03}" for n in range(patients)]
    await keep(store, *map(patient, names), *(stay(f"e-{name}", name) for name in names[::2]))
    await keep(store, *(observation(f"o-{name}", subject=name) for name in names))

    assert await wards(store) == [f"o-{name}" for name in names[::2]]
    assert await store.count(WARD, OBSERVATIONS) == patients / 2
    coded = Query(("Observation",), HasKey((f"Observation|subject|r|Patient/{names[1]}",)))
    assert await store.count(WARD, coded) == 0


async def test_with_no_room_to_keep_anything_the_answer_is_the_same(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "MAX_VALUES", 205)  # two small sets
    performer = [{"reference": "Practitioner/p"}]
    await keep(store, practitioner("p"), *(patient(f"n{n}") for n in range(5)))
    await keep(store, *({**observation(f"o{n}", subject=f"n{n}")} for n in range(5)))
    await keep(store, {**observation("o3", subject="n3"), "performer": performer})

    for _ in range(2):
        for number in range(5):
            access = holding(*shared_with(f"Patient/n{number}"))
            found = await store.search(access, Query(("Practitioner",)), limit=9)
            assert ids(found.versions) == (["p"] if number == 3 else [])


async def test_a_limit_to_more_patients_than_can_be_kept_is_told(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_MAX_COMPARTMENTS", 1)
    await keep(store, patient("a"), patient("b"), stay("ea", "a"))
    assert await wards(store) == []

    await keep(store, stay("eb", "b"))

    with pytest.raises(TooCostly, match="access is limited to over 1 Patient resources"):
        await wards(store)
