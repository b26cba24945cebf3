"""``_contained``: from what is asked of contained resources to what finds their containers.

R4 search.html#contained.  The rows of a contained resource stand in the rows of its container
under its type behind ``#`` (``search.rows``), mixed with those of other contained resources.  So
the index can only tell which containers may hold a match; whoever asks checks each contained
resource with :func:`server.search.match.matches` and the original query.
"""

from functools import cache

from server.fhir import definitions
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    CodesOf,
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


def containers(query: Query) -> Query:
    """Return a query that finds every resource which may contain a match of ``query``.

    Ids and times of contained resources are not in the index, and nothing of what does not hold of
    one says anything of another in the same container: such parts are left to the check.

    >>> containers(Query(("Medication",), HasKey(("Medication|code|c|x",)))).where
    AllOf(of=(HasKey(keys=('#Medication',)), HasKey(keys=('#Medication|code|c|x',))))
    """
    there = HasKey(tuple(f"#{type_}" for type_ in query.types))
    where = _contained(query.where)
    parts = (there,) if where == EVERYTHING else (there, where)
    return Query(_every_type(), AllOf(parts))


def _contained(where: Predicate) -> Predicate:
    match where:
        case AllOf(of):
            asked = [part for one in of if (part := _contained(one)) != EVERYTHING]
            return asked[0] if len(asked) == 1 else AllOf(tuple(asked))
        case AnyOf(of):
            found = tuple(_contained(one) for one in of)
            return EVERYTHING if EVERYTHING in found else AnyOf(found)
        case HasKey(keys):
            return HasKey(tuple(f"#{key}" for key in keys))
        case StringIs(type_, param, op, values):
            return StringIs(f"#{type_}", param, op, values)
        case TextIs(type_, param, op, values):
            return TextIs(f"#{type_}", param, op, values)
        case DateIs(type_, param, comparator, lo, hi):
            return DateIs(f"#{type_}", param, comparator, lo, hi)
        case NumberIs(type_, param, comparator, low, high, unit):
            return NumberIs(f"#{type_}", param, comparator, low, high, unit)
        case Near(type_, param, latitude, longitude, metres):
            return Near(f"#{type_}", param, latitude, longitude, metres)
        case CodesOf(type_, param, relation, value):
            return CodesOf(f"#{type_}", param, relation, value)
        case Refers(type_, param, to):
            return Refers(f"#{type_}", param, to)
        case ReferredBy() | Mentioned() | InCompartmentOf():
            return NOTHING  # nobody outside can refer to what is contained, whose it is is not said
        case Not() | IdIs() | UpdatedIs() | Words():
            return EVERYTHING


@cache
def _every_type() -> tuple[str, ...]:
    return tuple(sorted(definitions.resource_types()))
