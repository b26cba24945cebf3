"""What ends with a user, a client or a session: nothing that hangs from it may go on.

Tokens are looked up through their grant, so removing the grant ends them at once; what is left of
them expires by itself.
"""

from collections.abc import AsyncIterator

from server.auth.records import Grant, Launch, Session
from server.store.port import CommitConflict, Record, RecordStore, RecordWrite, Store

PAGE = 500


async def walk(store: RecordStore, kind: str, tag: str | None = None) -> AsyncIterator[Record]:
    """Yield every record of a kind (and tag), ordered by key."""
    after = ""
    while page := await store.find_records(kind, tag=tag, after=after, limit=PAGE):
        for record in page:
            yield record
        after = page[-1].key


async def end_sessions(store: Store, user: str) -> int:
    """Log a user out everywhere, with the launches and the online grants that hang from that.

    Returns how many sessions there were.
    """
    ended = [record async for record in walk(store, Session.KIND, user)]
    launches = [record async for record in walk(store, Launch.KIND, user)]
    online = [
        record
        async for record in walk(store, Grant.KIND, user)
        if Grant.unpack(record.value).session is not None
    ]
    gone = [*ended, *launches, *online]
    await _commit(store, [RecordWrite(one.kind, one.key, None) for one in gone])
    return len(ended)


async def end_grants(
    store: Store, *, user: str | None = None, client: str | None = None
) -> list[Grant]:
    """Take back what a user allowed, or what was allowed to a client; return it."""
    ended = []
    async for record in walk(store, Grant.KIND, user):
        grant = Grant.unpack(record.value)
        if client is None or grant.client == client:
            ended.append(grant)
    await _commit(store, [RecordWrite(Grant.KIND, grant.id, None) for grant in ended])
    return ended


async def replace(store: Store, record: Record | None, write: RecordWrite) -> bool:
    """Put ``write`` unless the record was changed meanwhile; tell whether it was put."""
    rev = record.rev if record is not None else 0
    try:
        await store.commit([], records=[_at(write, rev)])
    except CommitConflict:
        return False
    return True


def _at(write: RecordWrite, rev: int) -> RecordWrite:
    return RecordWrite(write.kind, write.key, write.value, write.tag, rev, write.expires_at)


async def _commit(store: Store, records: list[RecordWrite]) -> None:
    for start in range(0, len(records), PAGE):
        await store.commit([], records=records[start : start + PAGE])
