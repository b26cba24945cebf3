"""What a ``_filter`` asks: tree to predicate.  R4 search_filter.html#ops.

==========  =====================================================================================
parameter   operators
==========  =====================================================================================
string      ``eq co sw ew`` compare without case, accents and punctuation, as string search does;
            ``gt lt ge le`` so too, in the order of code points
number,     ``eq ne gt lt ge le sa eb ap`` mean what the prefixes mean; ``co``: the stored interval
quantity    holds the stated number
date        the same; ``po``: the periods overlap; ``co``: the stored period holds the stated one
token       ``eq``: the code as sent, in lower or in upper case; ``ss sb in ni`` are ``:below :above
            :in :not-in``; the systems loinc, snomed, rxnorm and ucum may be stated by these names
reference   ``re``, and ``eq`` which R4 leaves open, mean what the plain search means
uri         ``eq re co sw ew``, case included: R4 has no column for it
composite,  ``eq``: what the plain search means
special
==========  =====================================================================================

``pr``: there is a value (true), or none (false).  ``ne``, where it is no prefix: there are values,
and none of them is equal.  ``co`` of a resource with several dates may find it when one of them
begins, and another ends, as it must.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidSearch
from server.search import chain, criteria, parameters, string
from server.search.asked import any_of
from server.search.chain import Asking, Lacking, Via, lacking
from server.search.filter import Comparison, Joined, Negated, Node, Step, parse_filter
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    DateIs,
    Not,
    NumberIs,
    Predicate,
    StringIs,
    TextIs,
    TextOp,
    UpdatedIs,
)
from server.search.value import refused, split, unsupported

SYSTEMS: Mapping[str, str] = {
    "loinc": "http://loinc.org",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "snomed": "http://snomed.info/sct",
    "ucum": "http://unitsofmeasure.org",
}
"""Names that may stand for code systems in a value."""

_PREFIXES = frozenset(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))
_RELATIONS = {"ss": "below", "sb": "above", "in": "in", "ni": "not-in"}
_TEXT_OPS: Mapping[str, TextOp] = {
    "co": "contains",
    "sw": "starts",
    "ew": "ends",
}
_ORDERED = frozenset(("date", "number", "quantity"))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two values of one element, asked by a composite: the names in the composite's order."""

    composite: str
    names: tuple[str, str]


# R4 search_filter.html#params; the others of that table are of parameters that R4 itself has not.
_PAIRS: Mapping[tuple[str, str], _Pair] = {
    ("Group", "characteristic"): _Pair("characteristic-value", ("code", "value")),
    ("DocumentReference", "relatesTo"): _Pair("relationship", ("target", "code")),
}


def predicate(types: tuple[str, ...], text: str, asking: Asking) -> Predicate:
    """Return what ``_filter=text`` asks of ``types``.

    Raises InvalidSearch that names ``_filter``, and the column of what cannot be read or asked.
    """
    return _meaning(types, parse_filter(text), asking)


def _meaning(types: tuple[str, ...], node: Node, asking: Asking) -> Predicate:
    match node:
        case Joined(by, left, right):
            both = (_meaning(types, left, asking), _meaning(types, right, asking))
            return AllOf(both) if by == "and" else AnyOf(both)
        case Negated(of):
            return Not(_meaning(types, of, asking))
        case Comparison():
            asking.count_comparison("_filter")
            try:
                return _tested(types, node, asking)
            except InvalidSearch as error:
                raise _with_column(error, node.column) from None


def _with_column(error: InvalidSearch, column: int) -> InvalidSearch:
    """Return the error with the column of the innermost comparison that it is about."""
    why = error.diagnostics.removeprefix("_filter: ")
    if why.startswith("column "):
        return error
    if isinstance(error, Lacking):
        return lacking("_filter", f"column {column}: {why}")
    told = refused if error.issues[0].code == "invalid" else unsupported
    return told("_filter", f"column {column}: {why}")


def _tested(types: tuple[str, ...], test: Comparison, asking: Asking) -> Predicate:
    *steps, last = test.path
    if len(steps) == 1 and (pair := _pair(types, steps[0], last)) is not None:
        return _paired(types, pair, steps[0], test, asking)

    def leaf(group: tuple[str, ...]) -> Predicate:
        parameter = criteria.common_parameter(group, last.name, catalog=asking.catalog)
        if parameter is None:
            who = f"{group[0]} has no" if len(group) == 1 else "not every type searched has a"
            raise lacking("_filter", f"{who} search parameter {last.name!r}")
        asking.count_terms("_filter", len(group) * 3)
        return _Leaf(group, parameter, asking, test.value).predicate(test.op)

    if not steps:
        return leaf(types)
    if len(steps) > chain.MAX_HOPS:
        raise refused("_filter", f"more than {chain.MAX_HOPS} hops")
    hops = [_hop(step, asking) for step in steps]
    return chain.follow(types, hops, last.name, leaf, asking, "_filter")


def _hop(step: Step, asking: Asking) -> Via:
    where = step.where
    if where is None:
        return Via(step.name, step.type)
    return Via(step.name, step.type, lambda types: _meaning(types, where, asking))


def _pair(types: tuple[str, ...], step: Step, last: Step) -> _Pair | None:
    found = _PAIRS.get((types[0], step.name)) if len(types) == 1 and step.where else None
    return found if found is not None and last.name in found.names else None


def _paired(
    types: tuple[str, ...], pair: _Pair, step: Step, test: Comparison, asking: Asking
) -> Predicate:
    """Return what ``characteristic[code eq x].value eq y`` asks of one and the same element."""
    match step.where:
        case Comparison(path=(inner,), op="eq", value=value) if {
            inner.name,
            test.path[-1].name,
        } == set(pair.names):
            stated = {inner.name: value, test.path[-1].name: test.value}
        case _:
            stated = {}
    if not stated or test.op not in ("eq", "re"):
        first, second = pair.names
        why = f"{step.name} can be asked as {step.name}[{second} eq ...].{first} eq ... only"
        raise unsupported("_filter", why)
    parameter = criteria.common_parameter(types, pair.composite, catalog=asking.catalog)
    if parameter is None:
        raise unsupported("_filter", f"{types[0]} has no {pair.composite}")
    parts = [_escaped(_with_system(stated[name], 0), "$") for name in pair.names]
    asking.count_terms("_filter", len(types))
    return _Leaf(types, parameter, asking, "$".join(parts)).plain()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value, and the parameter of ``types`` that it is compared to."""

    types: tuple[str, ...]
    parameter: SearchParameter
    asking: Asking
    value: str

    def predicate(self, op: str) -> Predicate:
        """Return what ``parameter op value`` asks; raises InvalidSearch where R4 has no meaning."""
        kind = self.parameter.type
        if op == "pr":
            return self._present()
        if kind in _ORDERED and op in _PREFIXES:
            return self.plain(f"{op}{_with_system(self.value, 1)}")
        match op:
            case "eq":
                return self._equal()
            case "ne":
                return self._unequal()
            case "co" | "sw" | "ew" if kind in ("string", "uri"):
                return self._folded(_TEXT_OPS[op])
            case "co" if kind == "date":
                return _holding(self.plain(f"eq{self.value}"))
            case "co" if kind in _ORDERED:
                # Behind gt a number is exact: a stored interval that overlaps with it holds it.
                return _overlapping(self.plain(f"gt{_with_system(self.value, 1)}"))
            case "po" if kind == "date":
                return _overlapping(self.plain(f"eq{self.value}"))
            case "ss" | "sb" | "in" | "ni" if kind == "token":
                value = self.value if op in ("in", "ni") else _with_system(self.value, 0)
                return self.plain(value, _RELATIONS[op])
            case "re" if kind in ("reference", "uri"):
                return self.plain()
            case "gt" | "lt" | "ge" | "le" if kind == "string":
                return self._folded(op)
        raise refused("_filter", f"{op} means nothing for a {kind} parameter")

    def plain(self, value: str | None = None, modifier: str | None = None) -> Predicate:
        """Return what a search by the parameter asks; a comma is a character of the value."""
        return self._any([self.value if value is None else value], modifier)

    def _any(self, values: Iterable[str], modifier: str | None = None) -> Predicate:
        return criteria.predicate(
            self.types,
            self.parameter,
            modifier,
            ",".join(_escaped(value, ",") for value in values),
            self.asking.base_url,
            catalog=self.asking.catalog,
        )

    def _equal(self) -> Predicate:
        if self.parameter.type == "string":
            return self._folded("is")
        if self.parameter.type != "token" or self.parameter.code in parameters.DECIDED_BY_STORE:
            return self.plain()
        *system, code = split(_with_system(self.value, 0), "|")
        cases = dict.fromkeys((code, code.lower(), code.upper()))
        return self._any("|".join((*system, case)) for case in cases)

    def _unequal(self) -> Predicate:
        if self.parameter.code in parameters.DECIDED_BY_STORE:
            return Not(self._equal())
        return AllOf((self._has_value(), Not(self._equal())))

    def _present(self) -> Predicate:
        wanted = self.value.lower()
        if wanted not in ("true", "false"):
            raise refused("_filter", f"pr is asked with true or false, not {self.value[:20]!r}")
        if self.parameter.code in parameters.DECIDED_BY_STORE:
            return EVERYTHING if wanted == "true" else NOTHING
        return self._has_value() if wanted == "true" else Not(self._has_value())

    def _has_value(self) -> Predicate:
        return self.plain("false", "missing")

    def _folded(self, op: TextOp) -> Predicate:
        places = [(type_, code) for type_ in self.types for code in self._codes(type_)]
        if self.parameter.type == "uri":
            return any_of([TextIs(*place, op, (self.value,)) for place in places])
        folded = string.fold(self.value)
        if not folded:
            raise refused("_filter", f"{self.value[:20]!r} holds no letter or digit to look for")
        return any_of([StringIs(*place, op, (folded,)) for place in places])

    def _codes(self, type_: str) -> tuple[str, ...]:
        """Return the parameters whose rows hold the values."""
        code = self.parameter.code
        return parameters.shared(type_, code, self.asking.catalog) or (code,)


def _overlapping(asked: Predicate) -> Predicate:
    """Return what finds intervals that overlap with those asked for."""
    match asked:
        case DateIs(type_, param, _, lo, hi):
            return DateIs(type_, param, "ap", lo, hi)
        case UpdatedIs(_, lo, hi):
            return UpdatedIs("ap", lo, hi)
        case NumberIs(type_, param, _, low, high, unit):
            return NumberIs(type_, param, "ap", low, high, unit)
        case AnyOf(of):
            return AnyOf(tuple(map(_overlapping, of)))
        case AllOf(of):
            return AllOf(tuple(map(_overlapping, of)))
        case _:
            return asked


def _holding(asked: Predicate) -> Predicate:
    """Return what finds periods that begin and end not within those asked for."""
    match asked:
        case DateIs(type_, param, _, lo, hi):
            begins = DateIs(type_, param, "lt", lo + 1, hi)
            return AllOf((begins, DateIs(type_, param, "gt", lo, hi - 1)))
        case UpdatedIs(_, lo, hi):
            return AllOf((UpdatedIs("lt", lo + 1, hi), UpdatedIs("gt", lo, hi - 1)))
        case AnyOf(of):
            return AnyOf(tuple(map(_holding, of)))
        case _:
            return asked


def _with_system(value: str, place: int) -> str:
    """Return the value with the address of a code system whose name is its part ``place``.

    >>> _with_system("loinc|1234-5", 0), _with_system("5|ucum|mg", 1)
    ('http://loinc.org|1234-5', '5|http://unitsofmeasure.org|mg')
    """
    parts = split(value, "|")
    if len(parts) > place + 1:
        parts[place] = SYSTEMS.get(parts[place].lower(), parts[place])
    return "|".join(parts)


def _escaped(value: str, separator: str) -> str:
    r"""Return the value so that no separator in it, nor one behind it, divides it.

    >>> print(_escaped(r"a,b\,c", ","), _escaped("d\\", ","))
    a\,b\,c d\\
    """
    joined = f"\\{separator}".join(split(value, separator))
    open_ended = (len(joined) - len(joined.rstrip("\\"))) % 2
    return joined + "\\" * open_ended
