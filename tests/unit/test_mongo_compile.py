"""Queries as filters of MongoDB, and which of them drives: no server is asked."""

from typing import Any

import pytest

from server.fhir.errors import TooCostly
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    Refers,
    SortKey,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import MIN_TIME, hash64, key_hash, param_hash
from server.store.mongo import orders
from server.store.mongo.compile import NONE, Keys, Later, Names, Some, Unless, condition
from server.store.mongo.drive import Driver, drivers
from server.store.mongo.plan import Plan, bounds, upper

MALE = HasKey(("Patient|gender|c|male",))
FAMILY = param_hash("Patient", "family")
BIRTH = param_hash("Patient", "birthdate")
VALUE = param_hash("Observation", "value-quantity")

FILTERS: dict[str, tuple[Predicate, dict[str, Any]]] = {
    "a key": (MALE, {"t": {"$in": [key_hash("Patient|gender|c|male")]}}),
    "a reference is composed": (
        HasKey(("Flag|subject|r|Patient/x",)),
        {"t": {"$in": [hash64("Flag|subject") ^ hash64("Patient/x")]}},
    ),
    "presence stands beside, without an index": (
        HasKey(("Patient|gender|?",)),
        {"k": {"$in": [hash64("Patient|gender|?")]}},
    ),
    "keys of both kinds": (
        HasKey(("Patient|gender|?", "Patient")),
        {
            "$or": [
                {"t": {"$in": [hash64("Patient")]}},
                {"k": {"$in": [hash64("Patient|gender|?")]}},
            ]
        },
    ),
    "a string that starts so": (
        StringIs("Patient", "family", "starts", ("ab",)),
        {"s": {"$elemMatch": {"p": FAMILY, "v": {"$gte": "ab", "$lt": "ac"}}}},
    ),
    "a string that ends with one of two": (
        StringIs("Patient", "family", "ends", ("a.b", "c")),
        {
            "$or": [
                {"s": {"$elemMatch": {"p": FAMILY, "v": {"$regex": r"a\.b\z"}}}},
                {"s": {"$elemMatch": {"p": FAMILY, "v": {"$regex": r"c\z"}}}},
            ]
        },
    ),
    "a string behind another": (
        StringIs("Patient", "family", "gt", ("b",)),
        {"s": {"$elemMatch": {"p": FAMILY, "v": {"$gt": "b"}}}},
    ),
    "a date from on": (
        DateIs("Patient", "birthdate", "ge", 5, 9),
        {
            "dt": {
                "$elemMatch": {
                    "p": BIRTH,
                    "$or": [{"hi": {"$gt": 9}}, {"lo": {"$gte": 5}, "hi": {"$lte": 9}}],
                }
            }
        },
    ),
    "a quantity with its unit": (
        NumberIs("Observation", "value-quantity", "ap", 1.0, 2.0, "u|mg"),
        {
            "q": {
                "$elemMatch": {
                    "p": VALUE,
                    "u": hash64("u|mg"),
                    "lo": {"$lt": 2.0},
                    "hi": {"$gt": 1.0},
                }
            }
        },
    ),
    "an instant lasts a millisecond": (UpdatedIs("gt", 5000, 6000), {"lu": {"$gt": 5000}}),
    "ids": (IdIs(("a", "b")), {"id": {"$in": ["a", "b"]}}),
    "a word, and words in a row": (
        Words("content", (("fever",), ("chest", "pai*"))),
        {"$and": [{"w": "fever"}, {"wc": {"$regex": " chest pai"}}]},
    ),
    "a word of the narrative": (Words("text", (("fever",),)), {"wn": {"$regex": " fever "}}),
    "a negation": (Not(MALE), {"$nor": [{"t": {"$in": [key_hash("Patient|gender|c|male")]}}]}),
    "everything": (AllOf(()), {}),
    "nothing": (AnyOf(()), {"_id": {"$in": []}}),
    "all of nothing and something": (AllOf((AnyOf(()), MALE)), {"_id": {"$in": []}}),
    "something or everything": (AnyOf((AllOf(()), MALE)), {}),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_predicate_becomes_this_filter(name: str) -> None:
    asked, expected = FILTERS[name]

    assert condition(asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        TextIs("Observation", "code:text", "contains", ("weight",)),
        Near("Location", "near", 1.0, 1.0, 10.0),
        Refers("Observation", "subject", Query(("Patient",), MALE)),
    ],
)
def test_what_is_to_be_settled_is_no_filter_yet(asked: Predicate) -> None:
    with pytest.raises(TypeError, match="is to be settled before it is asked"):
        condition(asked)


def test_no_regular_expression_holds_a_nul_or_is_too_long() -> None:
    held = condition(StringIs("Patient", "family", "contains", ("a\0b",)))

    assert held["s"]["$elemMatch"]["v"] == {"$regex": r"a\x00b"}
    with pytest.raises(TooCostly, match="a text of 30001 characters is too long"):
        condition(StringIs("Patient", "family", "contains", ("a" * 30_001,)))


def driven(*members: Any, types: tuple[str, ...] = ("Observation",)) -> list[str | None]:
    return [driver.index for driver in drivers(members, types)]


def test_names_come_first_then_references_codes_values_and_types() -> None:
    patient = HasKey(("Observation|subject|r|Patient/x",))
    code = HasKey(("Observation|code|c|1",))
    name = StringIs("Patient", "family", "starts", ("a",))
    reached = Names((7,), MALE)
    found = drivers((HasKey(("Observation",)), name, code, patient, reached), ("Observation",))

    assert [driver.of for driver in found[:4]] == [reached, patient, code, name]
    assert found[-1].of == HasKey(("Observation",))


def test_without_a_list_the_type_is_one() -> None:
    assert driven(Not(MALE)) == ["t"]
    assert driven(HasKey(("Patient|gender|?",)), types=("Patient",)) == ["t"]


def test_alternatives_drive_when_each_is_a_list() -> None:
    either = Some((Keys((1, 2), MALE), AllOf((MALE, Not(IdIs(("a",)))))))
    (found, *_) = drivers((either,), ("Patient",))

    assert found.filter == {"t": {"$in": [1, 2, key_hash("Patient|gender|c|male")]}}
    assert (found.index, found.exact, found.lists) == ("t", False, 3)


def test_alternatives_of_lists_and_names_leave_the_index_to_each() -> None:
    (found, *_) = drivers((Some((Keys((1,), MALE), Names((5,), MALE))),), ("Patient",))

    assert found.index is None
    assert found.filter == {"$or": [{"t": {"$in": [1]}}, {"n": {"$in": [5]}}]}


def test_only_what_drives_is_left_to_an_index() -> None:
    driver = Driver("t", {"t": {"$in": [1]}}, None, exact=True)
    planned = Plan(driver, (Keys((2,), MALE), IdIs(("a",))), 5, {"d": {"$lt": 9}})

    assert planned.filter == {
        "$and": [
            {"t": {"$in": [1]}},
            {"d": {"$lt": 9}},
            {"$nor": [{"$nor": [{"$and": [{"t": {"$in": [2]}}, {"id": {"$in": ["a"]}}]}]}]},
        ]
    }


def test_what_is_left_for_later_may_hold_whichever_way_it_is_asked() -> None:
    later = Later(MALE)

    assert upper(later) == {}
    assert upper(Unless(later)) == {}
    assert upper(Unless(Some((later, IdIs(("a",)))))) == {"$nor": [{"id": {"$in": ["a"]}}]}
    assert upper(Unless(Unless(Unless(later)))) == {}
    assert upper(Some((later, AnyOf(())))) == {}


def test_the_clinical_date_bounds_a_walk_from_both_ends() -> None:
    dates: list[Any] = [
        DateIs("Observation", "date", "eq", 10, 20),
        DateIs("Observation", "date", "lt", 15, 16),
        DateIs("Observation", "date", "ge", 12, 13),
    ]
    query = Query(("Observation",), AllOf(tuple(dates)))

    assert bounds(query, dates) == {"d": {"$lt": 15, "$gte": 10}}
    assert bounds(Query(("Observation", "Patient")), dates) == {}


def test_a_cursor_bounds_the_index_and_resumes_among_equals() -> None:
    assert orders.NEWEST.behind((7, 3)) == {
        "d": {"$lte": 7},
        "$or": [{"d": {"$lt": 7}}, {"born": {"$lt": 3}}],
    }


def test_an_order_by_clinical_date_has_three_parts() -> None:
    legs = orders.clinical_legs(5, descending=True)

    assert [leg.value for leg in legs] == ["stated", MIN_TIME, None]
    assert [orders.leg_of(legs, after) for after in [(9, 1), (MIN_TIME, 1), (None, 1)]] == [0, 1, 2]
    assert orders.leg_of(orders.clinical_legs(5, descending=False), (9, 1)) == 1


def test_missing_values_come_last_in_both_directions() -> None:
    sort = (SortKey("family", "string", descending=True), SortKey("_id", "id"))

    assert orders.in_order(sort) == [{"$sort": {"m0": 1, "k0": -1, "m1": 1, "k1": 1, "born": 1}}]
    assert orders.behind(sort, (None, "a", 4))[0]["$match"] == {
        "$or": [
            {"$and": [{"m0": 1}, {"m1": {"$gt": 0}}]},
            {"$and": [{"m0": 1}, {"m1": 0}, {"k1": {"$gt": "a"}}]},
            {"$and": [{"m0": 1}, {"k1": "a"}, {"born": {"$gt": 4}}]},
        ]
    }


def test_nothing_found_is_asked_as_nothing() -> None:
    assert condition(Keys((), MALE)) == {"t": {"$in": []}}
    assert upper(Some(())) == NONE
