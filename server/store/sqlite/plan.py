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
from server.search.conjuncts import conjuncts
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Mentioned,
    Near,
    Not,
    NumberIs,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.store.sqlite.compile import (
    Every,
    Found,
    Inside,
    Lists,
    Member,
    Rids,
    Some,
    Unless,
    condition,
    hashes,
    keeps_unreleased,
    says_present,
)
from server.store.sqlite.drive import Driver, Look, drivers, lists
from server.store.sqlite.inside import inside
from server.store.sqlite.intervals import DAY
from server.store.sqlite.sql import TRUE, Sql, all_of, join

FEW = 64  # rows that are walked and sorted in less time than it takes to look for a better driver
MANY = 1000  # rows that are not counted further; walking and sorting them costs a millisecond
MOST = 50_000  # how far lists are counted when all are longer than MANY
MAX_PARTS = 400  # selects of one compound; SQLite allows 500
MAX_KEYS = 100_000  # keys and ids of one search; lists of them are bound as one value each
MAX_TEXTS = 10_000  # texts whose keys are taken out of the dictionary
MAX_FOUND = 20_000  # matches of a value or of words that are found instead of asking each row
MANY_TYPES = 20  # that are taken for all types where only the order of magnitude counts
MERGED_EACH = 4  # lists that are walked side by side, each with what is found for it anew
FEW_BAGS = 4  # lists in which a row is looked for, to tell whether it has a value
MAX_REACHED = 5_000  # resources behind a chain that are looked up beforehand
MAX_MENTIONING = 2_000  # resources whose references are all looked up beforehand
MAX_MENTIONING_KEPT = 100_000  # the same where many rows are to be asked; 4 us each, once
ASKED_PER_LIST = 2  # compartments worth as much as asking one row in so many resources
ASKED_EACH = 3  # rows that are rather asked one by one whether one of many refers to them


@dataclass(frozen=True, slots=True)
class Plan:
    """Walk ``driver``, keep the rows for which ``members`` hold.

    ``size``: rows of the driver, as far as they were counted.  ``keys``: its lists with rows.
    ``bound``: condition on ``f.d``, true for every match.  ``others``: rows of what else could
    have driven, in the order of ``members``, ``None`` where they were not counted.
    """

    driver: Driver
    keys: tuple[int, ...]
    members: tuple[Member, ...]
    size: int
    bound: Sql = TRUE
    others: tuple[int | None, ...] = ()
    counted: bool = False
    """Count the rows that reach each probe, and the end, with ``seen``."""

    @property
    def broad(self) -> bool:
        """True when walking all rows of the driver would cost more than probing for a page."""
        return self.size >= MANY

    @property
    def probes(self) -> tuple[Sql, ...]:
        """The conditions that each row is asked."""
        return self._conditions(thorough=False)

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


def plan(query: Query, look: Look, also: tuple[Member, ...] = (), *, paged: bool = False) -> Plan:
    """Return how to walk the matches of ``query``, for which ``also`` holds as well.

    ``paged``: a page is wanted in the order of the lists, not all matches.
    """
    query = inside(query, look)
    members: list[Member] = [*conjuncts(query), *also]
    if (size := sum(map(_size, members))) > MAX_KEYS:
        raise TooCostly(f"the search names {size} keys and ids; at most {MAX_KEYS}")
    bound = _bound(members, query.types, look)
    members = [_settled(member, look) for member in members]
    counted = _count(drivers(members, query.types, look), look, bound)
    best = min(counted, key=_Counted.rank)
    if any(_has_chain(m, far=best.size > FEW) for m in members):
        members = [_reached(member, best, look) for member in members]
        counted = _count(drivers(members, query.types, look), look, bound)
    best = _best(counted, look) if paged else min(counted, key=_Counted.rank)
    sizes = {id(one.driver.of): one.size for one in counted}
    left = tuple(m for m in members if m is not best.driver.of or not best.driver.exact)
    others = tuple(sizes.get(id(member)) for member in left)
    if best.size >= MANY and best.driver.keys and len(best.keys) <= MERGED_EACH:
        left = tuple(_found(member, query.types, look) for member in left)
    return Plan(best.driver, best.keys, left, best.size, bound, others)


def _best(counted: list[_Counted], look: Look) -> _Counted:
    """Return what to walk for a page.

    Of many compartments each list has to be looked into, and what is wanted may stand far down in
    it; where the compartments are a good part of the record, one list soon has a page of theirs.
    """
    best = min(counted, key=_Counted.rank)
    if not isinstance(best.driver.of, Inside) or best.size < MANY:
        return best
    others = [one for one in counted if one.keys and len(one.keys) <= MERGED_EACH]
    if others and ASKED_PER_LIST * look.resources() <= best.size * len(best.keys):
        return min(others, key=_Counted.rank)
    return best


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
        case ReferredBy(by=by) | Mentioned(by=by):
            return _size(by.where)
        case Inside(of=of):
            return _size(of.to.where)
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


def _settled(member: Member, look: Look) -> Member:
    """Return the member with texts and presence as the lists that there are for them."""
    if keeps_unreleased(member):
        return member
    match member:
        case TextIs():
            keys = look.texts(member, MAX_TEXTS)
            return member if keys is None else Lists(keys, member)
        case HasKey(keys) if keys and all(map(says_present, keys)):
            # A list that is walked in its order is read there; rows of resources lie anywhere.
            found = lists(keys, look)
            return Lists(found, member) if len(found) <= FEW_BAGS else member
        case Not(of):
            return Unless(_settled(of, look))
        case AllOf(of):
            return Every(tuple(_settled(one, look) for one in of))
        case AnyOf(of) if of:
            return _some(member, tuple(_settled(one, look) for one in of))
        case _:
            return member


def _some(asked: Member, of: tuple[Member, ...]) -> Member:
    """Return a disjunction; one of posting lists only is posting lists."""
    if isinstance(asked, AnyOf) and all(isinstance(one, Lists) for one in of):
        found = (h for one in of if isinstance(one, Lists) for h in one.hashes)
        return Lists(tuple(dict.fromkeys(found)), asked)
    return Some(of)


def _found(member: Member, types: tuple[str, ...], look: Look) -> Member:
    """Return the member with values and words as what they find, where that is little.

    A walk asks the more rows the fewer have the value, each of them somewhere else in the file;
    what an index or the words find comes in a row.
    """
    if keeps_unreleased(member):
        return member  # it is asked of the few only whose release is limited
    match member:
        case NumberIs() | StringIs() | DateIs() | UpdatedIs() | Near() | Words():
            if isinstance(member, DateIs) and CLINICAL_PARAM.get(types[0]) == member.param:
                return member  # it bounds the walk
            for driver in drivers((member,), types, look):
                if driver.of is member and driver.exact and driver.rows is not None:
                    few = look.count(driver, MAX_FOUND)[0] < MAX_FOUND
                    return Found(driver.rows, member) if few else member
            return member
        case Not(of) | Unless(of):
            return Unless(_found(of, types, look))
        case AllOf(of) | Every(of):
            return Every(tuple(_found(one, types, look) for one in of))
        case AnyOf(of) | Some(of) if of:
            return Some(tuple(_found(one, types, look) for one in of))
        case _:
            return member


def _has_chain(member: Member, *, far: bool) -> bool:
    """Tell whether something may be looked up beforehand; chains only where many rows are left."""
    match member:
        case Mentioned():
            return True
        case Refers() | ReferredBy():
            return far
        case AllOf(of) | AnyOf(of) | Every(of) | Some(of):
            return any(_has_chain(one, far=far) for one in of)
        case _:
            return False


def _reached(member: Member, best: _Counted, look: Look) -> Member:
    """Return the member with chains as what they reach, where that is little.

    Asking each row costs as many looks as rows are walked for a page, that is the fewer the more
    the chain reaches; looking beforehand costs the more.
    """
    match member:
        case Mentioned():
            rids = look.mentioned(member, MAX_MENTIONING)
            if rids is None and best.size <= ASKED_EACH:
                rids = look.mentioned_of(member, best.driver)
            if rids is None:
                rids = look.mentioned(member, MAX_MENTIONING_KEPT)
            return member if rids is None else Rids(rids, member)
        case Refers() | ReferredBy() if best.size <= FEW:
            return member
        case Refers(to=to):
            keys = look.referring(member, _worth(to.types, best.size, look))
            return member if keys is None else Lists(keys, member)
        case ReferredBy(by=by):
            rids = look.referred(member, _worth(by.types, best.size, look))
            return member if rids is None else Rids(rids, member)
        case AllOf(of) | Every(of):
            return Every(tuple(_reached(one, best, look) for one in of))
        case AnyOf(of) | Some(of) if of:
            return _some(member, tuple(_reached(one, best, look) for one in of))
        case _:
            return member


def _worth(types: tuple[str, ...], size: int, look: Look) -> int:
    """Return how many resources behind a chain are worth looking up beforehand."""
    if len(types) > MANY_TYPES:
        total = look.resources()  # counting each is not worth it
    else:
        total, _ = look.count(Driver(keys=hashes(types)), MOST)
    return min(max(isqrt(12 * total), FEW), size, MAX_REACHED)
