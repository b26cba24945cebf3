"""Every search parameter of every type, every prefix and modifier: all stores, and two oracles.

The first oracle is ``server.search.match``, over all resources; the second is
``tests/matrix/naive.py``, which shares nothing with the server's search.
"""

import pytest

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search.criteria import MODIFIERS
from server.search.parse import parse_search
from tests.matrix import naive
from tests.matrix.questions import Asked, questions
from tests.matrix.record import Record
from tests.matrix.values import BASE_URL

SHOWN = 12  # differences told of one type


@pytest.mark.parametrize("type_", sorted(definitions.resource_types()))
async def test_every_parameter_prefix_and_modifier_equals_both_oracles(
    type_: str, record: Record
) -> None:
    different: list[str] = []
    for parameter in asked_parameters(type_):
        for asked in questions(parameter, values(record, type_, parameter)):
            if applies(parameter, asked):
                different += await differences(record, type_, parameter, asked)

    assert different[:SHOWN] == []


def asked_parameters(type_: str) -> list[SearchParameter]:
    known = definitions.search_parameters(type_).values()
    return [one for one in known if one.expression and one.type in naive.KINDS]


def values(record: Record, type_: str, parameter: SearchParameter) -> list[naive.Value]:
    return [v for one in record.of_type(type_) for v in record.values(parameter, one)]


def applies(parameter: SearchParameter, asked: Asked) -> bool:
    if asked.modifier == "missing":
        return parameter.code not in ("_id", "_lastUpdated")  # every resource has one
    if parameter.code == "_id" and "|" in asked.raw:
        return False  # an id has no system
    if asked.modifier is None or asked.modifier[0].isupper():
        return True
    return asked.modifier in MODIFIERS[parameter.type]


async def differences(
    record: Record, type_: str, parameter: SearchParameter, asked: Asked
) -> list[str]:
    name = parameter.code if asked.modifier is None else f"{parameter.code}:{asked.modifier}"
    search = parse_search(
        type_, [(name, asked.raw)], base_url=BASE_URL, default_count=20, max_count=99, strict=True
    )
    expected = record.oracle(search.query)
    answers: dict[str, object] = dict(await record.answers(search.query))
    wrong = [
        f"{type_}?{name}={asked.raw}: {store} found {found}, the oracle {expected}"
        for store, found in answers.items()
        if found != expected
    ]
    second = record.naive(type_, parameter, asked.modifier, asked.raw)
    if second != set(expected):
        lacks, extra = sorted(second - set(expected)), sorted(set(expected) - second)
        wrong.append(f"{type_}?{name}={asked.raw}: not found {lacks}, not to be found {extra}")
    return wrong
