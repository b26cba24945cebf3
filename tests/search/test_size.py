"""How much a predicate asks for."""

import pytest

from server.search.query import (
    NOTHING,
    AllOf,
    AnyOf,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    Words,
)
from server.search.size import size


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (NOTHING, 0),
        (HasKey(("a", "b", "c")), 3),
        (IdIs(("a", "b")), 2),
        (StringIs("Patient", "name", "starts", ("a", "b")), 2),
        (NumberIs("RiskAssessment", "probability", "gt", 1.0, 2.0), 1),
        (Words("text", (("a", "b"), ("c",))), 2),
        (AnyOf((HasKey(("a",)), AllOf((Not(HasKey(("b",))), IdIs(("c",)))))), 3),
        (Refers("Observation", "subject", Query(("Patient",), IdIs(("a", "b")))), 3),
        (ReferredBy(Query(("Observation",), HasKey(("a",))), "subject"), 2),
    ],
)
def test_every_key_and_value_counts_at_every_hop(where: Predicate, expected: int) -> None:
    assert size(where) == expected


def test_predicates_inside_each_other_a_thousand_times_are_counted() -> None:
    where: Predicate = HasKey(("a",))
    for _ in range(10_000):
        where = Not(where)

    assert size(where) == 1
