"""A plan in words.  Pure."""

from typing import Any

from server.search.query import AllOf, AnyOf, Not, Predicate
from server.search.said import Saying, order
from server.store.sqlite.compile import Every, Found, Inside, Lists, Member, Rids, Some, Unless
from server.store.sqlite.drive import Driver
from server.store.sqlite.plan import Plan

__all__ = ["driver", "order", "query", "said", "settled", "told"]


def _as_asked(part: Any) -> Predicate:
    match part:
        case Lists(of=asked) | Rids(of=asked) | Inside(of=asked) | Found(of=asked):
            return _as_asked(asked)
        case Every(of):
            return AllOf(of)  # type: ignore[arg-type]  # its parts are asked in their turn
        case Some(of):
            return AnyOf(of)  # type: ignore[arg-type]
        case Unless(of):
            return Not(of)  # type: ignore[arg-type]
        case _:
            return part  # type: ignore[no-any-return]


_saying = Saying(_as_asked)
said, query = _saying.said, _saying.query


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
