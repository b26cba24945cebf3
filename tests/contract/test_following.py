"""Who follows the change feed without some types loses nothing, and reads nothing twice."""

from server.store.following import Following
from server.store.port import Store
from tests.contract.made import observation, patient, put

EVENT = {"resourceType": "AuditEvent", "id": "e"}


async def test_what_comes_behind_versions_of_no_use_is_found(store: Store) -> None:
    feed = Following(store, ("AuditEvent",))
    assert await feed.changes(0, 9) == []
    await store.commit([put(EVENT)])
    assert await feed.changes(0, 9) == []
    await store.commit([patient("a"), put(EVENT)])
    await store.commit([put(EVENT), observation("x")])

    first = await feed.changes(0, 1)
    then = await feed.changes(first[-1].seq, 9)
    await store.commit([put(EVENT)])

    assert [(one.type, one.seq) for one in first] == [("Patient", 2)]
    assert [(one.type, one.seq) for one in then] == [("Observation", 5)]
    assert await feed.changes(then[-1].seq, 9) == []
    assert [one.seq for one in await feed.changes(0, 9)] == [2, 5]
