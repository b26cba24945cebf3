"""Every search parameter of every type, every prefix and modifier: all stores, and two oracles.

The first oracle is ``server.search.match``, over all resources; the second is
``tests/matrix/naive.py``, which shares nothing with the server's search.
"""

import pytest

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search.criteria import MODIFIERS
from tests.matrix import naive
from tests.matrix.questions import Asked, sampled
from tests.matrix.record import Record

SHOWN = 12  # differences told of one type
TYPES = sorted(definitions.resource_types())

# What value sets and hierarchies must first name: tests/rest/test_value_sets.py.
ELSEWHERE = {
    "token": {"above", "below", "in", "not-in"},
    "reference": {"above", "below"},
}


@pytest.mark.parametrize("type_", TYPES)
async def test_every_parameter_prefix_and_modifier_equals_both_oracles(
    type_: str, record: Record
) -> None:
    before, different = (record.asked, record.found), []
    for parameter in asked_parameters(type_):
        for asked in chosen(record, type_, parameter):
            name = (
                parameter.code if asked.modifier is None else f"{parameter.code}:{asked.modifier}"
            )
            second = record.naive(type_, parameter, asked.modifier, asked.raw)
            different += await record.differences(type_, name, asked.raw, second)

    print(f"{type_}: {record.asked - before[0]} questions, {record.found - before[1]} with hits")
    assert different[:SHOWN] == []


@pytest.mark.parametrize("type_", TYPES)
def test_every_parameter_has_three_values_and_is_found_by_them(type_: str, record: Record) -> None:
    lacking = {}
    for parameter in asked_parameters(type_):
        values = record.all_values(type_, parameter)
        wanted = 2 if {value.type for value in values} == {"boolean"} else 3
        asked = record.questions(type_, parameter)
        plain = [one.raw for one in asked if one.modifier is None]
        found = any(record.naive(type_, parameter, None, raw) for raw in plain)
        if naive.distinct(parameter.type, values) < wanted or not found:
            lacking[parameter.code] = plain

    assert lacking == {}


def test_every_modifier_and_prefix_of_each_parameter_type_is_asked(record: Record) -> None:
    asked: dict[str, set[str | None]] = {}
    for type_ in ("MolecularSequence", "Observation", "Patient", "ValueSet"):
        for parameter in asked_parameters(type_):
            for one in chosen(record, type_, parameter):
                asked.setdefault(parameter.type, set()).update((one.modifier, one.raw[:2]))

    assert asked.keys() == naive.KINDS
    for kind, seen in asked.items():
        assert MODIFIERS[kind] - ELSEWHERE.get(kind, set()) <= seen, kind
    assert all(set(naive.PREFIXES) <= asked[kind] for kind in ("date", "number", "quantity"))


def asked_parameters(type_: str) -> list[SearchParameter]:
    known = definitions.search_parameters(type_).values()
    return [one for one in known if one.expression and one.type in naive.KINDS]


def chosen(record: Record, type_: str, parameter: SearchParameter) -> list[Asked]:
    """Return the questions; types that share a parameter take turns with the many of them."""
    shared = len(parameter.base)
    every = 12 if parameter.code.startswith("_") else 6 if shared > 5 else 2
    turns = sampled(record.questions(type_, parameter), every, TYPES.index(type_))
    return [one for one in turns if applies(parameter, one)]


def applies(parameter: SearchParameter, asked: Asked) -> bool:
    if parameter.code == "_id" and "|" in asked.raw:
        return False  # an id has no system
    if asked.modifier == "missing":
        return parameter.code not in ("_id", "_lastUpdated")  # every resource has one
    if asked.modifier is None or asked.modifier[0].isupper():
        return True
    return asked.modifier in MODIFIERS[parameter.type]
