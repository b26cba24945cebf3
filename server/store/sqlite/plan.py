"""Which rows a search begins with.  Pure, but for what it asks the file.

A search is a conjunction.  One of its members drives: its rows are walked, the others are probed
row by row by primary key.  The best driver is the most selective one.  When all are broad, a
posting list is best, because it is walked in the order of the answer and left when the page is
full.  What a chain reaches becomes a list of keys when it is little; else each row is asked.
Measured: these choices, not Python, decide what a search costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

from server.fhir.errors import TooCostly
from server.search.clinical import CLINICAL_PARAM
from server.search.query import (
    NOTHING,
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    Words,
)
from server.store.sqlite.compile import Every, Lists, Member, Rids, Some, condition, hashes
from server.store.sqlite.drive import Driver, Look, drivers
from server.store.sqlite.intervals import DAY
from server.store.sqlite.sql import TRUE, Sql, all_of, join

FEW = 64  # rows that are walked and sorted in less time than it takes to look for a better driver
MANY = 1000  # rows that are not counted further; walking and sorting them costs a millisecond
MOST = 50_000  # how far lists are counted when all are longer than MANY
MAX_PARTS = 400  # selects of one compound; SQLite allows 500
MAX_KEYS = 100_000  # keys and ids of one search; lists of them are bound as one value each
MAX_TEXTS = 10_000  # texts whose keys are taken out of the dictionary
MAX_WORDED = 20_000  # resources with words; asking one whether it has them costs as much as 300
MAX_REACHED = 5_000  # resources behind a chain that are looked up beforehand


@dataclass(frozen=True, slots=True)
class Plan:
    """Walk ``driver``, keep the rows for which ``members`` hold.

    ``size``: rows of the driver, as far as they were counted.  ``keys``: its lists with rows.
    ``bound``: condition on ``f.d``, true for every match.  ``others``: rows of what else could
    have driven, in the order of ``members``, ``None`` where they were not counted.
    ``words_first``: find all that have the words asked for, instead of asking each row.
    """

    driver: Driver
    keys: tuple[int, ...]
    members: tuple[Member, ...]
    size: int
    bound: Sql = TRUE
    others: tuple[int | None, ...] = ()
    words_first: bool = False
    counted: bool = False
    """Count the rows that reach each probe, and the end, with ``seen``."""

    @property
    def broad(self) -> bool:
        """True when walking all rows of the driver would cost more than probing for a page."""
        return self.size >= MANY

    @property
    def probes(self) -> tuple[Sql, ...]:
        """The conditions that each row is asked."""
        return self._conditions(thorough=self.words_first)

    @property
    def thorough(self) -> tuple[Sql, ...]:
        """The conditions when all rows of the driver are asked."""
        return self._conditions(thorough=self.broad)

    def _conditions(self, *, thorough: bool) -> tuple[Sql, ...]:
        made = tuple(condition(member, thorough=thorough) for member in self.members)
        if not self.counted:
            return made
        if not made:
            return (Sql("seen(0)"),)
        # CASE keeps the order, which AND does not.
        steps = [
            Sql(f" when seen({n})=0 or not ({one.text}) then 0", one.values)
            for n, one in enumerate(made)
        ]
        return (join(steps, "", "case", f" else seen({len(made)}) end"),)


@dataclass(frozen=True, slots=True)
class _Counted:
    size: int
    keys: tuple[int, ...]
    driver: Driver

    def rank(self) -> tuple[int, int]:
        """Fewer rows first; of equally many, the fewest lists, which need no merging."""
        return self.size, len(self.keys) if self.driver.keys else MAX_PARTS


def plan(query: Query, look: Look) -> Plan:
    """Return how to walk the matches of ``query``."""
    members = conjuncts(query)
    if (size := sum(map(_size, members))) > MAX_KEYS:
        raise TooCostly(f"the search names {size} keys and ids; at most {MAX_KEYS}")
    bound = _bound(members, query.types, look)
    members = [_with_texts(member, look) for member in members]
    counted = _count(drivers(members, query.types, look), look, bound)
    if min(one.size for one in counted) > FEW and any(_has_chain(m) for m in members):
        members = [_reached(member, min(c.size for c in counted), look) for member in members]
        counted = _count(drivers(members, query.types, look), look, bound)
    best = min(counted, key=_Counted.rank)
    sizes = {id(one.driver.of): one.size for one in counted}
    left = tuple(m for m in members if m is not best.driver.of or not best.driver.exact)
    others = tuple(sizes.get(id(member)) for member in left)
    beforehand = best.size >= MANY and _few_have_words(left, look)
    return Plan(best.driver, best.keys, left, best.size, bound, others, beforehand)


def conjuncts(query: Query) -> list[Member]:
    """Return predicates that together say what the query says, the types included.

    >>> conjuncts(Query(("Patient",), AllOf((HasKey(("Patient|active|c|true",)), AllOf(())))))
    [HasKey(keys=('Patient|active|c|true',))]
    >>> conjuncts(Query(("Patient",)))
    [HasKey(keys=('Patient',))]
    """
    members: list[Member] = list(_flat(query.where))
    if any(_implies(member, query.types) for member in members):
        return members
    return [*members, HasKey(query.types)]


def _size(member: Member) -> int:
    match member:
        case HasKey(keys):
            return len(keys)
        case IdIs(ids):
            return len(ids)
        case AllOf(of) | AnyOf(of):
            return sum(map(_size, of))
        case Not(of):
            return _size(of)
        case Refers(to=to):
            return _size(to.where)
        case ReferredBy(by=by):
            return _size(by.where)
        case _:
            return 1


def _count(found: list[Driver], look: Look, bound: Sql) -> list[_Counted]:
    counted: list[_Counted] = []
    for driver in found:
        counted.append(_Counted(*look.count(driver, MANY, bound), driver))
        if counted[-1].size <= FEW:
            return counted
    lists = [one for one in counted if one.driver.keys]
    if len(lists) > 1 and all(one.size >= MANY for one in counted):
        # All are broad.  Look once more, for a walk of the longest could be the whole record.
        return [_Counted(*look.count(one.driver, MOST, bound), one.driver) for one in lists]
    return counted


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


def _implies(member: Member, types: tuple[str, ...]) -> bool:
    """Tell whether only resources of the types can satisfy the member."""
    match member:
        case HasKey(keys):
            return all(key.partition("|")[0] in types for key in keys)
        case StringIs(type=type_) | DateIs(type=type_) | NumberIs(type=type_):
            return type_ in types
        case TextIs(type=type_) | Refers(type=type_) | Near(type=type_):
            return type_ in types
        case AnyOf(of) if of:
            return all(any(_implies(part, types) for part in _flat(one)) for one in of)
        case _:
            return member == NOTHING


def _bound(members: list[Member], types: tuple[str, ...], look: Look) -> Sql:
    """Return what a condition on the clinical date says of ``d``, which is its start.

    Nothing where a start may be open: then ``d`` is another time.
    """
    if len(types) != 1:
        return TRUE
    param = CLINICAL_PARAM.get(types[0])
    dates = [m for m in members if isinstance(m, DateIs) and (m.type, m.param) == (types[0], param)]
    if not dates or param is None or look.any_open(types[0], param):
        return TRUE
    return all_of([Sql(f"f.d{sign}?", (at,)) for date in dates for sign, at in _ends(date, look)])


def _ends(date: DateIs, look: Look) -> Iterator[tuple[str, int]]:
    below = {"eq": date.hi, "lt": date.lo, "le": date.hi, "eb": date.lo, "ap": date.hi}
    if date.op in below:
        yield "<", below[date.op]
    if date.op == "eq":
        yield ">=", date.lo
    elif date.op == "sa":
        yield ">=", date.hi
    elif date.op in ("gt", "ge", "ap"):
        earliest = look.earliest(date)
        if earliest is not None:
            yield ">=", min(earliest, date.lo - DAY)


def _with_texts(member: Member, look: Look) -> Member:
    """Return the member with texts as the keys of the texts that there are."""
    match member:
        case TextIs():
            keys = look.texts(member, MAX_TEXTS)
            return member if keys is None else Lists(keys, member)
        case AllOf(of):
            return Every(tuple(_with_texts(one, look) for one in of))
        case AnyOf(of) if of:
            return _some(member, tuple(_with_texts(one, look) for one in of))
        case _:
            return member


def _some(asked: Member, of: tuple[Member, ...]) -> Member:
    """Return a disjunction; one of posting lists only is posting lists."""
    if isinstance(asked, AnyOf) and all(isinstance(one, Lists) for one in of):
        found = (h for one in of if isinstance(one, Lists) for h in one.hashes)
        return Lists(tuple(dict.fromkeys(found)), asked)
    return Some(of)


def _few_have_words(members: tuple[Member, ...], look: Look) -> bool:
    """Tell whether all matches of the words are found in less time than a page of rows is asked."""
    asked = [words for member in members for words in _words(member)]
    few = (
        look.count(driver, MAX_WORDED)[0] < MAX_WORDED
        for words in asked
        for driver in drivers((words,), (), look)
        if driver.rows is not None
    )
    return bool(asked) and all(few)


def _words(member: Member) -> Iterator[Words]:
    match member:
        case Words():
            yield member
        case Not(of):
            yield from _words(of)
        case AllOf(of) | AnyOf(of) | Every(of) | Some(of):
            for one in of:
                yield from _words(one)


def _has_chain(member: Member) -> bool:
    match member:
        case Refers() | ReferredBy():
            return True
        case AllOf(of) | AnyOf(of) | Every(of) | Some(of):
            return any(_has_chain(one) for one in of)
        case _:
            return False


def _reached(member: Member, size: int, look: Look) -> Member:
    """Return the member with chains as what they reach, where that is little.

    Asking each row costs as many looks as rows are walked for a page, that is the fewer the more
    the chain reaches; looking beforehand costs the more.
    """
    match member:
        case Refers(to=to):
            keys = look.referring(member, _worth(to.types, size, look))
            return member if keys is None else Lists(keys, member)
        case ReferredBy(by=by):
            rids = look.referred(member, _worth(by.types, size, look))
            return member if rids is None else Rids(rids, member)
        case AllOf(of) | Every(of):
            return Every(tuple(_reached(one, size, look) for one in of))
        case AnyOf(of) | Some(of) if of:
            return _some(member, tuple(_reached(one, size, look) for one in of))
        case _:
            return member


def _worth(types: tuple[str, ...], size: int, look: Look) -> int:
    """Return how many resources behind a chain are worth looking up beforehand."""
    total, _ = look.count(Driver(keys=hashes(types)), MOST)
    return min(max(isqrt(12 * total), FEW), size, MAX_REACHED)
