"""A plan in words.  Pure."""

from typing import Any

from server.search.query import AllOf, AnyOf, Not, Predicate
from server.search.said import order
from server.store.described import Described
from server.store.sqlite.compile import Every, Found, Inside, Lists, Member, Rids, Some, Unless

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


def _known(member: Member) -> str:
    match member:
        case Lists(hashes):
            return f"as {len(hashes)} keys"
        case Rids(rids):
            return f"as {len(rids)} resources"
        case Inside(_, marks):
            return f"{len(marks)} of them"
        case Found():
            return "found beforehand"
        case _:
            return ""


_described = Described(_as_asked, _known)
said, query, told = _described.said, _described.query, _described.told
driver, settled = _described.driver, _described.settled
