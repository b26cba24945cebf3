"""The order of an answer and where its page begins, in the language of MongoDB.  Pure.

Missing values come last in both directions; ties end with ``born`` in the direction of the last
key.  ``server.store.memory.order`` says the same in Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.search.query import SortKey
from server.search.rows import MIN_TIME, hash64, param_hash
from server.store.mongo.compile import EVERY, Filter, all_of, any_of
from server.store.mongo.plan import starts_open
from server.store.port import Scalar

Cursor = tuple[Scalar, ...]
Pipeline = list[dict[str, Any]]

STATED = "stated"
"""As the fixed value of a :class:`Leg`: it is the document's ``d``."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of an order that is a walk along fields as they are kept.

    ``where`` holds for its documents; ``fields`` are walked in one direction, ``born`` last;
    ``value`` is the sort value of all of them, or :data:`STATED`: the first of the fields.
    """

    fields: tuple[str, ...]
    descending: bool
    where: Filter = field(default_factory=dict)
    value: Scalar = STATED

    @property
    def order(self) -> list[tuple[str, int]]:
        """The sort."""
        way = -1 if self.descending else 1
        return [(name, way) for name in self.fields]

    def behind(self, after: Cursor | None) -> Filter:
        """Return what holds for all that comes behind a cursor that lies in this leg."""
        if after is None:
            return EVERY
        sign = "$lt" if self.descending else "$gt"
        if self.value != STATED or len(self.fields) == 1:
            return {"born": {sign: after[-1]}}
        first, _ = self.fields
        # The range of the first field bounds the walk of an index.
        return {
            first: {f"{sign}e": after[0]},
            "$or": [{first: {sign: after[0]}}, {"born": {sign: after[-1]}}],
        }

    def values(self, document: dict[str, Any]) -> Cursor:
        """Return the cursor of a document."""
        value = document[self.fields[0]] if self.value == STATED else self.value
        return scalar(value), int(document["born"])


NEWEST = Leg(("d", "born"), descending=True)
"""The order without ``_sort``."""


def clinical_legs(place: int, *, descending: bool) -> list[Leg]:
    """Return the order by the parameter whose start ``d`` is.

    What states no start stands at the time of its first storing, so ``born`` puts these in order.
    """
    stated = {"dt": {"$elemMatch": {"p": place, "lo": {"$gt": MIN_TIME}}}}
    known = Leg(("d", "born"), descending, stated)
    open_ = Leg(("d", "born"), descending, starts_open(place), MIN_TIME)
    missing = Leg(("d", "born"), descending, {"$nor": [{"dt.p": place}]}, None)
    return [known, open_, missing] if descending else [open_, known, missing]


def clinical_cursor(document: dict[str, Any]) -> Cursor:
    """Return the cursor of a document that has its interval of the parameter in ``dt``, if any."""
    stated = document.get("dt")
    value: Scalar = None
    if stated:
        value = MIN_TIME if stated[0]["lo"] == MIN_TIME else int(document["d"])
    return value, int(document["born"])


def leg_of(legs: Sequence[Leg], after: Cursor | None) -> int:
    """Return the number of the leg that a cursor lies in."""
    if after is None:
        return 0
    fixed = [number for number, leg in enumerate(legs) if leg.value == after[0]]
    stated = [number for number, leg in enumerate(legs) if leg.value == STATED]
    return (fixed or stated or [0])[0]


def sorted_by(sort: Sequence[SortKey], types: Sequence[str]) -> Pipeline:
    """Return the stages that give each document its sort values, ``k0``, ``k1`` ..."""
    values = {f"k{number}": _value(key, types) for number, key in enumerate(sort)}
    missing = {
        f"m{number}": {"$cond": [{"$eq": [f"$k{number}", None]}, 1, 0]}
        for number in range(len(sort))
    }
    return [{"$set": values}, {"$set": missing}]


def in_order(sort: Sequence[SortKey]) -> Pipeline:
    """Return the stage that sorts by these values."""
    by: dict[str, int] = {}
    for number, key in enumerate(sort):
        by |= {f"m{number}": 1, f"k{number}": -1 if key.descending else 1}
    return [{"$sort": {**by, "born": -1 if sort[-1].descending else 1}}]


def behind(sort: Sequence[SortKey], after: Cursor | None) -> Pipeline:
    """Return the stage that leaves what comes behind a cursor.

    >>> behind((SortKey("family", "string"),), ("a", 7))[0]["$match"]["$or"][0]
    {'m0': {'$gt': 0}}
    """
    if after is None:
        return []
    ways: list[Filter] = []
    equal: list[Filter] = []
    for number, (key, value) in enumerate(zip(sort, after, strict=False)):
        k, m = f"k{number}", f"m{number}"
        if value is None:
            equal.append({m: 1})
            continue
        ways.append(all_of([*equal, {m: {"$gt": 0}}]))
        ways.append(all_of([*equal, {m: 0}, {k: {"$lt" if key.descending else "$gt": value}}]))
        equal.append({k: value})
    ways.append(all_of([*equal, {"born": {"$lt" if sort[-1].descending else "$gt": after[-1]}}]))
    return [{"$match": any_of(ways)}]


def values_of(document: dict[str, Any], count: int) -> Cursor:
    """Return the cursor of a document that has gone through :func:`sorted_by`."""
    values = (scalar(document[f"k{number}"]) for number in range(count))
    return *values, int(document["born"])


def scalar(value: Any) -> Scalar:
    """Return a value of BSON as one of Python's own."""
    return int(value) if isinstance(value, int) else value


def _value(key: SortKey, types: Sequence[str]) -> Any:
    """Return the expression of a key that the index fields hold, ``null`` when it is missing."""
    if key.kind == "id":
        return "$id"
    if key.kind == "updated":
        return "$lu"
    places = [param_hash(type_, key.param) for type_ in types]
    of_param: Any = {"$in": ["$$this.p", places]}
    array, part = {"string": ("s", "v"), "date": ("dt", "lo")}.get(key.kind, ("q", "lo"))
    if array == "q":
        of_param = {"$and": [of_param, {"$eq": ["$$this.u", hash64("")]}]}
    held = {"$filter": {"input": {"$ifNull": [f"${array}", []]}, "cond": of_param}}
    values = {"$map": {"input": held, "in": f"$$this.{part}"}}
    return {"$ifNull": [{"$max" if key.descending else "$min": values}, None]}
