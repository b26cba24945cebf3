"""What a search asks, as plain frozen data.  Pure: nothing here knows a store or HTTP.

``parse`` makes a :class:`Search` from request parameters, ``access.narrow`` rewrites its
``where``, ``search.match`` interprets it over one resource (the oracle), and each store compiles
it.  Times are microseconds since 1970-01-01T00:00:00Z; intervals are half open (``lo <= t < hi``).
"""

from dataclasses import dataclass, field
from typing import Literal

Comparator = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclass(frozen=True, slots=True)
class HasKey:
    """The resource has at least one of these index keys (texts as in ``search.rows``)."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StringIs:
    """A folded string of the parameter starts with, or contains, one of ``values`` (folded)."""

    type: str
    param: str
    op: Literal["starts", "contains"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DateIs:
    """A date interval of the parameter compares to ``lo..hi`` (R4 search.html#prefix)."""

    type: str
    param: str
    op: Comparator
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class NumberIs:
    """A number or quantity interval of the parameter compares to ``lo..hi``.

    ``unit`` is ``""`` (any), ``system|code``, or ``|code`` (code or unit of any system).
    """

    type: str
    param: str
    op: Comparator
    lo: float
    hi: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class IdIs:
    """The logical id is one of ``ids``."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatedIs:
    """``meta.lastUpdated``, an instant of millisecond precision, compares to ``lo..hi``."""

    op: Comparator
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of ``of`` holds; an empty tuple is true."""

    of: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of ``of`` holds; an empty tuple is false."""

    of: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """``of`` does not hold for the resource as a whole (R4: also true when it has no value)."""

    of: "Predicate"


Predicate = HasKey | StringIs | DateIs | NumberIs | IdIs | UpdatedIs | AllOf | AnyOf | Not

EVERYTHING = AllOf(())
NOTHING = AnyOf(())


@dataclass(frozen=True, slots=True)
class Query:
    """Live resources of one of ``types`` for which ``where`` holds.

    ``types`` is never empty; a search over the whole system names every type.
    """

    types: tuple[str, ...]
    where: Predicate = EVERYTHING


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of ``_sort``.

    ``param`` is ``_id``, ``_lastUpdated`` or a search parameter code of the type; ``kind`` is its
    R4 type.  Ascending compares the smallest value of a resource, descending the largest; for
    dates the start of the interval, for strings the folded text; resources without a value come
    last in both directions.  Ties end with the store's own stable order.
    """

    param: str
    kind: Literal[
        "id", "updated", "string", "date", "number", "quantity", "token", "reference", "uri"
    ]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """``_include`` (``reverse=False``) or ``_revinclude``: ``source:param[:target]``."""

    source: str
    param: str
    target: str | None
    reverse: bool


@dataclass(frozen=True, slots=True)
class Reported:
    """A parameter that was not used, and why; shown in the answer unless handling is strict."""

    param: str
    why: str


Summary = Literal["true", "text", "data", "count", "false"]
Total = Literal["none", "estimate", "accurate"]


@dataclass(frozen=True, slots=True)
class Search:
    """A whole search request: the query, its order, its page and the shape of its answer."""

    query: Query
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    total: Total | None = None
    summary: Summary | None = None
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    cursor: str | None = None
    used: tuple[tuple[str, str], ...] = field(default=())
    """The parameters as understood, for the ``self`` link, in a stable order."""
    reported: tuple[Reported, ...] = ()
