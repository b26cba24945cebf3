"""The durable queue of a destination: every message with its bytes, state and control id.

Kinds of the store's own records (docs/outbound.md):

====================  =========================  =================================================
kind                  key                        value
====================  =========================  =================================================
``outbound``          destination                where in the change feed it is (:class:`Cursor`)
``outbound-control``  destination                whether it was paused at the command line
``outbound-state``    destination                how its connection was when that last changed
``outbound/NAME``     message id                 :class:`Message` as JSON; the tag is its state
``outbound-raw``      ``NAME/`` + message id     the bytes, as they are sent
====================  =========================  =================================================

A message id is the place of its change in the change feed and a number: ids are in commit order,
and that is the order of sending.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import orjson

from server.store.port import Record, RecordWrite, Store

CURSOR, CONTROL, STATE, RAW = "outbound", "outbound-control", "outbound-state", "outbound-raw"
MessageState = Literal["waiting", "held", "parked", "sent", "skipped", "withheld"]
STATES: tuple[MessageState, ...] = (
    "waiting", "held", "parked", "sent", "skipped", "withheld",
)  # fmt: skip
_ENDED = frozenset({"sent", "skipped", "withheld"})
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """``seq``: changes up to it were told.  ``at``: its time, microseconds since 1970."""

    seq: int = 0
    at: int = 0
    rev: int = 0

    def write(self, name: str) -> RecordWrite:
        """Return the record, guarded against a second process."""
        value = orjson.dumps({"seq": self.seq, "at": self.at})
        return RecordWrite(CURSOR, name, value, if_rev=self.rev)


@dataclass(frozen=True, slots=True)
class Message:
    """One message.  Times are microseconds since 1970-01-01T00:00:00Z.

    ``about`` is the version that it tells of; ``lane`` is equal for messages of one patient and
    names nobody, ``other`` that of who was merged into them; ``at``: when the change was made;
    ``reason`` and ``problem``: why it is parked; ``answer``: the code of the last answer;
    ``notes``: what could not be said in it.  One that is ``withheld`` has no bytes: the
    destination is not cleared for what it is about.
    """

    id: str
    destination: str
    type: str
    control_id: str
    about: str
    at: int
    lane: str = ""
    other: str = ""
    state: MessageState = "waiting"
    attempts: int = 0
    unanswered: int = 0
    reason: str = ""
    problem: str = ""
    answer: str = ""
    notes: tuple[str, ...] = ()
    size_bytes: int = 0
    updated: int = 0
    rev: int = 0

    @property
    def lanes(self) -> frozenset[str]:
        """The lanes in which it must overtake nothing, nor be overtaken."""
        return frozenset((self.lane, self.other)) if self.other else frozenset((self.lane,))

    def write(self, *, expires_at: int | None = None) -> RecordWrite:
        """Return the record that stores it, guarded against a second sender."""
        row = {name: value for name in _STORED if (value := getattr(self, name))}
        return RecordWrite(
            f"outbound/{self.destination}",
            self.id,
            orjson.dumps(row),
            tag=self.state,
            if_rev=self.rev,
            expires_at=expires_at,
        )


_STORED = tuple(f.name for f in fields(Message) if f.name != "rev")


def read_message(record: Record) -> Message:
    """Return the message that a record of kind ``outbound/NAME`` holds."""
    row: dict[str, Any] = orjson.loads(record.value)
    values: dict[str, Any] = {
        n: tuple(row[n]) if isinstance(row[n], list) else row[n] for n in _STORED if n in row
    }
    return Message(**{"at": 0, **values, "rev": record.rev})


class Queue:
    """One destination's messages in the store.

    ``turn`` is held while messages are added, and while it is read which of them may go.
    """

    def __init__(self, store: Store, name: str, *, keep_days: int = 30) -> None:
        self.name = name
        self.turn = asyncio.Lock()
        self._store = store
        self._keep_us = keep_days * _DAY_US

    async def cursor(self) -> Cursor | None:
        """Return how far the change feed was told; ``None``: the destination is new."""
        record = await self._store.get_record(CURSOR, self.name)
        if record is None:
            return None
        row = orjson.loads(record.value)
        return Cursor(row["seq"], row["at"], record.rev)

    async def add(self, cursor: Cursor, made: Sequence[tuple[Message, bytes]]) -> Cursor:
        """Store messages and the place behind their changes in one commit; return the latter.

        Raises:
            CommitConflict: another process did so before.
            StoreUnavailable: nothing was stored.
        """
        records = [cursor.write(self.name)]
        for message, body in made:
            records.append(message.write(expires_at=self._expiry(message)))
            if message.state != "withheld":
                records.append(RecordWrite(RAW, self._raw(message.id), body))
        await self._store.commit([], records=records)
        return replace(cursor, rev=cursor.rev + 1)

    async def of_state(
        self, state: MessageState, *, after: str = "", limit: int = 100
    ) -> list[Message]:
        """Return messages of a state with ids above ``after``, in order."""
        kind = f"outbound/{self.name}"
        found = await self._store.find_records(kind, tag=state, after=after, limit=limit)
        return [read_message(record) for record in found]

    async def walk(self, state: MessageState) -> AsyncIterator[Message]:
        """Yield all messages of a state, in order."""
        after = ""
        while page := await self.of_state(state, after=after):
            for message in page:
                yield message
            after = page[-1].id

    async def get(self, id_: str) -> Message | None:
        """Return a message, ``None`` when there is none."""
        record = await self._store.get_record(f"outbound/{self.name}", id_)
        return read_message(record) if record is not None else None

    async def body(self, id_: str) -> bytes:
        """Return the bytes of a message as they are sent."""
        record = await self._store.get_record(RAW, self._raw(id_))
        return record.value if record is not None else b""

    async def keep(self, id_: str, body: bytes) -> None:
        """Store the bytes of a message that had none."""
        await self._store.commit([], records=[RecordWrite(RAW, self._raw(id_), body)])

    async def counts(self, states: Collection[MessageState] | None = None) -> Mapping[str, int]:
        """Return how many messages there are, by state.

        ``states``: of these alone; those that were sent are kept for a month, and may be millions.
        """
        return await self._store.count_records(f"outbound/{self.name}", states)

    async def put(self, message: Message, *, again: bool = False) -> Message:
        """Store a message's new state; what came to its end is given a time to expire.

        ``again``: it had come to its end, and its bytes are needed once more.

        Raises:
            CommitConflict: it was changed meanwhile.
            StoreUnavailable: nothing was stored.
        """
        records = [message.write(expires_at=self._expiry(message))]
        if again or message.state in ("sent", "skipped"):
            body = await self.body(message.id)
            ends = self._expiry(message)
            records.append(RecordWrite(RAW, self._raw(message.id), body, expires_at=ends))
        await self._store.commit([], records=records)
        return replace(message, rev=message.rev + 1)

    async def free(self, lanes: frozenset[str]) -> int:
        """Let the messages of lanes that were held wait again; return how many they are."""
        freed = 0
        async for message in self.walk("held"):
            if message.lanes & lanes:
                await self.put(replace(message, state="waiting", reason=""))
                freed += 1
        return freed

    def _raw(self, id_: str) -> str:
        return f"{self.name}/{id_}"

    def _expiry(self, message: Message) -> int | None:
        ended = message.state in _ENDED
        return message.updated + self._keep_us if ended and self._keep_us else None


def message_id(seq: int, number: int) -> str:
    """Return the id of a message: texts in the order of the numbers.

    >>> message_id(42, 1)
    '000000000042.00001'
    """
    return f"{seq:012d}.{number:05d}"


async def set_paused(store: Store, name: str, paused: bool) -> None:
    """Pause a destination, or let it go on, whatever its file says.

    Raises:
        StoreUnavailable: it could not be written.
    """
    value = orjson.dumps({"paused": paused})
    await store.commit([], records=[RecordWrite(CONTROL, name, value)])


async def is_paused(store: Store, name: str, *, default: bool) -> bool:
    """Tell whether a destination is paused; ``default`` is what its file says."""
    record = await store.get_record(CONTROL, name)
    return default if record is None else bool(orjson.loads(record.value)["paused"])


async def retry(queue: Queue, message: Message, *, now: int) -> Message:
    """Send a message again that did not go out, under its control id; its lane goes on behind.

    Raises:
        ValueError: it is not parked, skipped or withheld.
        CommitConflict: it was changed meanwhile.
    """
    if message.state not in ("parked", "skipped", "withheld"):
        raise ValueError(f"message {message.id} is {message.state}: only parked ones are retried")
    again = replace(
        message, state="waiting", attempts=0, unanswered=0, reason="", problem="", updated=now
    )
    done = await queue.put(again, again=message.state != "parked")
    await queue.free(message.lanes)
    return done


async def skip(queue: Queue, message: Message, why: str, *, now: int) -> Message:
    """Decide that a message shall not be sent; what it held goes on.

    Raises:
        ValueError: it was sent, or nobody said why.
        CommitConflict: it was changed meanwhile.
    """
    if message.state in ("sent", "skipped"):
        raise ValueError(f"message {message.id} is {message.state} already")
    if not why.strip():
        raise ValueError("say why it shall not be sent")
    done = await queue.put(
        replace(message, state="skipped", reason="skipped", problem=why.strip(), updated=now)
    )
    await queue.free(message.lanes)
    return done
