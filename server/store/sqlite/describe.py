"""A plan in words: the caller's own words and key texts, nothing that the record holds.  Pure."""

from collections.abc import Sequence

from server.fhir.dates import instant_text
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
    Query,
    ReferredBy,
    Refers,
    SortKey,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import MAX_TIME
from server.store.sqlite.compile import Every, Found, Inside, Lists, Member, Rids, Some, Unless
from server.store.sqlite.drive import Driver
from server.store.sqlite.plan import Plan

_LISTED = 3  # of a long list
_SAID = 8  # of what is joined: every search is described before it runs, and may ask for thousands


def told(plan: Plan) -> str:
    """Return driver and probes in one line."""
    probes = "; ".join(said(member) for member in plan.members)
    return f"driven by {driver(plan.driver)}" + (f"; probed: {probes}" if probes else "")


def driver(chosen: Driver) -> str:
    """Return what a search begins with."""
    return "all of the type" if chosen.of is None else said(chosen.of)


def settled(member: Member | None) -> str:
    """Return a member in words, with how many keys or resources it is known to be.

    For those who may see everything: it tells what the record holds.
    """
    match member:
        case None:
            return "all of the type"
        case Lists(hashes):
            return f"{said(member)}, as {len(hashes)} keys"
        case Rids(rids):
            return f"{said(member)}, as {len(rids)} resources"
        case Inside(_, marks):
            return f"{said(member)}, {len(marks)} of them"
        case Found():
            return f"{said(member)}, found beforehand"
        case _:
            return said(member)


def order(sort: tuple[SortKey, ...]) -> str:
    """Return the order of the answer."""
    return ", ".join(_key(key) for key in sort) or "clinical date, newest first"


def said(member: Member) -> str:
    """Return a member in words.

    >>> said(AnyOf((HasKey(("Patient|gender|c|male",)), Not(IdIs(("a", "b"))))))
    '(Patient|gender|c|male or not (id a or b))'
    """
    match member:
        case HasKey(keys):
            return _any(keys)
        case Lists(of=asked) | Rids(of=asked) | Inside(of=asked) | Found(of=asked):
            return said(asked)
        case AllOf(of) | Every(of):
            return f"({_joined(of, ' and ') or 'everything'})"
        case AnyOf(of) | Some(of):
            return f"({_joined(of, ' or ') or 'nothing'})"
        case Not(of) | Unless(of):
            return f"not ({said(of)})"
        case Refers(type_, param, to):
            return f"{type_}|{param} -> {query(to)}"
        case ReferredBy(by, param):
            return f"{param} <- {query(by)}"
        case Mentioned(by):
            return f"mentioned by {query(by)}"
        case InCompartmentOf(to):
            return f"in the compartment of {query(to)}"
        case _:
            return _value(member)


def _value(member: Member) -> str:
    match member:
        case StringIs(type_, param, op, values) | TextIs(type_, param, op, values):
            return f"{type_}|{param} {op} {_any(values)}"
        case DateIs(type_, param, op, lo, hi):
            return f"{type_}|{param} {op} {_span(lo, hi)}"
        case UpdatedIs(op, lo, hi):
            return f"_lastUpdated {op} {_span(lo, hi)}"
        case NumberIs(type_, param, op, low, high, unit):
            return f"{type_}|{param} {op} {low:g}..{high:g}" + (f" {unit}" if unit else "")
        case Near(type_, param, latitude, longitude, metres):
            return f"{type_}|{param} within {metres:g} m of {latitude:g},{longitude:g}"
        case Words(of, asked):
            return f"_{of} " + " and ".join(repr(" ".join(phrase)) for phrase in asked)
        case IdIs(ids):
            return f"id {_any(ids)}"
        case _:
            return type(member).__name__


def query(asked: Query) -> str:
    """Return types and predicate in words."""
    return f"{'/'.join(asked.types[:_LISTED])} {said(asked.where)}"


def _joined(of: Sequence[Member], word: str) -> str:
    more = [f"{len(of) - _SAID} more"] if len(of) > _SAID else []
    return word.join([*map(said, of[:_SAID]), *more])


def _any(values: tuple[str, ...]) -> str:
    more = f" or {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return " or ".join(values[:_LISTED]) + more


_FIRST = -62_135_596_800_000_000  # 0001-01-01, in microseconds


def _span(lo: int, hi: int) -> str:
    return " to ".join(
        instant_text(at) if _FIRST <= at < MAX_TIME // 16 else "..." for at in (lo, hi)
    )


def _key(key: SortKey) -> str:
    chain = "".join(f"{hop.param}:{hop.to.types[0]}." for hop in key.through)
    return f"{'-' if key.descending else ''}{chain}{key.param}"
