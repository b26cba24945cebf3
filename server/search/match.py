"""One query over one resource, by its index rows: the oracle of every store.

What a store answers with SQL or with an index must be what this says, row by row.  Chains and
``_has`` look at other resources; a :class:`World` hands them over.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from server.search.compare import compare
from server.search.geodesic import metres
from server.search.query import (
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
    TextOp,
    UpdatedIs,
    Words,
)
from server.search.rows import IndexRows, compartment_key, hash64, key_hash, param_hash

MILLISECOND = 1000  # µs; the precision of meta.lastUpdated


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live resource, its index rows, and its ``meta.lastUpdated`` in microseconds."""

    resource: dict[str, Any]
    rows: IndexRows
    updated: int

    @property
    def place(self) -> tuple[str, str]:
        """Type and id; the id is empty when the resource has none yet."""
        return self.resource["resourceType"], self.resource.get("id", "")


class World(Protocol):
    """The live resources among which references are followed.  It does not change meanwhile."""

    def named(self, target: int) -> Iterable[Candidate]:
        """Return what a reference with that target hash names (:func:`names_of`)."""

    def of_type(self, type_: str) -> Iterable[Candidate]:
        """Return every live resource of the type."""


class Moment:
    """A world with what has been found out about it, for questions that come again and again.

    Every resource of a search asks the same of the same others; without a memory, hops through
    resources that refer to many would multiply.
    """

    def __init__(self, world: World | None) -> None:
        self._world = world
        self._hits: dict[int, tuple[Query, dict[tuple[str, str], bool]]] = {}
        self._referred: dict[int, tuple[ReferredBy, frozenset[int]]] = {}
        self._mentioned: dict[int, tuple[Query, frozenset[int]]] = {}
        self._compartments: dict[int, tuple[Query, frozenset[int]]] = {}

    def named(self, target: int) -> Iterable[Candidate]:
        """Return what a reference with that target hash names."""
        return self._world.named(target) if self._world is not None else ()

    def matches(self, query: Query, one: Candidate) -> bool:
        """Tell whether a resource of this world is one of ``query``."""
        # The query is kept beside its id, so that no other can get the same id.
        _, hits = self._hits.setdefault(id(query), (query, {}))
        found = hits.get(one.place)
        if found is None:
            found = hits[one.place] = _is_one_of(query, one, self)
        return found

    def is_referred(self, where: ReferredBy, one: Candidate) -> bool:
        """Tell whether what ``where`` looks among refers to ``one``, maybe a past version."""
        return not self._referred_names(where).isdisjoint(names_of(one.resource, one.rows))

    def is_mentioned(self, by: Query, one: Candidate) -> bool:
        """Tell whether a resource of ``by`` refers to ``one``, which may be a past version."""
        return not self._mentioned_names(by).isdisjoint(names_of(one.resource, one.rows))

    def is_in_compartment(self, to: Query, one: Candidate) -> bool:
        """Tell whether ``one``, maybe a past version, is in the compartment of one of ``to``."""
        return not self._compartments_of(to).isdisjoint(one.rows.keys)

    def _compartments_of(self, to: Query) -> frozenset[int]:
        kept = self._compartments.get(id(to))
        if kept is None:
            found = frozenset(
                key_hash(compartment_key("/".join(one.place)))
                for type_ in to.types
                for one in (self._world.of_type(type_) if self._world is not None else ())
                if self.matches(to, one)
            )
            kept = self._compartments[id(to)] = (to, found)
        return kept[1]

    def _referred_names(self, where: ReferredBy) -> frozenset[int]:
        kept = self._referred.get(id(where))
        if kept is None:
            (type_,) = where.by.types
            there = self._world.of_type(type_) if self._world is not None else ()
            place = param_hash(type_, where.param)
            found = frozenset(
                target
                for one in there
                if self.matches(where.by, one)
                for hashed, target in one.rows.references
                if hashed == place
            )
            kept = self._referred[id(where)] = (where, found)
        return kept[1]

    def _mentioned_names(self, by: Query) -> frozenset[int]:
        kept = self._mentioned.get(id(by))
        if kept is None:
            found = frozenset(
                target
                for type_ in by.types
                for one in (self._world.of_type(type_) if self._world is not None else ())
                if self.matches(by, one)
                for _, target in one.rows.references
            )
            kept = self._mentioned[id(by)] = (by, found)
        return kept[1]


def matches(
    query: Query,
    resource: dict[str, Any],
    rows: IndexRows,
    *,
    updated: int,
    world: World | Moment | None = None,
) -> bool:
    """Tell whether the resource is one of ``query``.

    ``rows``: its index rows.  ``updated``: its ``meta.lastUpdated`` in microseconds.  ``world``:
    the other live resources; without it no chain and no ``_has`` finds any.  Who asks often hands
    over one :class:`Moment`.

    Raises TypeError for a :class:`~server.search.query.CodesOf` that nobody has replaced.
    """
    moment = world if isinstance(world, Moment) else Moment(world)
    return _is_one_of(query, Candidate(resource, rows, updated), moment)


def names_of(resource: dict[str, Any], rows: IndexRows) -> tuple[int, ...]:
    """Return the target hashes that name the resource: ``Type/id`` and its canonical addresses."""
    if "id" not in resource:
        return rows.names
    return hash64(f"{resource['resourceType']}/{resource['id']}"), *rows.names


def _is_one_of(query: Query, one: Candidate, moment: Moment) -> bool:
    return one.resource["resourceType"] in query.types and _holds(query.where, one, moment)


def _holds(where: Predicate, one: Candidate, moment: Moment) -> bool:
    match where:
        case AllOf(of):
            return all(_holds(part, one, moment) for part in of)
        case AnyOf(of):
            return any(_holds(part, one, moment) for part in of)
        case Not(inner):
            return not _holds(inner, one, moment)
        case IdIs(ids):
            return one.resource.get("id") in ids
        case UpdatedIs(op, lo, hi):
            at = one.updated - one.updated % MILLISECOND
            return compare(op, at, at + MILLISECOND, lo, hi)
        case Refers(type_, param, to):
            place = param_hash(type_, param)
            targets = [target for hashed, target in one.rows.references if hashed == place]
            return any(moment.matches(to, other) for t in targets for other in moment.named(t))
        case ReferredBy():
            return moment.is_referred(where, one)
        case Mentioned(by):
            return moment.is_mentioned(by, one)
        case InCompartmentOf(to):
            return moment.is_in_compartment(to, one)
        case CodesOf():
            raise TypeError(f"{where.type}.{where.param} asks for codes that are not known here")
        case _:
            return _has_row(where, one.rows)


def _has_row(
    where: HasKey | StringIs | TextIs | DateIs | NumberIs | Near | Words, rows: IndexRows
) -> bool:
    match where:
        case HasKey(keys):
            return any(key_hash(key) in rows.keys for key in keys)
        case StringIs(type_, param, op, values):
            wanted = param_hash(type_, param)
            return _has_text(
                op, values, [text for hashed, text in rows.strings if hashed == wanted]
            )
        case TextIs(type_, param, op, values):
            wanted = param_hash(type_, param)
            return _has_text(
                op, values, [text for hashed, text, _ in rows.texts if hashed == wanted]
            )
        case DateIs(type_, param, op, lo, hi):
            wanted = param_hash(type_, param)
            return any(p == wanted and compare(op, a, b, lo, hi) for p, a, b in rows.dates)
        case NumberIs(type_, param, op, low, high, unit):
            place = (param_hash(type_, param), hash64(unit))
            return any(
                (p, u) == place and compare(op, a, b, low, high) for p, a, b, u in rows.numbers
            )
        case Near():
            return _is_near(where, rows)
        case Words(of, asked):
            text = rows.narrative if of == "text" else rows.content
            return all(_has_phrase(phrase, f" {text} ") for phrase in asked)


_TEXT_OPS: dict[TextOp, Callable[[str, str], bool]] = {
    "is": str.__eq__,
    "starts": str.startswith,
    "contains": str.__contains__,
    "ends": str.endswith,
    "gt": str.__gt__,
    "lt": str.__lt__,
    "ge": str.__ge__,
    "le": str.__le__,
}


def _has_text(op: TextOp, values: Sequence[str], texts: Sequence[str]) -> bool:
    compares = _TEXT_OPS[op]
    return any(compares(text, value) for text in texts for value in values)


def _is_near(where: Near, rows: IndexRows) -> bool:
    wanted = param_hash(where.type, where.param)
    return any(
        metres((where.latitude, where.longitude), (latitude, longitude)) <= where.metres
        for hashed, latitude, longitude in rows.points
        if hashed == wanted
    )


def _has_phrase(phrase: Sequence[str], spaced: str) -> bool:
    """Tell whether the words stand in a row in a text that has a blank around each word."""
    words = " " + " ".join(phrase)
    return words[:-1] in spaced if words.endswith("*") else f"{words} " in spaced
