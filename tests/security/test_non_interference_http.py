"""What others have changes nothing that Ann is told: non-interference, over HTTP.

Each world is opened twice, with the others' data and without them.  Both times Ann sends the same
requests, and gets the same bytes.  No expected values are needed; that Ann is told anything at all
is shown by the last test.
"""

from collections import Counter

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.operations import OPERATIONS
from server.rest.routes import ROUTES
from tests.rest.house import STORES
from tests.security.ann import KINDS, Kind
from tests.security.asking import ASKS, Ask, covered
from tests.security.inside import answers, differences
from tests.security.worlds import World, full, worlds

WORLDS = 50
REQUESTS = 15  # of each world


@st.composite
def questions(draw: st.DrawFn) -> list[Ask]:
    """Draw some of the requests, in an order of their own: writes come before reads too."""
    places = st.integers(0, len(ASKS) - 1)
    drawn = draw(st.lists(places, min_size=REQUESTS, max_size=REQUESTS, unique=True))
    return [ASKS[place] for place in drawn]


@pytest.mark.parametrize("store", STORES)
@settings(
    max_examples=WORLDS,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # to shrink two whole servers takes minutes
    suppress_health_check=list(HealthCheck),
)
@given(world=worlds(), asks=questions())
def test_what_others_have_changes_nothing_that_is_told(
    store: str, world: World, asks: list[Ask]
) -> None:
    assert anyio.run(differences, store, world, asks) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_request_at_all_tells(kind: Kind) -> None:
    assert anyio.run(differences, "memory", full(kind), ASKS) == []


@pytest.mark.parametrize("kind", ["shared", "labels", "released"])
def test_no_request_tells_on_disk_either(kind: str) -> None:
    (one,) = [one for one in KINDS if one.name == kind]
    assert anyio.run(differences, "sqlite", full(one), ASKS) == []


def test_every_route_is_asked() -> None:
    routes, _ = covered(ASKS)
    there = {(route, method) for route, methods in ROUTES.items() for method in methods}
    assert there - routes == set()


def test_every_operation_is_asked() -> None:
    """A new operation fails here until it is among the requests."""
    _, operations = covered(ASKS)
    there = {(operation.code, level) for operation in OPERATIONS for level in operation.levels}
    assert there - operations == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_she_is_told_something(kind: Kind) -> None:
    """A server that refuses everything would pass all of the above."""

    async def alone() -> Counter[int]:
        found = await answers("memory", World(kind, (), (), ()), ASKS, others=False)
        return Counter(one.status for one in found)

    statuses = anyio.run(alone)
    assert statuses[200] > 200
    assert statuses[500] == 0
