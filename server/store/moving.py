"""A record moved from one store to another: every version as it was, every record, the outbox.

What a :class:`Mover` gives and takes is below the port: versions with their numbers, times and what
is kept beside them, so that history, the change feed, digests and the seals over AuditEvents are
the same in the new store.  Nothing is committed here: no server uses either store meanwhile.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from typing import Literal, Protocol

from server.fhir.definitions import resource_types
from server.fhir.errors import StoreUnavailable
from server.store import lease
from server.store.port import Digest, OutboxRow, Record, RecordWrite, Store, Version

STATE = ("migration", "state")
LEFT_OUT = frozenset((lease.KIND, STATE[0]))  # of the processes of one store, and our own
BATCH = 500
_PROCESS = "process/"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version with the hashes of its compartments and marks, as they are kept with it."""

    version: Version
    marks: tuple[int, ...]


class Mover(Protocol):
    """What a store gives away and takes over."""

    async def last(self) -> int:
        """Return the ``seq`` of the last version; 0: there is none."""

    async def versions(self, after: int, limit: int) -> list[Kept]:
        """Return versions with ``seq > after``, oldest first."""

    async def adopt(self, versions: Sequence[Kept]) -> None:
        """Keep versions that follow those that are there; what was kept before may come again.

        They are found by no search until the index is made.
        """

    async def records(self, after: tuple[str, str], limit: int) -> list[Record]:
        """Return records, expired ones too, with (kind, key) above ``after``, in that order."""

    async def adopt_records(self, records: Sequence[Record]) -> None:
        """Keep records with their revisions; those of the same kind and key are replaced."""

    async def adopt_outbox(self, rows: Sequence[OutboxRow]) -> None:
        """Keep rows of the outbox; those of the same ``seq`` are replaced."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two stores.  ``name`` is shown to people."""

    name: str
    store: Store
    mover: Mover


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` of what is being done; ``total`` is 0 where it is not known."""

    doing: Literal["versions", "records", "index", "compare"]
    done: int
    total: int


class Refused(StoreUnavailable):
    """A migration that would lose or mix something."""


async def begin(source: Side, target: Side, now: int) -> None:
    """Check that nobody uses the stores, and that the target is empty or was begun by us.

    Raises Refused.
    """
    for side in (source, target):
        await _demand_quiet(side, now)
    if await target.store.get_record(*STATE) is not None:
        await _demand_same(source, target)
        return
    there = await target.mover.records(("", ""), 1000)
    if await target.mover.last() or any(one.kind not in LEFT_OUT for one in there):
        raise Refused(f"{target.name} holds data already; a record moves into an empty store only")
    write = RecordWrite(*STATE, json.dumps({"from": source.name, "at": now}).encode(), if_rev=0)
    await target.store.commit([], records=[write])


async def copy(source: Side, target: Side) -> AsyncIterator[Progress]:
    """Copy everything; what an earlier run has copied of the versions is not copied again."""
    total, after = await source.mover.last(), await target.mover.last()
    while found := await source.mover.versions(after, BATCH):
        await target.mover.adopt(found)
        after = found[-1].version.seq
        yield Progress("versions", after, total)
    done, place = 0, ("", "")
    while records := await source.mover.records(place, BATCH):
        await target.mover.adopt_records([one for one in records if one.kind not in LEFT_OUT])
        place = records[-1].kind, records[-1].key
        done += len(records)
        yield Progress("records", done, 0)
    seq = 0
    while rows := await source.store.outbox(after=seq, limit=BATCH):
        await target.mover.adopt_outbox(rows)
        seq = rows[-1].seq


async def index(target: Side) -> AsyncIterator[Progress]:
    """Make the index of what was copied."""
    left = total = await target.store.reindex(batch=0)
    while left > 0:
        left = await target.store.reindex()
        yield Progress("index", total - left, total)


async def compare(
    source: Side, target: Side, now: int, counts: dict[str, int]
) -> AsyncIterator[Progress]:
    """Compare counts and checksums; put how many versions there are of each type into ``counts``.

    The digests of the source are those of its commits, those of the target are made of what is
    there now.  Raises Refused at the first difference.
    """
    done = 0
    for type_ in sorted(resource_types()):
        after, number = 0, 0
        while True:
            wanted = await source.store.digests(type_, after=after, limit=BATCH)
            found = await target.store.digests(type_, after=after, limit=BATCH, anew=True)
            _demand_equal(type_, wanted, found)
            if not wanted:
                break
            after, number = wanted[-1].seq, number + len(wanted)
            yield Progress("compare", done + number, await source.mover.last())
        done += number
        if number:
            counts[type_] = number
    one, other = await _of_records(source, now), await _of_records(target, now)
    if one != other:
        raise Refused(f"the records differ: {one[0]} in {source.name}, {other[0]} in {target.name}")
    counts["records"] = one[0]
    if (faults := await target.store.verify()) != []:
        raise Refused(f"{target.name} is not sound: {faults[0]}")


async def finish(target: Side) -> None:
    """Say that the target is whole; only then a server takes it."""
    kind, key = STATE
    await target.store.commit([], records=[RecordWrite(kind, key, None)])


async def demand_whole(store: Store) -> None:
    """Refuse a store that a migration has begun to fill and has not finished.

    Raises Refused.
    """
    if (state := await store.get_record(*STATE)) is not None:
        began = json.loads(state.value)["from"]
        raise Refused(f"the move from {began} is not finished; run tellonce migrate again")


async def _demand_quiet(side: Side, now: int) -> None:
    for held in await side.store.find_records(lease.KIND, after=_PROCESS, limit=1000):
        if held.key.startswith(_PROCESS) and int(held.value.partition(b" ")[0]) > now:
            raise Refused(
                f"{held.key.removeprefix(_PROCESS)} serves {side.name}; stop it first (one that was"
                " killed is forgotten after ten seconds)"
            )


async def _demand_same(source: Side, target: Side) -> None:
    """Refuse to go on with another source: its last version must be ours."""
    last = await target.mover.last()
    if not last:
        return
    theirs = await source.mover.versions(last - 1, 1)
    ours = await target.mover.versions(last - 1, 1)
    if theirs != ours:
        raise Refused(f"{target.name} holds a part of another record than that of {source.name}")


def _demand_equal(type_: str, wanted: Sequence[Digest], found: Sequence[Digest]) -> None:
    for one, other in zip_longest(wanted, found):
        if one != other:
            told = one or other
            assert told is not None, "one of two that differ is there"
            raise Refused(f"{type_}/{told.id} (change {told.seq}) is not the same in both stores")


async def _of_records(side: Side, now: int) -> tuple[int, bytes]:
    """Return how many records and rows of the outbox there are, and a checksum over them."""
    count, digest, place = 0, sha256(), ("", "")
    while records := await side.mover.records(place, BATCH):
        place = records[-1].kind, records[-1].key
        for one in records:
            expired = one.expires_at is not None and one.expires_at <= now
            if one.kind not in LEFT_OUT and not expired:
                count += 1
                digest.update(repr(one).encode())
    seq = 0
    while rows := await side.store.outbox(after=seq, limit=BATCH):
        seq, count = rows[-1].seq, count + len(rows)
        digest.update(repr(rows).encode())
    return count, digest.digest()
