"""What nobody means to store or to ask for, and what a database might take for its own words."""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, get_args

import pytest

from server.access.context import SYSTEM
from server.fhir.errors import FhirError
from server.search.query import (
    Comparator,
    DateIs,
    HasKey,
    IdIs,
    NumberIs,
    Predicate,
    Query,
    SortKey,
    StringIs,
    TextIs,
    TextOp,
    UpdatedIs,
    Words,
)
from server.search.rows import MAX_TIME, MIN_TIME, IndexRows, param_hash, whole
from server.store.port import RecordWrite, Store, Write
from tests.contract.made import ids, observation, patient, put

NO_ROWS = IndexRows(frozenset())
TEXTS = (
    ".*", "a.b", "(", "[", "\\", "\\q", "^a$", "a|b", "$ne", "a\0b", "a\nb", "%", "_", "a*",
    "(?i)x", "{1}", "#x", "é", "𝔘", "\U0010ffff", "\uffff", '"', "'; --", "\x7f",
)  # fmt: skip


async def found(store: Store, where: Predicate, type_: str = "Patient") -> list[str]:
    return sorted(ids((await store.search(SYSTEM, Query((type_,), where), limit=50)).versions))


def family(id_: str, name: str) -> tuple[Write, str]:
    """Return a patient, and the family name as it is kept to be searched."""
    made = patient(id_, name=[{"family": name}])
    place = param_hash("Patient", "family")
    (kept,) = (value for p, value in whole(made.rows or NO_ROWS).strings if p == place)
    return made, kept


async def test_names_that_mean_something_to_a_database_are_only_names(store: Store) -> None:
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": "a",
        "$set": {"a.b": 1, "": 2, "$where": "sleep(1000)"},
        "_id": "Patient/b",
        "x\0y": "\0",
        "a.$[].b": [{"$oid": "0" * 24}],
        "number": 10**18,
    }
    (made,) = await store.commit([put(resource)])

    kept = await store.read(SYSTEM, "Patient", "a")
    assert kept is not None
    assert kept.body is not None
    assert kept.body == made.body
    stored = json.loads(kept.body)
    del stored["meta"]
    assert stored == resource
    assert await store.verify() == []


async def test_texts_are_looked_for_as_they_are(store: Store) -> None:
    made = {f"it{n}": family(f"it{n}", f"m{text}") for n, text in enumerate(TEXTS)}
    made |= {f"in{n}": family(f"in{n}", f"x{text}y") for n, text in enumerate(TEXTS)}
    await store.commit([write for write, _ in made.values()])
    kept = {id_: value for id_, (_, value) in made.items()}
    ways: dict[TextOp, Callable[[str, str], bool]] = {
        "is": str.__eq__,
        "starts": str.startswith,
        "ends": str.endswith,
        "contains": str.__contains__,
    }

    for op, way in ways.items():
        for text in {value[1:] for id_, value in kept.items() if id_.startswith("it")} - {""}:
            wanted = sorted(id_ for id_, value in kept.items() if way(value, text))
            asked = StringIs("Patient", "family", op, (text,))
            assert await found(store, asked) == wanted, (op, text)


async def test_a_version_of_a_number_beyond_all_is_not_there(store: Store) -> None:
    await store.commit([patient("a")])

    for number in (2**70, 2**63, 2**63 - 1, 0, -1, -(2**63), -(2**70)):
        assert await store.vread(SYSTEM, "Patient", "a", number) is None


async def test_places_in_the_feed_at_the_ends_of_what_numbers_can_be(store: Store) -> None:
    await store.commit([patient("a")])
    last, first = 2**63 - 1, -(2**63)

    assert ids(await store.history(SYSTEM, before=last, since=first, until=last, limit=9)) == ["a"]
    assert await store.history(SYSTEM, before=first, limit=9) == []
    assert await store.history(SYSTEM, since=last, limit=9) == []
    assert await store.changes(SYSTEM, after=last, limit=9) == []
    assert ids(await store.changes(SYSTEM, after=first, limit=9)) == ["a"]
    assert await store.digests("Patient", after=last, limit=9) == []
    assert await store.outbox(after=last) == []
    assert await store.trim_outbox(last) == 0


@pytest.mark.parametrize("value", ["1e40", "-1e40", "1e400", "1e-400"])
async def test_values_beyond_those_of_a_database_are_compared(store: Store, value: str) -> None:
    await store.commit([observation("o", valueQuantity={"value": Decimal(value)})])
    ends = float("-inf"), float("inf")

    answers = {
        op: await found(
            store, NumberIs("Observation", "value-quantity", op, *ends, ""), "Observation"
        )
        for op in get_args(Comparator)
    }

    assert {op for op, answer in answers.items() if answer} == {"eq", "ge", "le", "ap"}


async def test_times_at_the_ends_of_the_calendar_are_compared_and_sorted(store: Store) -> None:
    await store.commit(
        [
            observation("old", effectiveDateTime="0001-01-01"),
            observation("far", effectiveDateTime="9999-12-31T23:59:59.999Z"),
            observation("none"),
        ]
    )

    for op in get_args(Comparator):
        asked = DateIs("Observation", "date", op, MIN_TIME, MAX_TIME)
        wanted = ["far", "old"] if op in ("eq", "ge", "le", "ap") else []
        assert await found(store, asked, "Observation") == wanted, op
        updated = UpdatedIs(op, MIN_TIME + 1000, MAX_TIME - 1000)
        wanted = ["far", "none", "old"] if op in ("eq", "ge", "le", "ap") else []
        assert await found(store, updated, "Observation") == wanted, op
    for descending, order in ((True, ["far", "old"]), (False, ["old", "far"])):
        sort = (SortKey("date", "date", descending=descending),)
        page = await store.search(SYSTEM, Query(("Observation",)), sort=sort, limit=2)
        rest = await store.search(
            SYSTEM, Query(("Observation",)), sort=sort, limit=2, after=page.after
        )
        assert ids(page.versions) + ids(rest.versions) == [*order, "none"]


async def test_records_have_any_key(store: Store) -> None:
    keys = ["a\tb", "\t", "$x", "a.b", "a\0b", "\U0010ffff", "\uffff", "é", "a\n", "m"]
    await store.commit([], records=[RecordWrite("job2", "x", b""), RecordWrite("jo", "b", b"")])
    for key in keys:
        await store.commit([], records=[RecordWrite("job", key, key.encode(), tag="$t")])

    assert [one.key for one in await store.find_records("job")] == sorted(keys)
    assert [one.key for one in await store.find_records("job", tag="$t")] == sorted(keys)
    for key in keys:
        kept = await store.take_record("job", key)
        assert kept is not None
        assert kept.value == key.encode()


async def test_half_a_character_stops_nobody(store: Store) -> None:
    half = "a\ud800"

    async def tried(work: Awaitable[Any]) -> None:
        with suppress(FhirError, UnicodeEncodeError):
            await work

    await tried(found(store, StringIs("Patient", "family", "is", (half,))))
    await tried(found(store, StringIs("Patient", "family", "contains", (half,))))
    await tried(found(store, TextIs("Patient", "gender", "contains", (half,))))
    await tried(found(store, IdIs((half,))))
    await tried(found(store, HasKey((f"Patient|gender|c|{half}",))))
    await tried(found(store, Words("content", ((half,),))))
    await tried(store.read(SYSTEM, "Patient", half))
    await tried(store.commit([], records=[RecordWrite("job", half, b"")]))

    (made,) = await store.commit([patient("a")])
    assert await store.read(SYSTEM, "Patient", "a") == made
