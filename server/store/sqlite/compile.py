"""Query -> SQL.  Pure: nothing is executed here.

A predicate becomes a condition on a row that has ``rid`` and ``d``: ``f``, and ``f1``, ``f2`` ...
behind each hop of a chain.  Which rows ``f`` runs over is the business of
:mod:`server.store.sqlite.plan`.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import apsw

from server.audit.common import is_common
from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import ANY_TYPE, compartment_key, hash64, key_hash, label_mark, param_hash
from server.store.sqlite import mentioned
from server.store.sqlite.intervals import compare, updated
from server.store.sqlite.near import within
from server.store.sqlite.sql import Sql, all_of, any_of, exists, is_in, marks, numbers
from server.store.sqlite.texts import phrases, text_is
from server.store.stored import LABELLED

_LABEL = compartment_key(label_mark(""))

MAX_TYPES_PROBED = 2  # types asked of the postings; of more, the resource's own row tells
MAX_PROBED = 50  # keys looked for one by one in each row; of more, the row's own are looked up


@dataclass(frozen=True, slots=True)
class Lists:
    """``of``, which holds for exactly the resources in these posting lists."""

    hashes: tuple[int, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class Rids:
    """``of``, which holds for exactly these resources."""

    rids: tuple[int, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class Inside:
    """``of``, which holds for exactly the resources with one of these keys of compartments."""

    of: InCompartmentOf
    marks: frozenset[int] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """``of``, which holds for exactly the rids that ``rows`` selects: they are found once."""

    rows: Sql
    of: Predicate


@dataclass(frozen=True, slots=True)
class Naming:
    """The resource refers to one of these names, by whatever parameter."""

    names: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unless:
    """A negation of what is settled."""

    of: "Member"


@dataclass(frozen=True, slots=True)
class Every:
    """A conjunction in which some members are settled."""

    of: tuple["Member", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """A disjunction in which some members are settled."""

    of: tuple["Member", ...]


Member = Predicate | Lists | Rids | Inside | Found | Naming | Unless | Every | Some
"""A part of a query as it is asked, or settled: what it finds is known already."""


def condition(member: Member, depth: int = 0, *, thorough: bool = False) -> Sql:
    """Return the condition under which the row of this depth satisfies the member.

    ``thorough``: it is asked of so many rows that all matches are better found beforehand.

    >>> condition(Not(HasKey(("Patient|gender|c|male",)))).text
    'not exists(select 1 from tok t where t.h in (?) and t.d=f.d and t.rid=f.rid)'
    >>> condition(AnyOf(()))
    Sql(text='0', values=())
    >>> print(condition(DateIs("Patient", "birthdate", "lt", 5, 6)).text)
    exists(select 1 from dat x where x.rid=f.rid and x.p=(select n from sym where h=?) and x.lo<?)
    """
    row = f"f{depth}" if depth else "f"
    match member:
        case HasKey(keys):
            return _has_key(keys, row)
        case Lists(hashes, of):
            if len(hashes) <= MAX_PROBED:
                return _posted(hashes, row)
            # A row does not keep the keys of its references.
            return condition(of, depth) if reads_others(of) else _among_own(hashes, row)
        case Rids(rids):
            return Sql(f"{row}.rid in (select value from carray(?))", (numbers(rids),))
        case Inside(_, wanted):
            kept = f"res r cross join ver v on v.vid=r.vid where r.rid={row}.rid and "
            own = Sql("in_compartment(r.keys,v.compartments,?)", (apsw.pyobject(wanted),))
            return exists(Sql(kept) + own)
        case Found(rows):
            return Sql(f"{row}.rid in (") + rows + Sql(")")
        case Naming(names):
            return exists(Sql(f"edge e where e.rid={row}.rid and ") + is_in("e.dst", names))
        case Not(AllOf((HasKey((key,)), DateIs(op="gt") as date))) if date.type == ANY_TYPE:
            return _released(key, date, row)
        case AllOf() | Every():
            return all_of([condition(one, depth, thorough=thorough) for one in member.of])
        case AnyOf() | Some():
            return any_of([condition(one, depth, thorough=thorough) for one in member.of])
        case Not(HasKey(keys)) | Unless(HasKey(keys)) if keys and keys[0].startswith(_LABEL):
            return _not_labelled(keys, row)
        case Not(of) | Unless(of):
            inner = condition(of, depth, thorough=thorough)
            return Sql(f"not {inner.text}", inner.values)
        case Refers(type_, code, to):
            return _refers(param_hash(type_, code), to, depth)
        case ReferredBy(by, code):
            return _referred_by(param_hash(by.types[0], code), by, depth)
        case Mentioned(by):
            found = mentioned.named(by, condition(by.where, depth + 1), f"f{depth + 1}")
            return Sql(f"{row}.rid in (") + found + Sql(")")
        case Words():
            return _words(member, row, thorough=thorough)
        case _:
            return _has_row(member, row)


def hashes(keys: tuple[str, ...]) -> tuple[int, ...]:
    """Return the stored hashes of key texts."""
    if keys and keys[0].startswith("compartment|"):
        return tuple(map(_mark_hash, keys))  # the same few, in every query of a caller
    return tuple(map(key_hash, keys))


_mark_hash = lru_cache(maxsize=4096)(key_hash)


def reads_others(asked: Predicate | Inside) -> bool:
    """Tell whether other resources decide whether the predicate holds."""
    match asked:
        case Refers() | ReferredBy() | Mentioned() | InCompartmentOf() | Inside():
            return True
        case Not(of):
            return reads_others(of)
        case AllOf(of) | AnyOf(of):
            return any(map(reads_others, of))
        case _:
            return False


def says_present(key: str) -> bool:
    """Tell whether a key text is one of presence, or shared by very many; those stand in bags.

    >>> says_present("Patient|gender|?"), says_present("Patient|gender|c|?")
    (True, False)
    """
    return (key.endswith("|?") and key.count("|") == 2) or is_common(key)


def place(type_: str, code: str) -> Sql:
    """Return what a column ``p`` equals in the rows of a parameter.

    >>> place("Patient", "name").text
    '=(select n from sym where h=?)'
    """
    return Sql("=(select n from sym where h=?)", (param_hash(type_, code),))


def text_place(asked: TextIs) -> Sql:
    """Return the condition on rows of ``text``, behind ``w.p``."""
    return place(asked.type, asked.param) + Sql(" and ") + text_is("w.v", asked.op, asked.values)


def _has_row(member: Predicate, row: str) -> Sql:
    match member:
        case StringIs(type_, code, op, values):
            table = Sql(f"str s where s.rid={row}.rid and s.p") + place(type_, code)
            return exists(table + Sql(" and ") + text_is("s.v", op, values))
        case DateIs(type_, code, op, lo, hi):
            table = Sql(f"dat x where x.rid={row}.rid and x.p") + place(type_, code)
            return exists(table + Sql(" and ") + compare("x", op, lo, hi))
        case NumberIs(type_, code, op, low, high, unit):
            bag = (param_hash(type_, code) ^ hash64(unit),)
            table = Sql(
                f"num x cross join member m on m.h=? and m.n=x.s where x.rid={row}.rid and ", bag
            )
            return exists(table + compare("x", op, low, high))
        case TextIs():
            found = f"{row}.rid in (select t.rid from text w cross join tok t on t.h=w.h where w.p"
            return Sql(found) + text_place(member) + Sql(")")
        case Near(type_, code):
            table = Sql(f"point g where g.rid={row}.rid and g.p") + place(type_, code)
            return exists(table + Sql(" and ") + within(member))
        case IdIs(ids):
            return exists(Sql(f"res r where r.rid={row}.rid and ") + is_in("r.id", ids))
        case UpdatedIs(op, lo, hi):
            return exists(Sql(f"res r where r.rid={row}.rid and ") + updated("r", op, lo, hi))
        case _:
            raise TypeError(f"{type(member).__name__} cannot be asked of a store")


def _has_key(keys: tuple[str, ...], row: str) -> Sql:
    if len(keys) > MAX_TYPES_PROBED and all(map(_is_type, keys)):
        # Rows may come from where deleted resources are named as well.
        live = Sql(f"res r where r.rid={row}.rid and r.deleted=0 and ")
        return exists(live + is_in("r.type", keys))
    if len(keys) > MAX_PROBED:
        return _one_of_many(keys, row)
    present = [key_hash(key) for key in keys if says_present(key)]
    found = _posted(hashes(keys), row)
    if not present:
        return found
    # Beside the bag the key itself, for rows made before there were bags.
    bag = f"res r cross join member m on m.h in ({marks(present)}) and m.n=r.shape"
    return any_of([exists(Sql(f"{bag} where r.rid={row}.rid", tuple(present))), found])


@lru_cache(maxsize=2048)
def _is_type(key: str) -> bool:
    """Tell whether a key text is that of a type."""
    return "|" not in key and not key.startswith("#")


@lru_cache(maxsize=256)
def _not_labelled(keys: tuple[str, ...], row: str) -> Sql:
    """Return the condition that labels keep nothing back; that it bears none is the first look."""
    labelled = all_of([_posted((LABELLED,), row), _has_key(keys, row)])
    return Sql("not ") + labelled


def keeps_unreleased(member: Member) -> bool:
    """Tell whether the member is :func:`server.access.narrow.released_by`.

    It is part of every query of patients and their apps, so it is not planned each time.
    """
    match member:
        case Not(AllOf((HasKey(), DateIs(type=type_)))):
            return type_ == ANY_TYPE
        case _:
            return False


def _released(key: str, date: DateIs, row: str) -> Sql:
    made = _released_at(key, date.param, row)
    return Sql(made.text, (*made.values, date.hi))


@lru_cache(maxsize=256)
def _released_at(key: str, param: str, row: str) -> Sql:
    """Return the condition without the time, its last value."""
    later = _has_row(DateIs(ANY_TYPE, param, "gt", 0, 0), row)
    both = all_of([_has_key((key,), row), later])
    return Sql(f"not {both.text}", both.values[:-1])


def _posted(wanted: tuple[int, ...], row: str) -> Sql:
    table = f"tok t where t.h in ({marks(wanted)}) and t.d={row}.d and t.rid={row}.rid"
    return exists(Sql(table, wanted))


@lru_cache(maxsize=8)
def _one_of_many(keys: tuple[str, ...], row: str) -> Sql:
    """Return the condition for a list that is better searched for the row's keys than vice versa.

    References are not among the keys that a row keeps, and compartments may not be.
    """
    by_param: dict[int, list[int]] = {}
    others: list[str] = []
    for key in keys:
        start, found, target = key.partition("|r|")
        if found and start.count("|") == 1:
            by_param.setdefault(hash64(start), []).append(hash64(target))
        if key.startswith("compartment|") or "|" not in key or says_present(key):
            others.append(key)
    parts = [_among_own(hashes(keys), row)]
    parts += [
        exists(
            Sql("edge e cross join member m on m.h=? and m.n=e.s", (of,))
            + Sql(f" where e.rid={row}.rid and ")
            + is_in("e.dst", targets)
        )
        for of, targets in by_param.items()
    ]
    parts += [
        _has_key(tuple(others[at : at + MAX_PROBED]), row)
        for at in range(0, len(others), MAX_PROBED)
    ]
    return any_of(parts)


def _among_own(wanted: tuple[int, ...], row: str) -> Sql:
    keys = apsw.pyobject(frozenset(wanted))
    return exists(Sql(f"res r where r.rid={row}.rid and has_any(r.keys,?)", (keys,)))


def _refers(of: int, to: Query, depth: int) -> Sql:
    """Return: a reference of the row names a live resource that satisfies ``to``."""
    row, target = f"f{depth}" if depth else "f", f"f{depth + 1}"
    hop = (
        f"edge e cross join member m on m.h=? and m.n=e.s cross join name n on n.h=e.dst"
        f" cross join res {target} on {target}.rid=n.rid where e.rid={row}.rid"
        f" and {target}.deleted=0 and {target}.type in ({marks(to.types)}) and "
    )
    return exists(Sql(hop, (of, *to.types)) + condition(to.where, depth + 1))


def _referred_by(of: int, by: Query, depth: int) -> Sql:
    """Return: the row's names are in reference keys of live resources that satisfy ``by``."""
    row, source = f"f{depth}" if depth else "f", f"f{depth + 1}"
    hop = (
        f"(select name_of(r.type,r.id) as h from res r where r.rid={row}.rid"
        f" union all select h from alias where rid={row}.rid) n"
        f" cross join tok {source} on {source}.h=(n.h|?)-(n.h&?) where "
    )
    return exists(Sql(hop, (of, of)) + condition(by.where, depth + 1))


def _words(asked: Words, row: str, *, thorough: bool) -> Sql:
    if not asked.asked:
        return Sql("1")
    text = (phrases(asked),)
    if thorough:
        return Sql(f"{row}.rid in (select rowid from words where words match ?)", text)
    return exists(Sql(f"words where words match ? and rowid={row}.rid", text))
