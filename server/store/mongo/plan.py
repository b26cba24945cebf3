"""How a search is found: one member of the conjunction drives by its index, the rest is asked of
each document that it leads to.  Pure.

Where a chain would lead to too much, it is left for later (:class:`Later`): documents are then
walked in batches, and each batch settles it for its own.
"""

from dataclasses import dataclass

from server.search.clinical import CLINICAL_PARAM
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    InCompartmentOf,
    Mentioned,
    Near,
    Not,
    Query,
    ReferredBy,
    Refers,
    TextIs,
)
from server.search.rows import MIN_TIME, param_hash
from server.store.mongo.compile import (
    EVERY,
    Every,
    Filter,
    Later,
    Member,
    Some,
    Unless,
    all_of,
    any_of,
    aside,
    condition,
    nor,
)
from server.store.mongo.drive import Driver

FEW = 64  # documents of which each is rather asked than that a chain is followed from its far end
MANY = 1000  # documents that are not counted further; to look at them costs some milliseconds
MOST = 20_000  # how far lists are counted when all are longer than MANY
MAX_KEYS = 100_000  # keys and ids of one search; 2 MB of a filter


@dataclass(frozen=True, slots=True)
class Plan:
    """Look at what ``driver`` leads to, keep those for which ``members`` hold.

    ``size``: documents of the driver, as far as they were counted.  ``others``: those of what else
    could have driven, in the order of ``members``, ``None`` where they were not counted.
    ``bound``: what holds for the clinical date of every match.
    """

    driver: Driver
    members: tuple[Member, ...]
    size: int
    bound: Filter
    others: tuple[int | None, ...] = ()

    @property
    def broad(self) -> bool:
        """True when to look at all that drives would cost more than to look for a page in order."""
        return self.size >= MANY

    @property
    def later(self) -> tuple[Member, ...]:
        """The members that are settled batch by batch."""
        return tuple(member for member in self.members if has_later(member))

    @property
    def filter(self) -> Filter:
        """What finds all matches; without members for later, nothing else."""
        return self.driven_by(self.driver)

    def driven_by(self, driver: Driver) -> Filter:
        """Return the same, with another to begin with; the own driver is then asked like the rest.

        Only what drives is left to an index.
        """
        asked = [upper(member) for member in self.members]
        if driver is not self.driver:
            asked.append(self.driver.filter)
        return all_of([driver.filter, self.bound, aside(all_of(asked))])


def upper(member: Member) -> Filter:
    """Return a filter that finds all that satisfy the member, and more where it is for later."""
    return _without_later(member, EVERY)


def _without_later(member: Member, instead: Filter) -> Filter:
    """Return the member's filter with ``instead`` (or its opposite, negated) for what is later."""
    match member:
        case Later():
            return instead
        case Unless(of):
            return nor(_without_later(of, nor(instead)))
        case Every(of):
            return all_of([_without_later(one, instead) for one in of])
        case Some(of):
            return any_of([_without_later(one, instead) for one in of])
        case _:
            return condition(member)


def has_later(member: Member) -> bool:
    """Tell whether a part of the member is settled batch by batch."""
    match member:
        case Later():
            return True
        case Unless(of):
            return has_later(of)
        case Every(of) | Some(of):
            return any(map(has_later, of))
        case _:
            return False


def is_value(member: Member) -> bool:
    """Tell whether a part of the member is a text or a place, which are found beforehand."""
    return _has(member, (TextIs, Near))


def is_chain(member: Member) -> bool:
    """Tell whether other resources decide whether the member holds."""
    return _has(member, (Refers, ReferredBy, Mentioned, InCompartmentOf))


def _has(member: Member, kinds: tuple[type, ...]) -> bool:
    match member:
        case Not(of) | Unless(of):
            return _has(of, kinds)
        case AllOf(of) | AnyOf(of) | Every(of) | Some(of):
            return any(_has(one, kinds) for one in of)
        case _:
            return isinstance(member, kinds)


def clinical(types: tuple[str, ...]) -> int | None:
    """Return the hash of the parameter whose start ``d`` is, of one type; ``None``: of none."""
    code = CLINICAL_PARAM.get(types[0]) if len(types) == 1 else None
    return None if code is None else param_hash(types[0], code)


def starts_open(place: int) -> Filter:
    """Return what finds those whose interval has no start: their ``d`` is another time."""
    return {"dt": {"$elemMatch": {"p": place, "lo": MIN_TIME}}}


def bounds(query: Query, members: list[Member]) -> Filter:
    """Return what conditions on the clinical date say of ``d``, where no start is open.

    The ends of intervals do not tell how early they begin.
    """
    place = clinical(query.types)
    dates = [
        one
        for one in members
        if isinstance(one, DateIs) and param_hash(one.type, one.param) == place
    ]
    found: dict[str, int] = {}
    for date in dates:
        below = {"eq": date.hi, "lt": date.lo, "le": date.hi, "eb": date.lo, "ap": date.hi}
        above = {"eq": date.lo, "sa": date.hi}
        if date.op in below:
            found["$lt"] = min(below[date.op], found.get("$lt", below[date.op]))
        if date.op in above:
            found["$gte"] = max(above[date.op], found.get("$gte", above[date.op]))
    return {"d": found} if found else EVERY
