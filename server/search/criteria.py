"""One criterion, ``name[:modifier]=value``, to a predicate.  R4 search.html#modifiers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search import composite, date, parameters, token, words
from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.kinds import PREDICATES
from server.search.query import HasKey, IdIs, Not, Predicate
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
    match modifier:
        case "missing":
            present = _about(asked, parameter, _present)
            return Not(present) if _is_true(asked) else present
        case "not" | "not-in":
            positive = replace(
                asked, modifier="in" if modifier == "not-in" else None, label=asked.name
            )
            return Not(_about(positive, parameter, _predicate))
        case _:
            return _about(asked, parameter, _predicate)


Predicting = Callable[[Asked, SearchParameter], Predicate]


def _about(asked: Asked, parameter: SearchParameter, predicate_of: Predicting) -> Predicate:
    """Return the predicate of a positive criterion, on the parameters that have the rows."""
    shared = {type_: parameters.shared(type_, asked.param, asked.catalog) for type_ in asked.types}
    if not any(shared.values()):
        return predicate_of(asked, parameter)
    return _merged(
        [
            predicate_of(replace(asked, types=(type_,), param=code, label=asked.name), parameter)
            for type_, codes in shared.items()
            for code in codes or (asked.param,)
        ]
    )


def _merged(parts: list[Predicate]) -> Predicate:
    """Return the OR of predicates, as one set of keys where they are nothing else."""
    if all(isinstance(part, HasKey) for part in parts):
        keys = (key for part in parts if isinstance(part, HasKey) for key in part.keys)
        return HasKey(tuple(dict.fromkeys(keys)))
    return any_of(parts)


def _predicate(asked: Asked, parameter: SearchParameter) -> Predicate:
    if asked.param == "_id":
        return _ids(asked)
    if asked.param == "_lastUpdated":
        return date.updated(asked)
    if parameter.type == "token":
        catalog = asked.catalog
        telecom = all(parameters.is_telecom(type_, asked.param, catalog) for type_ in asked.types)
        return token.predicate(asked, folded=telecom)
    if parameter.type == "composite":
        return composite.predicate(asked)
    return PREDICATES[parameter.type](asked)


def _present(asked: Asked, parameter: SearchParameter) -> Predicate:
    return composite.present(asked) if parameter.type == "composite" else asked.has_key(["?"])


def _is_true(asked: Asked) -> bool:
    if asked.values not in (("true",), ("false",)):
        raise refused(asked.name, "the value is true or false")
    return asked.values == ("true",)


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


def _ids(asked: Asked) -> Predicate:
    ids = tuple(dict.fromkeys(unescape(raw) for raw in asked.values))
    for id_ in ids:
        if _ID.fullmatch(id_) is None:
            raise refused(asked.name, f"{id_!r} is not an id")
    return IdIs(ids)
