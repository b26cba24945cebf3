"""Which rows a search begins with.  Pure, but for the counts it asks for.

A search is a conjunction.  One of its members drives: its rows are walked, the others are probed
row by row by primary key.  The best driver is the most selective one.  When all are broad, a
posting list is best, because it is walked in the order of the answer and left when the page is
full.  Measured: this choice, not Python, decides what a search costs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from server.search.query import (
    NOTHING,
    AllOf,
    AnyOf,
    Comparator,
    DateIs,
    HasKey,
    IdIs,
    NumberIs,
    Predicate,
    Query,
    StringIs,
    UpdatedIs,
)
from server.search.rows import hash64, param_hash
from server.store.sqlite.compile import (
    Sql,
    any_of,
    condition,
    hashes,
    marks,
    starts_with,
    updated,
)

FEW = 64  # rows that are walked and sorted in less time than it takes to look for a better driver
MANY = 1000  # rows that are not counted further; walking and sorting them costs a millisecond
MOST = 50_000  # how far lists are counted when all are longer than MANY
MAX_PARTS = 400  # selects of one compound; SQLite allows 500


@dataclass(frozen=True, slots=True)
class Driver:
    """Rows to begin with.

    ``keys``: posting lists; else ``rows`` selects rids.  ``says``: the member that needs no
    probe any more because every row satisfies it, ``None`` if the rows are more than its own.
    """

    keys: tuple[int, ...] = ()
    rows: Sql | None = None
    says: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Walk ``driver``, keep the rows for which ``probes`` holds.

    ``size``: rows of the driver, as far as they were counted.  ``keys``: its lists with rows.
    """

    driver: Driver
    keys: tuple[int, ...]
    probes: tuple[Sql, ...]
    size: int

    @property
    def broad(self) -> bool:
        """True when walking all rows of the driver would cost more than probing for a page."""
        return self.size >= MANY


@dataclass(frozen=True, slots=True)
class _Counted:
    size: int
    keys: tuple[int, ...]
    driver: Driver

    def rank(self) -> tuple[int, int]:
        """Fewer rows first; of equally many, the fewest lists, which need no merging."""
        return self.size, len(self.keys) if self.driver.keys else MAX_PARTS


Count = Callable[[Driver, int], tuple[int, tuple[int, ...]]]
"""Counts a driver's rows up to a limit; returns the posting lists that are not empty as well."""


def plan(query: Query, count: Count) -> Plan:
    """Return how to walk the matches of ``query``."""
    members = conjuncts(query)
    counted: list[_Counted] = []
    for driver in drivers(members, query.types):
        counted.append(_Counted(*count(driver, MANY), driver))
        if counted[-1].size <= FEW:
            break
    lists = [one for one in counted if one.driver.keys]
    if len(lists) > 1 and all(one.size >= MANY for one in counted):
        # All are broad.  Look once more, for a walk of the longest could be the whole record.
        counted = [_Counted(*count(one.driver, MOST), one.driver) for one in lists]
    best = min(counted, key=_Counted.rank)
    probes = tuple(condition(m) for m in members if m is not best.driver.says)
    return Plan(best.driver, best.keys, probes, best.size)


def conjuncts(query: Query) -> list[Predicate]:
    """Return predicates that together say what the query says, the types included.

    >>> conjuncts(Query(("Patient",), AllOf((HasKey(("Patient|active|c|true",)), AllOf(())))))
    [HasKey(keys=('Patient|active|c|true',))]
    >>> conjuncts(Query(("Patient",)))
    [HasKey(keys=('Patient',))]
    """
    members = list(_flat(query.where))
    if any(_implies(member, query.types) for member in members):
        return members
    return [*members, HasKey(query.types)]


def drivers(members: Sequence[Predicate], types: tuple[str, ...]) -> list[Driver]:
    """Return what could drive, the likely best first."""
    found = [driver for m in members if (driver := _driver(m, types)) is not None]
    found.sort(key=_likelihood)
    if not any(driver.keys for driver in found):
        found.append(Driver(keys=hashes(types)))
    return found


def _flat(predicate: Predicate) -> Iterator[Predicate]:
    if isinstance(predicate, AllOf):
        for one in predicate.of:
            yield from _flat(one)
    elif isinstance(predicate, AnyOf) and predicate.of:
        if all(isinstance(one, HasKey) for one in predicate.of):
            keys = (key for one in predicate.of if isinstance(one, HasKey) for key in one.keys)
            yield HasKey(tuple(dict.fromkeys(keys)))
        elif len(predicate.of) == 1:
            yield from _flat(predicate.of[0])
        else:
            yield predicate
    else:
        yield predicate


def _implies(member: Predicate, types: tuple[str, ...]) -> bool:
    """Tell whether only resources of the types can satisfy the member."""
    match member:
        case HasKey(keys):
            return all(key.partition("|")[0] in types for key in keys)
        case StringIs(type=type_) | DateIs(type=type_) | NumberIs(type=type_):
            return type_ in types
        case _:
            return member == NOTHING


def _driver(member: Predicate, types: tuple[str, ...]) -> Driver | None:
    match member:
        case HasKey(keys):
            return Driver(keys=hashes(keys), says=member)
        case AnyOf(of) if of:
            return _cover(of)
        case StringIs(type_, param, "starts", values):
            within = any_of([starts_with("v", value) for value in values])
            table = Sql("select rid from str where p=? and ", (param_hash(type_, param),))
            return Driver(rows=table + within, says=member)
        case DateIs():
            return _date(member)
        case NumberIs(type_, param):
            return Driver(keys=(hash64(f"{type_}|{param}|?"),))
        case IdIs(ids):
            places = f"r.type in ({marks(types)}) and r.id in ({marks(ids)}) and r.deleted=0"
            return Driver(
                rows=Sql(f"select r.rid from res r where {places}", types + ids), says=member
            )
        case UpdatedIs(op, lo, hi) if op != "ne":
            live = Sql("select r.rid from res r where r.deleted=0 and ")
            return Driver(rows=live + updated("r", op, lo, hi), says=member)
        case _:
            return None


def _date(member: DateIs) -> Driver:
    """Return a range of interval ends; an interval is never empty, so ``hi`` is behind ``lo``."""
    ranges: dict[Comparator, tuple[str, tuple[int, ...]]] = {
        "eq": ("x.hi>? and x.hi<=? and x.lo>=?", (member.lo, member.hi, member.lo)),
        "gt": ("x.hi>?", (member.hi,)),
        "ge": ("x.hi>?", (member.lo,)),  # a little wide
        "sa": ("x.hi>? and x.lo>=?", (member.hi, member.hi)),
        "eb": ("x.hi<=?", (member.lo,)),
        "ap": ("x.hi>? and x.lo<?", (member.lo, member.hi)),
    }
    if member.op not in ranges:
        # Starts have no index of their own: walk the resources that have the parameter at all.
        return Driver(keys=(hash64(f"{member.type}|{member.param}|?"),))
    text, values = ranges[member.op]
    place = (param_hash(member.type, member.param),)
    rows = Sql(f"select x.rid from dat x where x.p=? and {text}", place + values)
    return Driver(rows=rows, says=None if member.op == "ge" else member)


def _cover(of: tuple[Predicate, ...]) -> Driver | None:
    """Return the posting lists that hold every match of an alternative, if each has some."""
    keys: dict[int, None] = {}
    for one in of:
        wanted = [m for m in _flat(one) if isinstance(m, HasKey)]
        if not wanted:
            return None
        # A compartment is the narrowest thing that access limits consist of.
        chosen = next((m for m in wanted if m.keys[0].startswith("compartment|")), wanted[0])
        keys.update(dict.fromkeys(hashes(chosen.keys)))
    return Driver(keys=tuple(keys))


def _likelihood(driver: Driver) -> int:
    """Rank what is usually narrow first: most searches then count one list only."""
    says = driver.says
    if isinstance(says, IdIs):
        return 0
    if isinstance(says, HasKey):
        if any(key.startswith("compartment|") or "|r|" in key for key in says.keys):
            return 1
        return 5 if "|" not in says.keys[0] else 2
    return 3 if says is not None else 4
