"""Which rows a search begins with, decided from counts alone."""

from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
)
from server.search.rows import key_hash
from server.store.sqlite.drive import Driver
from server.store.sqlite.plan import Plan, plan
from server.store.sqlite.sql import TRUE, Sql

CODE = HasKey(("Observation|code|c|8867-4",))
PATIENT = HasKey(("Observation|subject|r|Patient/a",))


class Counting:
    """Lists named in ``sizes`` are as long as that, other lists and ranges have ``rows``."""

    def __init__(self, sizes: dict[str, int], rows: int = 10**6) -> None:
        self.known = {key_hash(key): size for key, size in sizes.items()}
        self.rows = rows
        self.counted: list[Driver] = []

    def count(self, driver: Driver, limit: int, bound: Sql = TRUE) -> tuple[int, tuple[int, ...]]:
        self.counted.append(driver)
        if not driver.keys:
            return min(self.rows, limit), ()
        found = {key: self.known.get(key, self.rows) for key in driver.keys}
        return min(sum(found.values()), limit), tuple(k for k, size in found.items() if size)

    def bags(self, key: int) -> tuple[int, ...]:
        return ()

    def texts(self, asked: TextIs, limit: int) -> tuple[int, ...] | None:
        return (1, 2)

    def referring(self, asked: Refers, limit: int) -> tuple[int, ...] | None:
        return (3,) if self.reached <= limit else None

    def referred(self, asked: ReferredBy, limit: int) -> tuple[int, ...] | None:
        return (4,) if self.reached <= limit else None

    def earliest(self, asked: DateIs) -> int | None:
        return asked.lo

    def any_open(self, type_: str, param: str) -> bool:
        return False

    reached = 10


def counting(sizes: dict[str, int], rows: int = 10**6) -> Counting:
    return Counting(sizes, rows)


def planned(where: Predicate, count: Counting) -> Plan:
    return plan(Query(("Observation",), where), count)


def test_the_shortest_list_drives_and_the_others_are_probed() -> None:
    count = counting({CODE.keys[0]: 800, PATIENT.keys[0]: 90})

    made = planned(AllOf((CODE, PATIENT)), count)

    assert made.keys == (key_hash(PATIENT.keys[0]),)
    assert [probe.values for probe in made.probes] == [(key_hash(CODE.keys[0]),)]


def test_of_lists_that_are_all_long_the_shorter_is_found_by_a_second_look() -> None:
    count = counting({CODE.keys[0]: 3_000, PATIENT.keys[0]: 40_000})

    made = planned(AllOf((PATIENT, CODE)), count)

    assert made.keys == (key_hash(CODE.keys[0]),)
    assert made.broad


def test_a_range_that_matches_nearly_everything_is_probed_along_the_type() -> None:
    made = planned(DateIs("Observation", "date", "ge", 0, 1), counting({}))

    assert made.keys == (key_hash("Observation"),)
    assert len(made.probes) == 1


def test_a_narrow_range_drives_and_is_not_probed_again() -> None:
    made = planned(StringIs("Observation", "value-string", "starts", ("a",)), counting({}, rows=3))

    assert made.driver.rows is not None
    assert made.probes == ()


def test_numbers_that_few_have_drive_and_are_not_probed_again() -> None:
    made = planned(NumberIs("Observation", "value-quantity", "gt", 5.0, 5.0), counting({}, rows=7))

    assert made.driver.rows is not None
    assert made.probes == ()


def test_lists_without_rows_are_left_out_of_the_walk() -> None:
    either = HasKey(("Observation|code|c|1", "Observation|code|c|2"))

    made = planned(either, counting({"Observation|code|c|1": 0, "Observation|code|c|2": 5}))

    assert made.keys == (key_hash("Observation|code|c|2"),)


def test_a_negation_alone_walks_the_type() -> None:
    made = planned(Not(CODE), counting({"Observation": 70}))

    assert made.keys == (key_hash("Observation"),)


def test_alternatives_that_each_have_a_compartment_are_driven_by_the_compartments() -> None:
    limit = AnyOf(
        (
            AllOf((HasKey(("Observation",)), HasKey(("compartment|Patient/a",)))),
            AllOf((HasKey(("Patient",)), HasKey(("compartment|Patient/b",)))),
        )
    )
    count = counting({"compartment|Patient/a": 9, "compartment|Patient/b": 9})

    made = plan(Query(("Observation", "Patient"), limit), count)

    assert made.keys == (key_hash("compartment|Patient/a"), key_hash("compartment|Patient/b"))
    assert len(made.probes) == 1


def test_ids_drive_before_anything_is_counted_twice() -> None:
    count = counting({}, rows=1)

    planned(AllOf((CODE, IdIs(("x",)))), count)

    assert len(count.counted) == 1


CHAIN = Refers("Observation", "subject", Query(("Patient",), HasKey(("Patient|name|x|A",))))


def test_a_chain_that_reaches_little_drives_as_a_list_of_keys() -> None:
    made = planned(CHAIN, counting({}))

    assert made.keys == (3,)
    assert made.probes == ()


def test_a_chain_that_reaches_much_is_asked_of_each_row() -> None:
    count = counting({})
    count.reached = 10**6

    made = planned(CHAIN, count)

    assert made.keys == (key_hash("Observation"),)
    assert made.members == (CHAIN,)


def test_a_chain_beside_a_short_list_is_asked_of_each_row() -> None:
    made = planned(AllOf((CHAIN, PATIENT)), counting({PATIENT.keys[0]: 20}))

    assert made.keys == (key_hash(PATIENT.keys[0]),)
    assert made.members == (CHAIN,)


def test_a_clinical_date_bounds_the_walk_of_any_list() -> None:
    date = DateIs("Observation", "date", "lt", 5, 6)

    made = planned(AllOf((PATIENT, date)), counting({PATIENT.keys[0]: 2000}))

    assert made.bound == Sql("f.d<?", (5,))
    assert made.members == (date,)
