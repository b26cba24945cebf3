"""Digests of versions, by which the chain of the AuditEvents is sealed and checked."""

from server.store.port import Store
from tests.contract.made import deletion, observation, patient


async def test_digests_are_of_one_type_in_the_order_of_the_feed(store: Store) -> None:
    versions = await store.commit([patient("a"), observation("x"), patient("b")])
    await store.commit([deletion("Patient", "a")])

    found = await store.digests("Patient", limit=10)

    assert [(one.id, len(one.sha256)) for one in found] == [("a", 32), ("b", 32), ("a", 32)]
    assert found[0].seq == versions[0].seq
    assert await store.digests("Patient", after=found[0].seq, limit=1) == [found[1]]
    assert await store.digests("Group", limit=10) == []
    assert len({one.sha256 for one in found}) == 3


async def test_what_nobody_changed_has_the_digest_of_its_commit(store: Store) -> None:
    await store.commit([patient("a", gender="female"), patient("b")])
    await store.commit([deletion("Patient", "a")])

    made = await store.digests("Patient", limit=10, anew=True)

    assert made == await store.digests("Patient", limit=10)
