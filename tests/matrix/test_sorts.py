"""Every parameter as a key of ``_sort``, both ways, plain and chained, whole and page by page."""

from typing import Any

import pytest

from server.access.context import SYSTEM
from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search.query import Search
from server.store.port import Store
from tests.matrix import naive
from tests.matrix.record import Place, Record, asked
from tests.matrix.test_chains import references, targets
from tests.matrix.test_matrix import TYPES, asked_parameters

SHOWN = 6
PAGE = 7  # resources of one page of a walk
WALKED = 4  # of so many sorts one is walked page by page; tests/contract walks by each kind
COMBINED = 3  # sorts of several keys, of one type


@pytest.mark.parametrize("type_", TYPES)
async def test_every_parameter_sorts_as_both_oracles_say(type_: str, record: Record) -> None:
    different: list[str] = []
    for turn, parameter in enumerate(asked_parameters(type_)):
        for direction in ("", "-"):
            sort = f"{direction}{parameter.code}"
            expected, wrong = await differences(record, type_, sort)
            different += [*wrong, *out_of_order(record, type_, parameter, direction, expected)]
        if (turn + TYPES.index(type_)) % WALKED == 0:
            different += await walked(record, type_, f"{'-' if turn % 8 else ''}{parameter.code}")

    assert different[:SHOWN] == []


@pytest.mark.parametrize("type_", TYPES)
async def test_every_reference_carries_a_chained_sort(type_: str, record: Record) -> None:
    different: list[str] = []
    for turn, parameter in enumerate(references(type_)):
        for target in targets(record, type_, parameter)[:1]:
            known = asked_parameters(target)
            end = known[turn % len(known)].code
            for direction in ("", "-"):
                sort = f"{direction}{parameter.code}:{target}.{end},-_id"
                _, wrong = await differences(record, type_, sort)
                different += wrong
            if turn % WALKED == 0:
                different += await walked(record, type_, sort)

    assert different[:SHOWN] == []


@pytest.mark.parametrize("type_", TYPES)
async def test_several_keys_sort_one_within_the_other(type_: str, record: Record) -> None:
    codes = [parameter.code for parameter in asked_parameters(type_)]
    begin = TYPES.index(type_)
    turned = codes[begin % len(codes) :] + codes[: begin % len(codes)]
    different: list[str] = []
    for first, second, third in list(zip(turned, turned[1:], turned[2:], strict=False))[:COMBINED]:
        sort = f"{first},-{second},{third}"
        _, wrong = await differences(record, type_, sort)
        different += [*wrong, *await walked(record, type_, sort)]

    assert different[:SHOWN] == []


async def differences(record: Record, type_: str, sort: str) -> tuple[list[Place], list[str]]:
    search = asked(type_, [("_sort", sort)])
    expected = record.oracle(search.query, search.sort)
    answers = await record.answers(search.query, search.sort)
    return expected, [
        f"{type_}?_sort={sort}: {name} has {found}, the oracle {expected}"
        for name, found in answers.items()
        if found != expected
    ]


async def walked(record: Record, type_: str, sort: str) -> list[str]:
    search = asked(type_, [("_sort", sort)])
    expected = record.oracle(search.query, search.sort)
    return [
        f"{type_}?_sort={sort}: pages of {name} differ"
        for name, store in record.next_asked().items()
        if await pages(store, search) != expected
    ]


async def pages(store: Store, search: Search) -> list[Place]:
    seen: list[Place] = []
    after = None
    while True:
        page = await store.search(
            SYSTEM, search.query, sort=search.sort, limit=PAGE, after=after, deadline_s=60
        )
        seen += [(version.type, version.id) for version in page.versions]
        after = page.after
        if after is None:
            return seen


def out_of_order(
    record: Record, type_: str, parameter: SearchParameter, direction: str, found: list[Place]
) -> list[str]:
    """Return a line if the values, as the second oracle sees them, are not in order."""
    keys = {
        one.place: key(record.values(parameter, one), parameter, direction)
        for one in record.of_type(type_)
    }
    values = [keys[place] for place in found]
    stated = [value for value in values if value is not None]
    absent_last = values == stated + [None] * (len(values) - len(stated))
    in_order = stated == sorted(stated, reverse=direction == "-")
    line = f"{type_}?_sort={direction}{parameter.code}: not in order: {values}"
    return [] if absent_last and in_order else [line]


def key(values: list[naive.Value], parameter: SearchParameter, direction: str) -> Any:
    """Return the smallest value ascending, the largest descending; ``None`` if there is none."""
    atoms = [atom for value in values for atom in naive.atoms(parameter.type, value)]
    match parameter.type:
        case "token":
            found = [atom[1] for atom in atoms if atom[1]]
        case "string":
            found = [text for atom in atoms if (text := naive.fold(atom[0]))]
        case "reference":
            found = [atom[3] for atom in atoms if atom[3] is not None]
        case _:
            found = [atom[0] for atom in atoms]
    return (max if direction == "-" else min)(found, default=None)


def test_every_type_has_parameters_to_sort_by() -> None:
    assert all(len(asked_parameters(type_)) >= 6 for type_ in definitions.resource_types())
