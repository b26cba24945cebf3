"""The walk of a chained sort, ``_sort=subject:Patient.family``: by references, hop by hop."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.search import sorting
from server.search.catalog import R4, Catalog
from server.search.match import Candidate, Moment
from server.search.query import Hop, SortKey
from server.search.rows import param_hash
from server.search.sorting import Scalar


def reached(start: Candidate, hops: Sequence[Hop], moment: Moment) -> Iterable[Candidate]:
    """Return what is reached by the hops from ``start``, once each; ``start`` by no hop."""
    at = {start.place: start}
    for hop in hops:
        at = {
            other.place: other
            for one in at.values()
            for target in _targets(one, hop.param)
            for other in moment.named(target)
            if moment.matches(hop.to, other)
        }
    return at.values()


def sort_value(one: Candidate, key: SortKey, moment: Moment, *, catalog: Catalog = R4) -> Scalar:
    """Return the value of a key of ``_sort``, chained or not; ``None`` when there is none.

    Of all that a chain reaches, the smallest value ascending, the largest descending.
    """
    last = replace(key, through=())
    found = (
        sorting.sort_value(other.resource, last, other.updated, catalog=catalog)
        for other in reached(one, key.through, moment)
    )
    values = [value for value in found if value is not None]
    # Values of one key are of one type, which a Scalar does not tell.
    return (max if key.descending else min)(values, default=None)


def _targets(one: Candidate, param: str) -> list[int]:
    place = param_hash(one.place[0], param)
    return [target for hashed, target in one.rows.references if hashed == place]
