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
    StringIs,
)
from server.search.rows import key_hash
from server.store.sqlite.plan import Count, Driver, Plan, plan

CODE = HasKey(("Observation|code|c|8867-4",))
PATIENT = HasKey(("Observation|subject|r|Patient/a",))


def counting(sizes: dict[str, int], rows: int = 10**6) -> Count:
    """Return a count of the lists named in ``sizes``; other lists and ranges have ``rows``."""
    known = {key_hash(key): size for key, size in sizes.items()}

    def count(driver: Driver, limit: int) -> tuple[int, tuple[int, ...]]:
        if not driver.keys:
            return min(rows, limit), ()
        found = {key: known.get(key, rows) for key in driver.keys}
        return min(sum(found.values()), limit), tuple(k for k, size in found.items() if size)

    return count


def planned(where: Predicate, count: Count) -> Plan:
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


def test_numbers_are_driven_by_the_postings_of_their_parameter() -> None:
    made = planned(NumberIs("Observation", "value-quantity", "gt", 5.0, 5.0), counting({}))

    assert made.keys == (key_hash("Observation|value-quantity|?"),)


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
    assert len(made.probes) == 2


def test_ids_drive_before_anything_is_counted_twice() -> None:
    counted: list[Driver] = []

    def count(driver: Driver, _limit: int) -> tuple[int, tuple[int, ...]]:
        counted.append(driver)
        return 1, driver.keys

    planned(AllOf((CODE, IdIs(("x",)))), count)

    assert len(counted) == 1
