"""What each predicate finds, on every store; :mod:`server.search.match` says the same."""

from dataclasses import replace
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.search.query import (
    AllOf,
    AnyOf,
    CodesOf,
    DateIs,
    HasKey,
    Hop,
    IdIs,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
    StringIs,
    TextIs,
    Words,
)
from server.store.port import Store, Write
from tests.contract.made import deletion, ids, observation, patient, put, within

BY_ID = (SortKey("_id", "id"),)


async def found(store: Store, type_: str, where: Predicate) -> list[str]:
    query = Query((type_,), where)
    page = await store.search(SYSTEM, query, sort=BY_ID, limit=100)
    assert await store.count(SYSTEM, query) == len(page.versions)
    return ids(page.versions)


def named(id_: str, family: str, **more: Any) -> Write:
    return patient(id_, name=[{"family": family}], **more)


@pytest.fixture
async def people(store: Store) -> Store:
    await store.commit([named("a", "Abel"), named("b", "Babel"), named("c", "Ab"), patient("d")])
    return store


@pytest.mark.parametrize(
    ("op", "values", "expected"),
    [
        ("is", ("ab",), ["c"]),
        ("is", ("ab", "abel"), ["a", "c"]),
        ("starts", ("ab",), ["a", "c"]),
        ("contains", ("abel",), ["a", "b"]),
        ("ends", ("el",), ["a", "b"]),
        ("ends", ("babel", "ab"), ["b", "c"]),
        ("ends", ("a longer text than there is",), []),
        ("ends", ("",), ["a", "b", "c"]),
    ],
)
async def test_strings_are_compared_whole_and_at_their_ends(
    people: Store, op: Any, values: tuple[str, ...], expected: list[str]
) -> None:
    asked = StringIs("Patient", "family", op, values)

    assert await found(people, "Patient", asked) == expected
    assert await found(people, "Patient", AllOf((asked, IdIs(("b", "c"))))) == [
        id_ for id_ in expected if id_ in "bc"
    ]


def measured(id_: str, display: str, **more: Any) -> Write:
    coding = {"system": "http://loinc.org", "code": f"c-{id_}", "display": display}
    return put(
        {
            "resourceType": "Observation",
            "id": id_,
            "status": "final",
            "code": {"coding": [coding]},
            **more,
        }
    )


async def test_texts_are_found_by_part_until_nothing_has_them(store: Store) -> None:
    await store.commit([measured("w", "Body weight"), measured("h", "Body height")])
    body = TextIs("Observation", "code:text", "starts", ("body",))
    tall = TextIs("Observation", "code:text", "contains", ("height",))

    assert await found(store, "Observation", body) == ["h", "w"]
    assert await found(store, "Observation", AnyOf((tall, IdIs(("w",))))) == ["h", "w"]
    assert await found(store, "Observation", Not(tall)) == ["w"]

    await store.commit([measured("h", "Length"), deletion("Observation", "w")])

    assert await found(store, "Observation", body) == []
    await store.commit([measured("w", "Body weight")])
    assert await found(store, "Observation", body) == ["w"]
    assert await store.verify() == []


async def test_a_text_that_hundreds_of_displays_hold_is_found_in_all_of_them(
    store: Store,
) -> None:
    await store.commit([measured(f"o{n:03}", f"thing number {n}") for n in range(120)])
    thing = TextIs("Observation", "code:text", "contains", ("number 1",))
    expected = sorted(f"o{n:03}" for n in range(120) if str(n).startswith("1"))

    assert await found(store, "Observation", thing) == expected
    few = AllOf(
        (IdIs(("o001", "o002", "o111")), TextIs("Observation", "code:text", "starts", ("thing",)))
    )
    assert await found(store, "Observation", few) == ["o001", "o002", "o111"]


def location(id_: str, latitude: float, longitude: float) -> Write:
    position = {"latitude": latitude, "longitude": longitude}
    return put({"resourceType": "Location", "id": id_, "position": position})


async def test_places_are_found_within_a_distance(store: Store) -> None:
    await store.commit(
        [
            location("vienna", 48.2082, 16.3738),
            location("bratislava", 48.1486, 17.1077),
            location("west", 0.0, 179.9),
            location("east", 0.0, -179.9),
            location("pole", 89.99, 0.0),
        ]
    )

    def near(latitude: float, longitude: float, metres: float) -> Near:
        return Near("Location", "near", latitude, longitude, metres)

    vienna = near(48.2082, 16.3738, 54_000)
    assert await found(store, "Location", vienna) == ["vienna"]
    assert await found(store, "Location", replace(vienna, metres=56_000)) == [
        "bratislava",
        "vienna",
    ]
    assert await found(store, "Location", near(0.0, 180.0, 12_000)) == ["east", "west"]
    assert await found(store, "Location", near(89.99, 180.0, 5_000)) == ["pole"]
    assert await found(store, "Location", Not(near(0.0, 0.0, 2e7))) == ["east", "west"]


async def test_words_and_phrases_are_found_in_narratives_and_in_all_texts(store: Store) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">Sudden chest pain, left arm</div>'
    text = {"status": "generated", "div": div}
    await store.commit([patient("a", text=text), named("b", "Chest"), named("c", "Arm")])

    def text_of(*asked: tuple[str, ...]) -> Words:
        return Words("text", asked)

    assert await found(store, "Patient", text_of(("chest",))) == ["a"]
    assert await found(store, "Patient", Words("content", (("chest",),))) == ["a", "b"]
    assert await found(store, "Patient", text_of(("chest", "pain"))) == ["a"]
    assert await found(store, "Patient", text_of(("pain", "chest"))) == []
    assert await found(store, "Patient", text_of(("chest", "pa*"))) == ["a"]
    assert await found(store, "Patient", text_of(("chest",), ("arm",))) == ["a"]
    assert await found(store, "Patient", text_of(("ches",))) == []
    assert await found(store, "Patient", Not(Words("content", (("chest",),)))) == ["c"]

    await store.commit([patient("a"), deletion("Patient", "b")])

    assert await found(store, "Patient", Words("content", (("chest",),))) == []
    assert await store.verify() == []


OF_ABEL = Refers(
    "Observation", "subject", Query(("Patient",), StringIs("Patient", "family", "is", ("abel",)))
)
WITH_HEART_RATE = ReferredBy(
    Query(("Observation",), HasKey(("Observation|code|c|8867-4",))), "subject"
)


async def test_a_chain_follows_references_to_what_is_there_now(store: Store) -> None:
    await store.commit([observation("early", "Patient/a"), observation("other", "Patient/b")])
    assert await found(store, "Observation", OF_ABEL) == []

    await store.commit([named("a", "Abel"), named("b", "Babel")])
    assert await found(store, "Observation", OF_ABEL) == ["early"]
    assert await found(store, "Observation", Not(OF_ABEL)) == ["other"]

    await store.commit([named("b", "Abel")])
    assert await found(store, "Observation", OF_ABEL) == ["early", "other"]

    await store.commit([deletion("Patient", "a")])
    assert await found(store, "Observation", OF_ABEL) == ["other"]


async def test_has_asks_who_refers_here(store: Store) -> None:
    await store.commit([named("a", "Abel"), named("b", "Babel"), observation("o", "Patient/a")])

    assert await found(store, "Patient", WITH_HEART_RATE) == ["a"]
    assert await found(store, "Patient", Not(WITH_HEART_RATE)) == ["b"]

    await store.commit([observation("o", "Patient/b")])
    assert await found(store, "Patient", WITH_HEART_RATE) == ["b"]

    await store.commit([deletion("Observation", "o")])
    assert await found(store, "Patient", WITH_HEART_RATE) == []


@pytest.mark.parametrize("many", [3, 300])
async def test_chains_are_the_same_whichever_side_is_long(store: Store, many: int) -> None:
    """Little behind a chain is looked up beforehand, much is asked of each row."""
    await store.commit([named(f"p{n:03}", "Abel" if n % 2 else "Babel") for n in range(many)])
    await store.commit([observation(f"o{n:03}", f"Patient/p{n:03}") for n in range(many)])
    odd = [n for n in range(many) if n % 2]
    deep = ReferredBy(
        Query(("Observation",), AllOf((OF_ABEL, HasKey(("Observation",))))), "subject"
    )
    one = AllOf((OF_ABEL, HasKey(("Observation|subject|r|Patient/p001",))))

    assert await found(store, "Observation", one) == ["o001"]
    query = Query(("Observation",), OF_ABEL)
    assert await store.count(SYSTEM, query) == len(odd)
    first = await store.search(SYSTEM, query, sort=BY_ID, limit=2)
    assert ids(first.versions) == [f"o{n:03}" for n in odd[:2]]
    assert await store.count(SYSTEM, Query(("Patient",), deep)) == len(odd)


async def test_a_chain_that_reaches_nothing_finds_nothing(store: Store) -> None:
    await store.commit([named(f"p{n:03}", "Babel") for n in range(100)])
    await store.commit([observation(f"o{n:03}", f"Patient/p{n:03}") for n in range(100)])
    nobody = ReferredBy(Query(("Observation",), HasKey(("Observation|code|c|none",))), "subject")

    assert await found(store, "Observation", OF_ABEL) == []
    assert await found(store, "Patient", nobody) == []
    assert await found(store, "Patient", AnyOf((nobody, IdIs(("p007",))))) == ["p007"]
    assert await found(store, "Observation", AnyOf((OF_ABEL, IdIs(("o007",))))) == ["o007"]


async def test_canonical_references_are_followed_by_url_and_version(store: Store) -> None:
    form = {"resourceType": "Questionnaire", "status": "active", "url": "http://q.test/1"}
    made = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    await store.commit(
        [
            put({**form, "id": "one", "version": "1"}),
            put({**form, "id": "two", "version": "2"}),
            put({**made, "id": "any", "questionnaire": "http://q.test/1"}),
            put({**made, "id": "old", "questionnaire": "http://q.test/1|1"}),
        ]
    )
    second = Query(("Questionnaire",), HasKey(("Questionnaire|version|c|2",)))
    answered = Query(("QuestionnaireResponse",), IdIs(("old",)))

    of_second = Refers("QuestionnaireResponse", "questionnaire", second)
    assert "any" in await found(store, "QuestionnaireResponse", of_second)
    of_old = ReferredBy(answered, "questionnaire")
    assert "one" in await found(store, "Questionnaire", of_old)

    await store.commit([put({**form, "id": "two", "version": "2", "url": "http://q.test/2"})])

    assert await found(store, "QuestionnaireResponse", of_second) == []
    assert await store.verify() == []


async def test_a_chain_sees_no_further_than_the_caller(store: Store) -> None:
    await store.commit([named("a", "Abel"), named("b", "Abel")])
    shared = put(
        {
            "resourceType": "Group",
            "id": "g",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": f"Patient/{id_}"}} for id_ in "ab"],
        }
    )
    await store.commit([shared, observation("mine", "Patient/a")])
    of_b = Refers("Group", "member", Query(("Patient",), IdIs(("b",))))
    of_a = Refers("Group", "member", Query(("Patient",), IdIs(("a",))))

    assert await store.count(within("Patient/a"), Query(("Group",), of_a)) == 1
    assert await store.count(within("Patient/a"), Query(("Group",), of_b)) == 0
    assert await store.count(SYSTEM, Query(("Group",), of_b)) == 1


async def test_a_sort_goes_through_a_chain_and_stops_at_what_may_not_be_seen(store: Store) -> None:
    await store.commit([named("a", "Zorn"), named("b", "Abel"), patient("c")])
    await store.commit([observation(f"o-{id_}", f"Patient/{id_}") for id_ in "abcx"])
    family = SortKey("family", "string", through=(Hop("subject", Query(("Patient",))),))
    query = Query(("Observation",))

    page = await store.search(SYSTEM, query, sort=[family], limit=9)
    assert ids(page.versions) == ["o-b", "o-a", "o-c", "o-x"]
    backwards = replace(family, descending=True)
    page = await store.search(SYSTEM, query, sort=[backwards], limit=9)
    assert ids(page.versions) == ["o-a", "o-b", "o-x", "o-c"]
    page = await store.search(within("Patient/a", "Patient/c"), query, sort=[family], limit=9)
    assert ids(page.versions) == ["o-a", "o-c"]


async def test_a_value_set_of_ten_thousand_codes_is_one_list(store: Store) -> None:
    await store.commit([observation(f"o{n}", code=f"c{n}") for n in range(0, 60, 2)])
    codes = HasKey(tuple(f"Observation|code|s|http://loinc.org|c{n}" for n in range(3, 10_003)))
    some = HasKey(("Observation|subject|r|Patient/a",))
    query = Query(("Observation",), AllOf((codes, some)))

    assert await store.count(SYSTEM, query) == 28
    page = await store.search(SYSTEM, query, limit=3)
    assert len(page.versions) == 3
    assert await store.count(SYSTEM, Query(("Observation",), Not(codes))) == 2


async def test_ten_thousand_references_and_ids_are_one_list(store: Store) -> None:
    await store.commit([observation(f"o{n}", f"Patient/p{n}") for n in range(80)])
    who = HasKey(tuple(f"Observation|subject|r|Patient/p{n}" for n in range(70, 10_070)))
    few = AllOf((who, HasKey(("Observation|code|c|8867-4",))))

    assert len(await found(store, "Observation", who)) == 10
    assert len(await found(store, "Observation", few)) == 10
    assert len(await found(store, "Observation", AllOf((IdIs(("o71", "o2")), who)))) == 1
    mine = IdIs(tuple(f"o{n}" for n in range(75, 10_075)))
    assert len(await found(store, "Observation", mine)) == 5
    assert len(await found(store, "Observation", Not(mine))) == 75


async def test_presence_is_found_whatever_else_a_resource_has(store: Store) -> None:
    await store.commit(
        [
            patient("a", gender="male"),
            patient("b", birthDate="1970"),
            patient("c"),
            patient("d", gender="female", birthDate="1980"),
        ]
    )

    assert await found(store, "Patient", HasKey(("Patient|gender|?",))) == ["a", "d"]
    assert await found(store, "Patient", Not(HasKey(("Patient|gender|?",)))) == ["b", "c"]
    both = HasKey(("Patient|gender|?", "Patient|birthdate|?"))
    assert await found(store, "Patient", both) == ["a", "b", "d"]
    assert await found(store, "Patient", AllOf((IdIs(("a", "b")), both))) == ["a", "b"]

    await store.commit([patient("a")])
    assert await found(store, "Patient", HasKey(("Patient|gender|?",))) == ["d"]


async def test_intervals_of_a_year_and_of_a_moment_are_compared_alike(store: Store) -> None:
    """Long intervals are found through an index of their own."""
    await store.commit(
        [
            observation("year", effectiveDateTime="2020"),
            observation("moment", effectiveDateTime="2020-06-01T10:00:00Z"),
            observation("open", effectivePeriod={"end": "2019-03-01"}),
            observation("on", effectivePeriod={"start": "2018-01-01"}),
        ]
    )
    june = 1_590_969_600_000_000  # 2020-06-01T00:00:00Z
    day = 86_400_000_000

    async def dated(op: Any) -> list[str]:
        return await found(
            store, "Observation", DateIs("Observation", "date", op, june, june + day)
        )

    assert await dated("eq") == ["moment"]
    assert await dated("gt") == ["on", "year"]
    assert await dated("ge") == ["moment", "on", "year"]
    assert await dated("lt") == ["on", "open", "year"]
    assert await dated("eb") == ["open"]
    assert await dated("ap") == ["moment", "on", "year"]
    assert await dated("sa") == []


async def test_ranges_that_are_wide_and_values_are_compared_alike(store: Store) -> None:
    def valued(id_: str, **value: Any) -> Write:
        return observation(id_, **value)

    await store.commit(
        [
            valued("five", valueQuantity={"value": 5}),
            valued("thousand", valueQuantity={"value": 1000}),
            valued("small", valueQuantity={"value": -70}),
        ]
    )

    async def sized(op: Any, value: float) -> list[str]:
        asked = NumberIs("Observation", "value-quantity", op, value, value)
        return await found(store, "Observation", asked)

    assert await sized("gt", 6) == ["thousand"]
    assert await sized("gt", -60) == ["five", "thousand"]
    assert await sized("gt", -80) == ["five", "small", "thousand"]
    assert await sized("lt", 4) == ["small"]
    assert await sized("le", 2000) == ["five", "small", "thousand"]


async def test_codes_that_nobody_has_named_are_refused(store: Store) -> None:
    await store.commit([observation("o")])
    asked = Query(("Observation",), CodesOf("Observation", "code", "in", "http://v.test"))

    with pytest.raises(TypeError):
        await store.search(SYSTEM, asked, limit=5)
