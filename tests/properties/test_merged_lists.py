"""Pages of many posting lists of which one resource begins several."""

import pytest

from server.search.query import HasKey, Query
from server.store.sqlite import plan
from tests.properties.test_stores_equal_the_oracle import check


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_resource_that_begins_several_lists_leaves_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(plan, "FEW", 0)
    monkeypatch.setattr(plan, "MANY", 1)
    weighed = {"resourceType": "Observation", "id": "w", "code": {"coding": [{"code": "1-8"}]}}
    people = [{"resourceType": "Patient", "id": id_} for id_ in "abc"]
    keys = ("Observation|code|c|1-8", "Patient", "Observation|code|s||1-8")
    both = Query(("Patient", "Observation"), HasKey(keys))

    await check("sqlite", [people, [weighed]], set(), [(both, (), limit)])
