"""What could drive a search: for each member of the conjunction, rows that hold all its matches.

Pure, but for what it asks the file through :class:`Look`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from server.search.query import (
    AllOf,
    AnyOf,
    Comparator,
    DateIs,
    HasKey,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Near,
    NumberIs,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import hash64, param_hash
from server.store.sqlite.compile import (
    Every,
    Inside,
    Lists,
    Member,
    Rids,
    Some,
    hashes,
    place,
    says_present,
    text_place,
)
from server.store.sqlite.functions import name_of
from server.store.sqlite.intervals import DAY, updated
from server.store.sqlite.near import within
from server.store.sqlite.sql import TRUE, Sql, is_in, numbers
from server.store.sqlite.texts import phrases, text_is

MAX_DRIVING = 400  # compartments whose lists are walked; of more, each row is asked


@dataclass(frozen=True, slots=True)
class Driver:
    """Rows to begin with.

    ``keys``: posting lists; else ``rows`` selects rids.  ``of``: the member that they come from.
    ``exact``: every row satisfies it, so that it needs no probe any more.
    """

    keys: tuple[int, ...] = ()
    rows: Sql | None = None
    of: Member | None = None
    exact: bool = False


class Look(Protocol):
    """What planning asks the file."""

    def count(self, driver: Driver, limit: int, bound: Sql = TRUE) -> tuple[int, tuple[int, ...]]:
        """Return a driver's rows, at most ``limit``, and its lists that are not empty.

        ``bound``: a condition on ``f.d`` of rows in lists.
        """

    def bags(self, key: int) -> tuple[int, ...]:
        """Return the posting keys of the bags that a key of presence is in."""

    def texts(self, asked: TextIs, limit: int) -> tuple[int, ...] | None:
        """Return the keys of the texts that are asked for; ``None``: there are more."""

    def referring(self, asked: Refers, limit: int) -> tuple[int, ...] | None:
        """Return the reference keys that name what the chain reaches; ``None``: there are more."""

    def referred(self, asked: ReferredBy, limit: int) -> tuple[int, ...] | None:
        """Return the rids that the matches of ``by`` refer to; ``None``: there are more."""

    def mentioned(self, asked: Mentioned, limit: int) -> tuple[int, ...] | None:
        """Return the rids that ``limit`` resources at most refer to; ``None``: there are more."""

    def mentioned_of(self, asked: Mentioned, driver: Driver) -> tuple[int, ...]:
        """Return those rows of a driver that are referred to; each is asked."""

    def compartments_of(self, asked: InCompartmentOf) -> frozenset[int]:
        """Return the keys of the compartments of what matches ``asked.to``."""

    def earliest(self, asked: DateIs) -> int | None:
        """Return the smallest ``lo`` that a row with ``hi`` behind ``asked.lo`` may have.

        ``None``: there are too many long intervals to tell.
        """

    def resources(self) -> int:
        """Return how many resources there are, or somewhat more."""

    def any_open(self, type_: str, param: str) -> bool:
        """Tell whether an interval of the parameter has an open start."""


def drivers(members: Sequence[Member], types: tuple[str, ...], look: Look) -> list[Driver]:
    """Return what could drive, the likely best first."""
    found = [driver for m in members if (driver := _driver(m, types, look)) is not None]
    found.sort(key=_likelihood)
    if not any(driver.keys for driver in found):
        found.append(Driver(keys=hashes(types)))
    return found


def _driver(member: Member, types: tuple[str, ...], look: Look) -> Driver | None:
    match member:
        case HasKey(keys):
            return Driver(keys=lists(keys, look), of=member, exact=True)
        case Lists(found):
            return Driver(keys=found, of=member, exact=True)
        case Rids(rids):
            rows = Sql("select value from carray(?)", (numbers(rids),))
            return Driver(rows=rows, of=member, exact=True)
        case Inside(_, marks) if len(marks) <= MAX_DRIVING:
            return Driver(keys=tuple(marks), of=member, exact=True)
        case AnyOf(of) | Some(of) if of:
            return _covering(member, of, look)
        case IdIs():
            return _named(member, types)
        case UpdatedIs(op, lo, hi) if op != "ne":
            rows = Sql("select r.rid from res r where r.deleted=0 and ") + updated("r", op, lo, hi)
            return Driver(rows=rows, of=member, exact=True)
        case _:
            return _by_value(member, look)


def _by_value(member: Member, look: Look) -> Driver | None:
    match member:
        case StringIs(type_, code, "starts" | "is", values) if values:
            rows = Sql("select rid from str where p") + place(type_, code) + Sql(" and ")
            rows = rows + text_is("v", member.op, values)
            return Driver(rows=rows, of=member, exact=True)
        case StringIs(type_, code):
            return Driver(keys=lists((f"{type_}|{code}|?",), look), of=member)
        case DateIs():
            return _date(member)
        case NumberIs():
            return _number(member)
        case Near(type_, code):
            rows = Sql("select g.rid from point g where g.p") + place(type_, code)
            return Driver(rows=rows + Sql(" and ") + within(member), of=member, exact=True)
        case Words() if member.asked:
            rows = Sql("select rowid from words where words match ?", (phrases(member),))
            return Driver(rows=rows, of=member, exact=True)
        case TextIs():
            rows = Sql("select t.rid from text w cross join tok t on t.h=w.h where w.p")
            return Driver(rows=rows + text_place(member), of=member, exact=True)
        case _:
            return None


def lists(keys: tuple[str, ...], look: Look) -> tuple[int, ...]:
    """Return the posting lists of key texts, those of bags among them."""
    found = dict.fromkeys(hashes(keys))
    for key in keys:
        if says_present(key):
            found.update(dict.fromkeys(look.bags(hash64(key))))
    return tuple(found)


def _named(member: IdIs, types: tuple[str, ...]) -> Driver:
    names = tuple({name_of(type_, id_) for type_ in types for id_ in member.ids})
    rows = Sql("select r.rid from name n cross join res r on r.rid=n.rid where ")
    rows = rows + is_in("n.h", names) + Sql(" and r.deleted=0")
    return Driver(rows=rows, of=member)


def _date(member: DateIs) -> Driver:
    """Return ranges of the index by start; who ends far behind has an index of its own.

    An interval is never empty: ``hi`` is behind ``lo``.
    """
    where = place(member.type, member.param)
    lo, hi = member.lo, member.hi
    from_start: dict[Comparator, tuple[str, tuple[int, ...]]] = {
        "eq": ("x.lo>=? and x.lo<? and x.hi<=?", (lo, hi, hi)),
        "lt": ("x.lo<?", (lo,)),
        "le": ("x.lo<?", (hi,)),
        "sa": ("x.lo>=?", (hi,)),
        "eb": ("x.lo<? and x.hi<=?", (lo, lo)),
    }
    begin = Sql("select x.rid from dat x where x.p") + where
    if member.op in from_start:
        text, values = from_start[member.op]
        return Driver(rows=begin + Sql(f" and {text}", values), of=member, exact=member.op != "le")
    if member.op == "ne":
        return Driver(rows=begin, of=member)
    edge = hi if member.op == "gt" else lo
    short = Sql(" and x.lo>? and x.hi>?", (edge - DAY - 1, edge))
    long = Sql(" and x.hi>? and x.hi-x.lo>86400000000", (edge,))
    if member.op == "ap":
        short, long = (part + Sql(" and x.lo<?", (hi,)) for part in (short, long))
    rows = begin + short + Sql(" union all ") + begin + long
    return Driver(rows=rows, of=member, exact=member.op != "ge")


def _number(member: NumberIs) -> Driver:
    """Return ranges of the indexes by low end and by high end.

    ``ap`` asks for both ends.  What reaches far up from its low end has an index of its own; of the
    others the low end is above a bound when the high end is above ``lo``.
    """
    lo, hi = member.lo, member.hi
    unit = (param_hash(member.type, member.param) ^ hash64(member.unit),)
    begin = Sql("select x.rid from num x where x.s in (select n from member where h=?)", unit)
    ranges: dict[Comparator, tuple[str, tuple[float, ...]]] = {
        "eq": ("x.lo>=? and x.lo<=? and x.hi<=?", (lo, hi, hi)),
        "lt": ("x.lo<?", (lo,)),
        "le": ("x.lo<=?", (hi,)),  # a little wide
        "sa": ("x.lo>=?", (hi,)),
        "eb": ("x.lo<=? and x.hi<=?", (lo, lo)),
        "gt": ("x.hi>?", (hi,)),
        "ge": ("x.hi>=?", (lo,)),  # a little wide
    }
    if member.op in ranges:
        text, values = ranges[member.op]
        exact = member.op not in ("le", "ge")
        return Driver(rows=begin + Sql(f" and {text}", values), of=member, exact=exact)
    if member.op == "ne":
        return Driver(rows=begin, of=member)
    bound = min((lo - 1) / 1.1, (lo - 1) / 0.9) - 1e-6 * abs(lo)
    short = Sql(" and x.lo>=? and x.lo<? and x.hi>?", (bound, hi, lo))
    wide = Sql(" and x.hi>? and x.hi-x.lo>=abs(x.lo)*0.1+1 and x.lo<?", (lo, hi))
    return Driver(rows=begin + short + Sql(" union all ") + begin + wide, of=member, exact=True)


def _covering(member: Member, of: Sequence[Member], look: Look) -> Driver | None:
    """Return what holds every match of each alternative, if each has a list or is found."""
    keys: dict[int, None] = {}
    rids: set[int] = set()
    for one in of:
        found = [m for m in _flat(one) if _is_found(m)]
        if not found:
            return None
        chosen = min(found, key=_width)
        match chosen:
            case Rids(some):
                rids.update(some)
            case Lists(hashed):
                keys.update(dict.fromkeys(hashed))
            case Inside(_, marks):
                keys.update(dict.fromkeys(marks))
            case HasKey(texts):
                keys.update(dict.fromkeys(lists(texts, look)))
    if not rids:
        return Driver(keys=tuple(keys), of=member)
    rows = Sql("select value from carray(?)", (numbers(rids),))
    if keys:
        rows = rows + Sql(" union all select rid from tok where ") + is_in("h", tuple(keys))
    return Driver(rows=rows, of=member)


def _flat(member: Member) -> list[Member]:
    if isinstance(member, AllOf | Every):
        return [found for one in member.of for found in _flat(one)]
    if isinstance(member, AnyOf | Some) and len(member.of) == 1:
        return _flat(member.of[0])
    return [member]


def _is_found(member: Member) -> TypeGuard[HasKey | Lists | Rids | Inside]:
    if isinstance(member, Inside):
        return len(member.marks) <= MAX_DRIVING
    return isinstance(member, HasKey | Lists | Rids)


def _width(member: HasKey | Lists | Rids | Inside) -> int:
    """Rank what an alternative consists of; a compartment is the narrowest list of a limit."""
    if isinstance(member, Rids | Inside):
        return 0
    if isinstance(member, HasKey) and member.keys and member.keys[0].startswith("compartment|"):
        return 0
    if isinstance(member, HasKey) and all("|" not in key for key in member.keys):
        return 2
    return 1


def _likelihood(driver: Driver) -> int:
    """Rank what is usually narrow first: most searches then count one list only."""
    of = driver.of
    if isinstance(of, IdIs | Rids):
        return 0
    if isinstance(of, HasKey):
        if any(key.startswith("compartment|") or "|r|" in key for key in of.keys):
            return 1
        return 5 if not of.keys or "|" not in of.keys[0] else 2
    if isinstance(of, Lists | Inside):
        return 2
    return 3 if driver.exact else 4
