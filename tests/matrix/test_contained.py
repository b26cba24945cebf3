"""Searches inside resources (``_contained``): what holds a contained resource is found by it."""

from typing import Any

import pytest

from server.fhir.definitions import SearchParameter
from server.search.match import Candidate
from server.search.query import Query
from tests.matrix import naive
from tests.matrix.generate import INSIDE
from tests.matrix.questions import questions
from tests.matrix.record import Place, Record, asked
from tests.matrix.test_matrix import asked_parameters

SHOWN = 6
NOT_INSIDE = ("_id", "_lastUpdated")  # a contained resource has neither of its own


@pytest.mark.parametrize("type_", INSIDE)
async def test_what_holds_a_contained_resource_is_found_by_it(type_: str, record: Record) -> None:
    different: list[str] = []
    hits = 0
    held = [r for kinds in record.kept for one in record.of_type(kinds) for r in inside(one, type_)]
    for parameter in (p for p in asked_parameters(type_) if p.code not in NOT_INSIDE):
        values = [value for resource in held for value in naive.values(parameter, resource)]
        for one in questions(parameter, values) if values else ():
            if one.modifier is not None:
                continue
            search = asked(type_, [(parameter.code, one.raw), ("_contained", "true")])
            assert isinstance(search.containers, Query)
            expected = record.oracle(search.containers)
            url = f"{type_}?{parameter.code}={one.raw}&_contained=true"
            different += [
                f"{url}: {name} found {found}, the oracle {expected}"
                for name, found in (await record.answers(search.containers)).items()
                if found != expected
            ]
            # The index may tell of more; who asks looks into each.
            second = holding(record, type_, parameter, one.raw)
            hits += bool(second)
            if not second <= set(expected):
                different.append(f"{url}: not found {sorted(second - set(expected))}")

    assert different[:SHOWN] == []
    assert hits >= 3


def holding(record: Record, type_: str, parameter: SearchParameter, raw: str) -> set[Place]:
    """Return the resources that contain one of ``type_`` that the second oracle finds."""
    return {
        one.place
        for kinds in record.kept
        for one in record.of_type(kinds)
        if any(
            naive.finds(parameter, naive.values(parameter, inner), None, raw)
            for inner in inside(one, type_)
        )
    }


def inside(one: Candidate, type_: str) -> list[dict[str, Any]]:
    contained = one.resource.get("contained", [])
    return [resource for resource in contained if resource["resourceType"] == type_]
