"""One criterion, ``name[:modifier]=value``, to a predicate.  R4 search.html#modifiers."""

import re
from collections.abc import Mapping, Sequence

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search import composite, date, parameters, token, words
from server.search.asked import Asked
from server.search.catalog import R4, Catalog
from server.search.kinds import PREDICATES
from server.search.query import IdIs, Not, Predicate
from server.search.value import refused, split, unescape

MAX_VALUES = 500  # in one OR list

MODIFIERS: Mapping[str, frozenset[str]] = {
    "composite": frozenset(("missing",)),
    "date": frozenset(("missing",)),
    "number": frozenset(("missing",)),
    "quantity": frozenset(("missing",)),
    "reference": frozenset(("above", "below", "identifier", "missing")),  # and resource types
    "special": frozenset(("missing",)),
    "string": frozenset(("missing", "exact", "contains")),
    "token": frozenset(("above", "below", "in", "missing", "not", "not-in", "of-type", "text")),
    "uri": frozenset(("above", "below", "missing")),
}
"""What can be asked of each parameter type."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def common_parameter(
    types: Sequence[str], code: str, *, catalog: Catalog = R4
) -> SearchParameter | None:
    """Return the parameter if every type has it, as the same parameter type; else ``None``."""
    found = [parameters.searchable(type_, catalog).get(code) for type_ in types]
    first = found[0]
    if first is None or any(p is None or p.type != first.type for p in found):
        return None
    return first


def predicate(
    types: tuple[str, ...],
    parameter: SearchParameter,
    modifier: str | None,
    text: str,
    base_url: str,
    *,
    catalog: Catalog = R4,
) -> Predicate:
    """Return what ``code[:modifier]=text`` asks of ``types``, all of which have the parameter.

    Raises InvalidSearch that names the parameter as it was sent.
    """
    values = tuple(split(text, ","))
    asked = Asked(types, parameter.code, modifier, values, base_url, catalog)
    _check_modifier(asked, parameter)
    if len(asked.values) > MAX_VALUES:
        raise refused(asked.name, f"{len(asked.values)} values; at most {MAX_VALUES} can be ORed")
    if "" in asked.values:
        raise refused(asked.name, "a value between commas is empty")
    if parameter.code in parameters.OF_WORDS:
        return words.predicate("text" if parameter.code == "_text" else "content", text)
    if modifier == "missing":
        return _missing(asked, parameter)
    if asked.param == "_id":
        return _ids(asked)
    if asked.param == "_lastUpdated":
        return date.updated(asked)
    if parameter.type == "token":
        telecom = all(parameters.is_telecom(type_, asked.param, catalog) for type_ in types)
        return token.predicate(asked, folded=telecom)
    if parameter.type == "composite":
        return composite.predicate(asked)
    return PREDICATES[parameter.type](asked)


def _check_modifier(asked: Asked, parameter: SearchParameter) -> None:
    modifier, kind = asked.modifier, parameter.type
    if modifier is None:
        return
    known = modifier in MODIFIERS.get(kind, ())
    if modifier == "missing" and asked.param in parameters.DECIDED_BY_STORE:
        raise refused(asked.name, "every resource has one")
    if asked.param in parameters.OF_WORDS:
        raise refused(asked.name, f"{asked.param} has no modifier")
    if kind == "reference" and modifier in definitions.resource_types():
        if modifier not in parameter.target:
            targets = ", ".join(sorted(parameter.target)[:10])
            raise refused(asked.name, f"a {modifier} cannot be meant, only {targets}")
        return
    if not known:
        allowed = ", ".join(f":{name}" for name in sorted(MODIFIERS.get(kind, ())))
        only = f"only {allowed}" if allowed else "nor any other modifier"
        raise refused(asked.name, f"a {kind} parameter has no :{modifier}, {only}")
    if asked.param == "_id" and modifier != "not":
        raise refused(asked.name, f"an id has no :{modifier}, only :not")
    if modifier == "of-type" and not _holds(asked, "Identifier"):
        raise refused(asked.name, "only identifiers have a type")


def _holds(asked: Asked, fhir_type: str) -> bool:
    return any(
        branch.type == fhir_type
        for type_ in asked.types
        for branch in parameters.branches(type_, asked.param, asked.catalog)
    )


def _missing(asked: Asked, parameter: SearchParameter) -> Predicate:
    is_composite = parameter.type == "composite"
    present = composite.present(asked) if is_composite else asked.has_key(["?"])
    match asked.values:
        case ("true",):
            return Not(present)
        case ("false",):
            return present
        case _:
            raise refused(asked.name, "the value is true or false")


def _ids(asked: Asked) -> Predicate:
    ids = tuple(dict.fromkeys(unescape(raw) for raw in asked.values))
    for id_ in ids:
        if _ID.fullmatch(id_) is None:
            raise refused(asked.name, f"{id_!r} is not an id")
    return Not(IdIs(ids)) if asked.modifier == "not" else IdIs(ids)
