"""What could drive a search: for each member of the conjunction, documents with all its matches,
found by one index.  Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    NumberIs,
    StringIs,
    UpdatedIs,
    Words,
)
from server.search.rows import hash64, key_hash, param_hash
from server.store.mongo.compile import (
    NONE,
    Every,
    Filter,
    Keys,
    Member,
    Names,
    Some,
    These,
    any_of,
    condition,
    hashes_of,
    word_is,
)
from server.store.stored import MILLISECOND

MAX_IDS = 20_000  # ids times types that are looked up by ``_id``

Index = Literal["t", "n", "s", "dt", "q", "w", "lu", "_id_"]
"""The name of an index (``migrations.py``), by which a hint tells it."""


@dataclass(frozen=True, slots=True, eq=False)
class Driver:
    """Documents to begin with: those of ``filter``, by ``index``.

    ``index=None``: alternatives, each by an index of its own.  ``of``: the member that they come
    from; ``exact``: every document satisfies it, so that it needs no probe any more.
    """

    index: Index | None
    filter: Filter
    of: Member | None = None
    exact: bool = False

    @property
    def lists(self) -> int:
        """How many lists of one key it consists of; 0 when it is not made of these."""
        return len(self.filter["t"]["$in"]) if self.index == "t" else 0

    @property
    def narrow(self) -> bool:
        """Tell whether it is a compartment or a reference, which are usually short lists."""
        keys = self.of.keys if isinstance(self.of, HasKey) else ()
        return any(key.startswith("compartment|") or "|r|" in key for key in keys)


def of_types(types: Sequence[str], of: Member | None = None) -> Driver:
    """Return the driver that is left when there is no other: all of the types."""
    return _listed([key_hash(type_) for type_ in types], of, exact=True)


def drivers(members: Sequence[Member], types: tuple[str, ...]) -> list[Driver]:
    """Return what could drive, the likely best first; never none."""
    found = [driver for member in members if (driver := _driver(member, types)) is not None]
    found.sort(key=_likelihood)
    if not any(driver.index == "t" for driver in found):
        found.append(of_types(types))
    return found


def _driver(member: Member, types: tuple[str, ...]) -> Driver | None:
    match member:
        case HasKey(keys):
            listed, beside = hashes_of(keys)
            return _listed(listed, member, exact=True) if not beside else None
        case Keys(hashes):
            return _listed(list(hashes), member, exact=True)
        case Names():
            return Driver("n", condition(member), member, exact=True)
        case These():
            return Driver("_id_", condition(member), member, exact=True)
        case IdIs(ids) if len(ids) * len(types) <= MAX_IDS:
            places = [f"{type_}/{id_}" for type_ in types for id_ in ids]
            return Driver("_id_", {"_id": {"$in": places}}, member)
        case UpdatedIs(op=op) if op != "ne":
            return Driver("lu", {"rt": {"$in": list(types)}, "lu": _updated(member)}, member)
        case AnyOf(of) | Some(of) if of:
            return _covering(member, of)
        case _:
            return _by_value(member)


def _by_value(member: Member) -> Driver | None:
    match member:
        case StringIs(op="starts" | "is", values=values) if values:
            return Driver("s", condition(member), member, exact=True)
        case StringIs(type_, param):
            # Every string of the parameter is looked at; not every document of the type.
            place = {"s": {"$elemMatch": {"p": param_hash(type_, param)}}}
            return Driver("s", place, member)
        case DateIs():
            return _date(member)
        case NumberIs():
            return _number(member)
        case Words(asked=asked) if asked:
            words = [word for phrase in asked for word in phrase]
            # The longest is likely the rarest.
            return Driver("w", word_is(max(words, key=len)), member)
        case _:
            return None


def _listed(hashes: list[int], of: Member | None, *, exact: bool) -> Driver:
    return Driver("t", {"t": {"$in": hashes}}, of, exact)


def _updated(asked: UpdatedIs) -> Filter:
    """Return the range of times that holds all matches, a little wide for ``ge`` and ``le``."""
    lo, last = asked.lo, asked.hi - MILLISECOND
    ranges: dict[str, Filter] = {
        "eq": {"$gte": lo, "$lte": last},
        "gt": {"$gt": last},
        "lt": {"$lt": lo},
        "ge": {"$gte": min(lo, last)},
        "le": {"$lte": max(lo, last)},
        "sa": {"$gte": asked.hi},
        "eb": {"$lte": lo - MILLISECOND},
        "ap": {"$lt": asked.hi, "$gt": lo - MILLISECOND},
    }
    return ranges[asked.op]


def _date(member: DateIs) -> Driver:
    """Return the range of the index that holds all matches."""
    lo, hi = member.lo, member.hi
    ranges: dict[str, Filter] = {
        "eq": {"lo": {"$gte": lo, "$lt": hi}, "hi": {"$lte": hi}},
        "lt": {"lo": {"$lt": lo}},
        "le": {"lo": {"$lt": hi}},
        "sa": {"lo": {"$gte": hi}},
        "eb": {"lo": {"$lt": lo}, "hi": {"$lte": lo}},
        "gt": {"hi": {"$gt": hi}},
        "ge": {"hi": {"$gt": lo}},
        "ap": {"lo": {"$lt": hi}, "hi": {"$gt": lo}},
        "ne": {},
    }
    place = {"p": param_hash(member.type, member.param), **ranges[member.op]}
    exact = member.op not in ("le", "ge", "ne")
    return Driver("dt", {"dt": {"$elemMatch": place}}, member, exact)


def _number(member: NumberIs) -> Driver:
    """Return the range of the index that holds all matches; an interval may be one point."""
    lo, hi = member.lo, member.hi
    ranges: dict[str, Filter] = {
        "eq": {"lo": {"$gte": lo, "$lte": hi}, "hi": {"$lte": hi}},
        "lt": {"lo": {"$lt": lo}},
        "le": {"lo": {"$lte": max(lo, hi)}},
        "sa": {"lo": {"$gte": hi}},
        "eb": {"hi": {"$lte": lo}},
        "gt": {"hi": {"$gt": hi}},
        "ge": {"hi": {"$gte": min(lo, hi)}},
        "ap": {"lo": {"$lt": hi}, "hi": {"$gt": lo}},
        "ne": {},
    }
    of = {"p": param_hash(member.type, member.param), "u": hash64(member.unit)}
    place = {**of, **ranges[member.op]}
    exact = member.op not in ("le", "ge", "ne")
    return Driver("q", {"q": {"$elemMatch": place}}, member, exact)


def _covering(member: Member, of: Sequence[Member]) -> Driver | None:
    """Return what holds every match of each alternative, if each is found by keys, names or ids."""
    chosen: list[Member] = []
    for one in of:
        found = [part for part in _flat(one) if _is_found(part)]
        if not found:
            return None
        chosen.append(min(found, key=_width))
    keys: dict[int, None] = {}
    others: list[Filter] = []
    for one in chosen:
        match one:
            case Keys(hashes):
                keys.update(dict.fromkeys(hashes))
            case HasKey(texts):
                keys.update(dict.fromkeys(hashes_of(texts)[0]))
            case _:
                others.append(condition(one))
    if not others:
        return _listed(list(keys), member, exact=False)
    listed = {"t": {"$in": list(keys)}} if keys else NONE
    return Driver(None, any_of([listed, *others]), member)


def _flat(member: Member) -> list[Member]:
    if isinstance(member, AllOf | Every):
        return [found for one in member.of for found in _flat(one)]
    if isinstance(member, AnyOf | Some) and len(member.of) == 1:
        return _flat(member.of[0])
    return [member]


def _is_found(member: Member) -> bool:
    if isinstance(member, HasKey):
        return not hashes_of(member.keys)[1]
    return isinstance(member, Keys | Names | These)


def _width(member: Member) -> int:
    """Rank what an alternative consists of; a compartment is the narrowest list of a limit."""
    match member:
        case Names() | These():
            return 0
        case HasKey(keys) if keys and keys[0].startswith("compartment|"):
            return 0
        case HasKey(keys) if all("|" not in key for key in keys):
            return 2
        case _:
            return 1


def _likelihood(driver: Driver) -> int:
    """Rank what is usually narrow first: most searches then count one list only."""
    match driver.of:
        case IdIs() | These() | Names():
            return 0
        case HasKey(keys):
            if driver.narrow:
                return 1
            return 5 if not keys or "|" not in keys[0] else 2
        case Keys():
            return 2
        case _:
            return 3 if driver.exact else 4
