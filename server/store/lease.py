"""Leases: one owner at a time for a piece of the server's own work, across processes.

A lease is a record of kind ``lease`` whose revision is compared at every take-over, so two
processes never both believe that they hold it longer than ``ttl`` of clock difference.  A lease
given back stays as one that has ended: were it removed, its revisions would begin anew, and a
process that read it long ago could take it over from a later owner.
"""

from server.store.port import CommitConflict, RecordWrite, Store

KIND = "lease"
_ENDED = b"0 "  # nobody's, and over since 1970


async def acquire(store: Store, name: str, owner: str, *, now: int, ttl: int) -> bool:
    """Take or renew the lease ``name`` until ``now + ttl`` (microseconds); tell if we hold it."""
    held = await store.get_record(KIND, name)
    if held is not None:
        until, _, holder = held.value.decode().partition(" ")
        if holder != owner and int(until) > now:
            return False
    value = f"{now + ttl} {owner}".encode()
    write = RecordWrite(KIND, name, value, if_rev=held.rev if held is not None else 0)
    try:
        await store.commit([], records=[write])
    except CommitConflict:
        return False
    return True


async def release(store: Store, name: str, owner: str) -> None:
    """Give the lease back if ``owner`` holds it; otherwise do nothing."""
    held = await store.get_record(KIND, name)
    if held is None or held.value.decode().partition(" ")[2] != owner:
        return
    try:
        await store.commit([], records=[RecordWrite(KIND, name, _ENDED, if_rev=held.rev)])
    except CommitConflict:
        return
