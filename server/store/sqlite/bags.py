"""Short numbers for what many rows hold: hashes, and sets of hashes.

A resource's number stands in the index for several parameters and units, a reference for several
parameters, and nearly every resource of a type has one of few sets of parameters.  A row names the
set (``bag``) by its number, ``member`` tells which sets a hash is in.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct, pack, unpack
from typing import Any

import apsw

_INT64 = Struct("<q").unpack
_HEAD = Struct("<BH")
_MOST_SHORT = 0xFFFF
_OFTEN = 32  # times that a key is seen before it is worth a number
_MAX_SEEN = 200_000
_MAX_KEPT = 50_000

UNKNOWN = 0  # the number of what the file has none for


def content_hash(members: Iterable[int]) -> int:
    """Return the hash of a set of hashes; it is the posting key of a set of parameters."""
    return _content_hash(members if isinstance(members, frozenset) else frozenset(members))


@lru_cache(maxsize=16_384)
def _content_hash(members: frozenset[int]) -> int:
    found = sorted(members)
    packed = pack(f"<{len(found)}q", *found)
    return int(_INT64(blake2b(packed, digest_size=8, person=b"bag").digest())[0])


class Bags:
    """The numbers of one connection's file; not for two threads at once.

    Args:
        writes: give numbers to what has none; otherwise it is :data:`UNKNOWN`.
    """

    def __init__(self, db: apsw.Connection, *, writes: bool = False) -> None:
        self._db = db
        self._writes = writes
        self.forget()

    def forget(self) -> None:
        """Forget what was given out; needed after a change was undone."""
        self._numbers: dict[int, int] = {}
        self._hashes: dict[int, int] = {}
        self._bags: dict[frozenset[int], int] = {}
        self._keys: dict[int, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        self._seen: dict[int, int] = {}
        self._read_upto = 0
        self.texts: set[tuple[int, str, int]] = set()
        if self._writes:
            self._read_on()

    def number(self, hashed: int) -> int:
        """Return the number of a hash."""
        found = self._numbers.get(hashed)
        if found is None:
            found = self._db.execute("select n from sym where h=?", (hashed,)).get
            if found is None:
                found = self._made(hashed)
            if found != UNKNOWN:
                self._keep(hashed, found)
        return found

    def bag(self, members: Collection[int]) -> int:
        """Return the number of a set of hashes."""
        known = members if isinstance(members, frozenset) else frozenset(members)
        found = self._bags.get(known)
        if found is None:
            hashed = content_hash(known)
            found = self._db.execute("select n from bag where h=?", (hashed,)).get
            if found is None:
                found = self._made_bag(hashed, sorted(members))
            if len(self._bags) >= _MAX_KEPT:
                self._bags.clear()
            if found != UNKNOWN:
                self._bags[known] = found
        return int(found)

    def key(self, bag: int) -> int:
        """Return the posting key of a set that is there."""
        found = self._keys.get(bag)
        if found is None:
            found = content_hash(self.members(bag))
            if len(self._keys) >= _MAX_KEPT:
                self._keys.clear()
            self._keys[bag] = found
        return found

    def members(self, bag: int) -> tuple[int, ...]:
        """Return the hashes of a set, sorted."""
        found = self._members.get(bag)
        if found is None:
            packed = self._db.execute("select members from bag where n=?", (bag,)).get or b""
            found = unpack(f"<{len(packed) // 8}q", packed)
            if len(self._members) >= _MAX_KEPT:
                self._members.clear()
            self._members[bag] = found
        return found

    def has_text(self, row: tuple[int, str, int]) -> bool:
        """Tell whether the file has this row of ``text``."""
        text = "select exists(select 1 from text where p=? and v=? and h=?)"
        return bool(self._db.execute(text, row).get)

    def remember_text(self, row: tuple[int, str, int]) -> None:
        """Keep in mind that the file has this row of ``text``."""
        if len(self.texts) >= _MAX_KEPT:
            self.texts.clear()
        self.texts.add(row)

    def pack(self, flags: int, keys: Iterable[int]) -> bytes:
        """Return keys as bytes: two for each that is often met, eight for the others."""
        short: list[int] = []
        long: list[int] = []
        for key in keys:
            number = self._short(key)
            if number:
                short.append(number)
            else:
                long.append(key)
        head = _HEAD.pack(flags, len(short))
        return head + pack(f"<{len(short)}H{len(long)}q", *sorted(short), *sorted(long))

    def unpack(self, packed: bytes) -> tuple[int, list[int]]:
        """Return flags and keys that :meth:`pack` packed."""
        flags, size = _HEAD.unpack_from(packed)
        cut = _HEAD.size + 2 * size
        short = unpack(f"<{size}H", packed[_HEAD.size : cut])
        long = unpack(f"<{(len(packed) - cut) // 8}q", packed[cut:])
        return flags, [*self._long(short), *long]

    def _short(self, key: int) -> int | None:
        number = self._numbers.get(key)
        if number is not None:
            return number if number <= _MOST_SHORT else None
        times = self._seen.get(key, 0) + 1
        if times < _OFTEN:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen[key] = times
            return None
        self._seen.pop(key, None)
        number = self.number(key)
        return number if UNKNOWN < number <= _MOST_SHORT else None

    def _long(self, short: Sequence[int]) -> list[int]:
        try:
            return [self._hashes[number] for number in short]
        except KeyError:
            self._read_on()
            return [self._hashes[number] for number in short]

    def _read_on(self) -> None:
        text = "select n, h from sym where n>? and n<=? order by n"
        found: list[tuple[Any, ...]] = self._db.execute(
            text, (self._read_upto, _MOST_SHORT)
        ).fetchall()
        for number, hashed in found:
            self._hashes[number] = hashed
            self._numbers.setdefault(hashed, number)
            self._read_upto = number

    def _keep(self, hashed: int, number: int) -> None:
        if len(self._numbers) >= 2 * _MOST_SHORT:
            self._numbers.clear()
        self._numbers[hashed] = number
        if number <= _MOST_SHORT:
            self._hashes[number] = hashed

    def _made(self, hashed: int) -> int:
        if not self._writes:
            return UNKNOWN
        made: int = self._db.execute("insert into sym (h) values (?) returning n", (hashed,)).get
        return made

    def _made_bag(self, hashed: int, members: list[int]) -> int:
        if not self._writes:
            return UNKNOWN
        packed = pack(f"<{len(members)}q", *members)
        text = "insert into bag (h, members) values (?,?) returning n"
        made: int = self._db.execute(text, (hashed, packed)).get
        rows = [(member, made) for member in members]
        self._db.executemany("insert into member values (?,?)", rows)
        return made
