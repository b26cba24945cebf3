"""Who has an index key: what a search by it finds, without bodies."""

from server.access.context import SYSTEM
from server.search.query import HasKey, Query
from server.store.port import Held, Store
from tests.contract.made import deletion, observation, patient

ONE, TWO = "Patient|identifier|s|urn:x|1", "Patient|identifier|s|urn:x|2"
OF_A = "Observation|subject|r|Patient/a"


def numbered(*values: str) -> list[dict[str, str]]:
    return [{"system": "urn:x", "value": value} for value in values]


async def test_each_key_has_its_own_holders(store: Store) -> None:
    a, b, o = await store.commit(
        [
            patient("a", identifier=numbered("1")),
            patient("b", identifier=numbered("1", "2")),
            observation("o", "Patient/a"),
        ]
    )
    found = await store.holders([ONE, TWO, OF_A, "Patient|identifier|s|urn:x|3"], most=5)

    assert {key: set(held or ()) for key, held in found.items()} == {
        ONE: {Held("Patient", "a", a.seq), Held("Patient", "b", b.seq)},
        TWO: {Held("Patient", "b", b.seq)},
        OF_A: {Held("Observation", "o", o.seq)},
        "Patient|identifier|s|urn:x|3": set(),
    }


async def test_holders_are_those_of_this_moment(store: Store) -> None:
    await store.commit([patient("a", identifier=numbered("1"))])
    (second,) = await store.commit([patient("a", identifier=numbered("2"))])

    assert await store.holders([ONE, TWO], most=5) == {
        ONE: (),
        TWO: (Held("Patient", "a", second.seq),),
    }
    await store.commit([deletion("Patient", "a")])
    assert await store.holders([ONE, TWO], most=5) == {ONE: (), TWO: ()}
    assert await store.holders([], most=5) == {}


async def test_keys_that_nearly_all_have_are_found_or_left_to_a_search(store: Store) -> None:
    (a,) = await store.commit([patient("a", gender="male")])
    found = await store.holders(["Patient|gender|?", "Patient|gender|c|male"], most=5)

    assert found["Patient|gender|?"] in (None, (Held("Patient", "a", a.seq),))
    assert found["Patient|gender|c|male"] == (Held("Patient", "a", a.seq),)


async def test_more_holders_than_wanted_are_not_told(store: Store) -> None:
    await store.commit([patient(f"p{n}", identifier=numbered("1")) for n in range(4)])
    await store.commit([patient("q", identifier=numbered("2"))])

    assert (await store.holders([ONE], most=3))[ONE] is None
    crowded = await store.holders([ONE, TWO], most=1)
    assert [crowded[ONE], len(crowded[TWO] or ())] == [None, 1]
    assert len((await store.holders([ONE], most=4))[ONE] or ()) == 4
    assert (await store.search(SYSTEM, Query(("Patient",), HasKey((TWO,))), limit=2)).versions
