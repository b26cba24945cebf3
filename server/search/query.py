"""What a search asks, as plain frozen data.  Pure: nothing here knows a store or HTTP.

``parse`` makes a :class:`Search` from request parameters, ``access.narrow`` rewrites its
``where``, ``search.match`` interprets it over one resource (the oracle), and each store compiles
it.  Times are microseconds since 1970-01-01T00:00:00Z; intervals are half open (``lo <= t < hi``).
"""

from dataclasses import dataclass, field
from typing import Literal

Comparator = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
TextOp = Literal["is", "starts", "contains", "ends", "gt", "lt", "ge", "le"]
"""``gt`` to ``le`` compare texts in the order of their code points."""


@dataclass(frozen=True, slots=True)
class HasKey:
    """The resource has at least one of these index keys (texts as in ``search.rows``)."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StringIs:
    """A folded string of the parameter compares to one of ``values`` (folded)."""

    type: str
    param: str
    op: TextOp
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
class TextIs:
    """One of the parameter's ``IndexRows.texts`` compares to one of ``values``.

    ``values`` are folded as the texts are: displays are (``:text``, param ``code:text``), addresses
    (``url``) are not.
    """

    type: str
    param: str
    op: TextOp
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """A point of the parameter lies within ``metres`` of a place (WGS 84 degrees), geodesically."""

    type: str
    param: str
    latitude: float
    longitude: float
    metres: float


@dataclass(frozen=True, slots=True)
class Words:
    """The words of the narrative, or of the whole resource, hold what is asked.

    ``asked`` is a conjunction of phrases, each a tuple of folded words in a row; a last word that
    ends with ``*`` stands for every word that begins so.
    """

    of: Literal["text", "content"]
    asked: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Refers:
    """A chain: the resource refers by ``type``'s reference parameter to a live one of ``to``."""

    type: str
    param: str
    to: "Query"


@dataclass(frozen=True, slots=True)
class ReferredBy:
    """``_has``: a live resource of ``by``, whose ``types`` is one type, refers to this one."""

    by: "Query"
    param: str


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Some live resource of ``by`` (one or more types) refers to this one, by any parameter.

    The same as ``AnyOf`` of :class:`ReferredBy` over each of the types and each of its reference
    parameters; access limits use it for what patients share, such as practitioners.
    """

    by: "Query"


@dataclass(frozen=True, slots=True)
class InCompartmentOf:
    """The resource is in the compartment of a live resource of ``to``, which may be itself.

    ``to``: some patients, say; ``compartment|Patient/x`` is among the keys of the resource.  Access
    limits use it for departments, whose patients a query finds.
    """

    to: "Query"


@dataclass(frozen=True, slots=True)
class CodesOf:
    """Codes that only terminology, or the record, can name: ``:in :not-in :below :above``.

    ``interactions`` replaces it before a store sees it; a store that meets one raises TypeError.
    ``value`` is a value set's address for ``in``, ``system|code`` else (``Type/id`` for references
    in a hierarchy).  ``:not-in`` is ``Not`` of ``in``.
    """

    type: str
    param: str
    relation: Literal["in", "below", "above"]
    value: str


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


Predicate = (
    HasKey
    | StringIs
    | TextIs
    | DateIs
    | NumberIs
    | Near
    | Words
    | Refers
    | ReferredBy
    | Mentioned
    | InCompartmentOf
    | CodesOf
    | IdIs
    | UpdatedIs
    | AllOf
    | AnyOf
    | Not
)

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
    last in both directions.  Ties end with the store's own stable order.  ``through``: the chain of
    ``_sort=subject:Patient.family``, from the resource on; the value is that of the last hop, the
    smallest or largest of all that are reached.
    """

    param: str
    kind: Literal[
        "id", "updated", "string", "date", "number", "quantity", "token", "reference", "uri"
    ]
    descending: bool = False
    through: tuple["Hop", ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a chained sort: by the reference parameter to live resources of ``to``."""

    param: str
    to: Query


@dataclass(frozen=True, slots=True)
class Include:
    """``_include`` (``reverse=False``) or ``_revinclude``: ``source:param[:target]``.

    ``source`` and ``param`` may be ``*``.  ``iterate``: followed from included resources as well.
    """

    source: str
    param: str
    target: str | None
    reverse: bool
    iterate: bool = False


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
    contained: Literal["false", "true", "both"] = "false"
    contained_as: Literal["container", "contained"] = "container"
    containers: Query | None = None
    """What finds the resources that may contain a match of ``query``; ``None`` unless asked for.

    Each contained resource of what it finds is to be checked against ``query``.
    """
    explain: bool = False
