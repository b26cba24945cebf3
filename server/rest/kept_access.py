"""The rights of a caller as JSON and back, for requests that outlive the process.

Whatever an :class:`~server.access.context.AccessContext` holds goes with it, but for the
``X-Provenance`` of a write: writes are never begun again.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, get_args

from server.access.context import AccessContext, Permit, Trace
from server.search.query import DateIs, Predicate, Query
from server.search.rows import ANY_TYPE, RELEASE

_KNOWN: dict[str, type] = {
    cls.__name__: cls for cls in (AccessContext, Permit, Trace, Query, *get_args(Predicate))
}
_IS = "is"


def plain(access: AccessContext) -> Any:
    """Return the rights as JSON values."""
    trace = access.trace
    return _plain(replace(access, trace=replace(trace, provenance=None) if trace else None))


def made_anew(kept: Any) -> AccessContext:
    """Return the rights that :func:`plain` was given."""
    made = _made(kept)
    assert isinstance(made, AccessContext)
    return made


def timeless(permits: Sequence[Permit]) -> frozenset[Permit]:
    """Return permits without the moment at which they were made, to be compared with others."""
    return frozenset(_timeless(permit) for permit in permits)


def _timeless(value: Any) -> Any:
    """Return a value without the moments of releases, those inside of conditions among them."""
    if isinstance(value, tuple):
        return tuple(_timeless(one) for one in value)
    if isinstance(value, DateIs) and (value.type, value.param) == (ANY_TYPE, RELEASE):
        return replace(value, lo=0, hi=1)
    if type(value).__name__ not in _KNOWN:
        return value
    made = replace(value, **{f.name: _timeless(getattr(value, f.name)) for f in fields(value)})
    is_timed = isinstance(made, Permit) and made.released is not None
    return replace(made, released=0) if is_timed else made


def _plain(value: Any) -> Any:
    if type(value).__name__ in _KNOWN:
        named = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        return {_IS: type(value).__name__, **named}
    if isinstance(value, frozenset):
        return {_IS: "set", "of": sorted(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _made(kept: Any) -> Any:
    if isinstance(kept, list):
        return tuple(_made(one) for one in kept)
    if not isinstance(kept, dict):
        return kept
    named = {name: _made(value) for name, value in kept.items() if name != _IS}
    if kept[_IS] == "set":
        return frozenset(named["of"])
    return _KNOWN[kept[_IS]](**named)
