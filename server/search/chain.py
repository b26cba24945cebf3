"""Chains and ``_has``: criteria of resources at the other end of references.

R4 search.html#chaining, #has.  A criterion's name is a row of hops and, last, a parameter:
``subject:Patient.organization.name:contains``, ``_has:Observation:patient:code``, and any mixture.
Each hop narrows the types that are meant to those that the rest can be asked of; a modifier stands
at the last parameter and speaks of the resource there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidSearch, Issue
from server.search import parameters
from server.search.asked import any_of
from server.search.catalog import R4, Catalog
from server.search.query import AllOf, Predicate, Query, ReferredBy, Refers
from server.search.value import refused, shown

MAX_HOPS = 10  # in one name
MAX_BRANCHES = 200  # references followed in one request: a hop counts for each type it leads from
MAX_TERMS = 10_000  # values times types, in one request: what a store can bind at once
MAX_ASKED = 10_000  # keys, values and ids that these come to: a bare id may mean any of 146 types
MAX_COMPARISONS = 2_000  # filters in brackets times types, in one request

HAS = "_has"
LIST = "_list"  # can be asked of every type, and is no SearchParameter


class Lacking(InvalidSearch):
    """None of the types has the parameter, or leads to one that has."""


Leaf = Callable[[tuple[str, ...]], Predicate]
"""Returns what is asked of the last resources, which are of these types; raises InvalidSearch."""


@dataclass(frozen=True, slots=True)
class Via:
    """A hop by a reference of the resource itself.

    ``type`` is what it must lead to, ``None`` any; ``where`` is what else holds of what it leads
    to (the brackets of ``_filter``).
    """

    param: str
    type: str | None = None
    where: Leaf | None = None


@dataclass(frozen=True, slots=True)
class Has:
    """A hop to resources of ``type`` that refer to the resource by ``param``."""

    type: str
    param: str


Hop = Via | Has


@dataclass(slots=True)
class Asking:
    """How the names of one request are looked up, and what the request has come to so far."""

    base_url: str = ""
    catalog: Catalog = R4
    terms: int = 0
    asked: int = 0
    branches: int = 0
    comparisons: int = 0

    def count_asked(self, name: str, asked: int) -> None:
        """Raise InvalidSearch when all criteria together name too many keys, values and ids."""
        self.asked += asked
        if self.asked > MAX_ASKED:
            why = f"the request comes to more than {MAX_ASKED} keys; ask for fewer, or name types"
            raise refused(name, why)

    def count_comparison(self, name: str) -> None:
        """Raise InvalidSearch when filters in brackets are asked of too many types."""
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            why = "filters in brackets speak of too many types; name them, as in subject:Patient"
            raise refused(name, why)

    def count_terms(self, name: str, terms: int) -> None:
        """Raise InvalidSearch when the request holds too many values times types."""
        self.terms += terms
        if self.terms > MAX_TERMS:
            raise refused(name, f"values times types are more than {MAX_TERMS}; ask for fewer")

    def count_branches(self, name: str, branches: int) -> None:
        """Raise InvalidSearch when the request follows too many references."""
        self.branches += branches
        if self.branches > MAX_BRANCHES:
            why = f"chains lead to more than {MAX_BRANCHES} types; name them, as in subject:Patient"
            raise refused(name, why)


def split_name(name: str) -> tuple[tuple[Hop, ...], str, str | None]:
    """Return the hops, the last parameter and its modifier.

    >>> split_name("subject:Patient.name:exact")
    ((Via(param='subject', type='Patient', where=None),), 'name', 'exact')
    >>> split_name("_has:Observation:patient:code")
    ((Has(type='Observation', param='patient'),), 'code', None)
    """
    hops: list[Hop] = []
    rest = name
    while True:
        if rest.startswith(f"{HAS}:") or rest == HAS:
            parts = rest.split(":", 3)
            if len(parts) < 4 or not all(parts):
                raise refused(name, "_has is _has:Type:reference:parameter")
            hops.append(Has(parts[1], parts[2]))
            rest = parts[3]
        elif "." in rest:
            step, _, rest = rest.partition(".")
            code, colon, type_ = step.partition(":")
            if not (code and rest) or (colon and not type_):
                raise refused(name, "a chain is reference.parameter or reference:Type.parameter")
            hops.append(Via(code, type_ or None))
        else:
            break
        if len(hops) > MAX_HOPS:
            raise refused(name, f"more than {MAX_HOPS} hops")
    code, colon, modifier = rest.partition(":")
    return tuple(hops), code, modifier if colon else None


def follow(
    types: tuple[str, ...], hops: Sequence[Hop], code: str, leaf: Leaf, asking: Asking, name: str
) -> Predicate:
    """Return what holds of ``types`` when ``leaf`` holds of what the hops lead to.

    ``leaf`` is called with types that all have the parameter ``code``, as the same parameter type.

    Raises InvalidSearch that names ``name``: nowhere is such a parameter, a hop is no reference,
    or it cannot lead to the type that is stated.
    """
    walk = _Walk(asking, code, leaf, name)
    found = walk.found(types, tuple(hops))
    if not found.queries:
        raise walk.lacking or lacking(name, walk.why)
    asking.count_branches(name, found.branches)
    return any_of([query.where for query in found.queries])


def lacking(name: str, why: str) -> Lacking:
    """Return the error for a parameter that types have not."""
    named = shown(name)
    return Lacking(f"{named}: {why}", expression=(named,))


def renamed(error: InvalidSearch, name: str) -> InvalidSearch:
    """Return the error as one of the parameter as it was sent; ``name`` is its whole chain."""
    named = shown(name)
    if error.expression == (named,):
        return error
    text = f"{named}: {error.diagnostics}"
    issue = Issue("error", error.issues[0].code, text, (named,))
    return InvalidSearch(text, expression=(named,), issues=(issue,))


@dataclass(frozen=True, slots=True)
class _Found:
    """Types and what is asked of them, alternatives; and how many references that follows."""

    queries: tuple[Query, ...] = ()
    branches: int = 0


class _Walk:
    """From the first hop of a name to its end, for all types at once.

    What lies behind a hop is found once for every set of types: chains through references to
    anything would multiply otherwise.
    """

    def __init__(self, asking: Asking, code: str, leaf: Leaf, name: str) -> None:
        self._asking = asking
        self._code = code
        self._leaf = leaf
        self._name = name
        self._kept: dict[tuple[tuple[str, ...], int], _Found] = {}
        self.why = "there is no such parameter"
        self.lacking: Lacking | None = None

    def found(self, types: tuple[str, ...], hops: tuple[Hop, ...]) -> _Found:
        """Return what is asked of those of ``types`` that the rest can be asked of."""
        kept = self._kept.get((types, len(hops)))
        if kept is None:
            kept = self._kept[types, len(hops)] = self._find(types, hops)
        if kept.branches > MAX_BRANCHES:
            self._asking.count_branches(self._name, kept.branches)
        return kept

    def _find(self, types: tuple[str, ...], hops: tuple[Hop, ...]) -> _Found:
        if not hops:
            return _Found(tuple(self._last(types)))
        if isinstance(hops[0], Has):
            return self._has(types, hops[0], hops[1:])
        return self._via(types, hops[0], hops[1:])

    def _last(self, types: tuple[str, ...]) -> list[Query]:
        by_kind: dict[str, list[str]] = {}
        for type_ in types:
            if self._code == LIST:
                by_kind.setdefault("", []).append(type_)
            elif (parameter := self._parameter(type_, self._code)) is not None:
                by_kind.setdefault(parameter.type, []).append(type_)
        if not by_kind:
            self.why = _lacking(types, self._code)
        return [Query(tuple(group), self._asked(tuple(group))) for group in by_kind.values()]

    def _asked(self, group: tuple[str, ...]) -> Predicate:
        try:
            return self._leaf(group)
        except InvalidSearch as error:
            raise renamed(error, self._name) from None

    def _has(self, types: tuple[str, ...], hop: Has, rest: tuple[Hop, ...]) -> _Found:
        if hop.type not in definitions.resource_types():
            raise refused(self._name, f"{hop.type!r} is not a resource type")
        parameter = self._reference((hop.type,), hop.type, hop.param)
        if parameter is None:
            return _Found()
        able = tuple(t for t in types if not parameter.target or t in parameter.target)
        if not able:
            self.why = f"{hop.type}:{hop.param} cannot refer to {_listed(types)}"
            return _Found()
        behind = self.found((hop.type,), rest)
        by = [ReferredBy(query, hop.param) for query in behind.queries]
        if not by:
            return _Found()
        return _Found((Query(able, any_of(list(by))),), len(by) + behind.branches)

    def _via(self, types: tuple[str, ...], hop: Via, rest: tuple[Hop, ...]) -> _Found:
        if hop.type is not None and hop.type not in definitions.resource_types():
            raise refused(self._name, f"{hop.type!r} is not a resource type")
        refers: list[Predicate] = []
        able: dict[str, None] = {}
        branches = 0
        for type_ in types:
            parameter = self._reference(types, type_, hop.param)
            if parameter is None:
                continue
            targets = self._targets(parameter, hop)
            behind = self._behind(targets, hop, rest) if targets else _Found()
            for query in behind.queries:
                refers.append(Refers(type_, hop.param, query))
                able[type_] = None
            branches += len(behind.queries) + behind.branches
        return _Found((Query(tuple(able), any_of(refers)),), branches) if refers else _Found()

    def _behind(self, targets: tuple[str, ...], hop: Via, rest: tuple[Hop, ...]) -> _Found:
        if hop.where is None:
            return self.found(targets, rest)
        queries: list[Query] = []
        branches = 0
        for target in targets:
            try:
                condition = hop.where((target,))
            except Lacking as error:
                self.lacking = self.lacking or error
                continue
            behind = self.found((target,), rest)
            queries += [Query(q.types, AllOf((condition, q.where))) for q in behind.queries]
            branches += behind.branches
        return _Found(tuple(queries), branches)

    def _targets(self, parameter: SearchParameter, hop: Via) -> tuple[str, ...]:
        allowed = parameter.target or tuple(sorted(definitions.resource_types()))
        if hop.type is None:
            return allowed
        if hop.type not in allowed:
            self.why = f"{hop.param} cannot refer to {hop.type}, only to {_listed(allowed)}"
            return ()
        return (hop.type,)

    def _reference(self, types: tuple[str, ...], type_: str, code: str) -> SearchParameter | None:
        parameter = self._parameter(type_, code)
        if parameter is None:
            self.why = _lacking(types, code)
            return None
        if parameter.type != "reference":
            self.why = f"{code!r} is a {parameter.type} parameter, it refers to nothing"
            return None
        return parameter

    def _parameter(self, type_: str, code: str) -> SearchParameter | None:
        return parameters.searchable(type_, catalog=self._asking.catalog).get(code)


def _lacking(types: Sequence[str], code: str) -> str:
    if len(types) == 1:
        return f"{types[0]} has no search parameter {code!r}"
    return f"none of {_listed(types)} has a search parameter {code!r}"


def _listed(types: Sequence[str]) -> str:
    return ", ".join(types[:5]) + (f" and {len(types) - 5} more" if len(types) > 5 else "")
