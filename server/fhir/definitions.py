"""What R4 (4.0.1) defines: types, elements, search parameters, compartments, invariants.

Read from the tables in ``data/`` (made by ``scripts/gen_definitions.py``) when first asked for,
then kept; nothing here changes after that, so every thread may use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import orjson
import zstandard

Kind = Literal["resource", "complex-type", "primitive-type"]

# The specification's own illustrations of a SearchParameter; they are not meant to be searched.
_EXAMPLES = frozenset(
    f"http://hl7.org/fhir/SearchParameter/{name}"
    for name in ("example", "example-extension", "example-reference")
)


@dataclass(frozen=True, slots=True)
class Type:
    """A type; ``base`` is empty at the top (``Element``, ``Resource``)."""

    name: str
    kind: Kind
    base: str
    abstract: bool


@dataclass(frozen=True, slots=True)
class Child:
    """One JSON property of a type or backbone; a choice has one for each of its types.

    ``name``: the property, ``valueString``.  ``types``: its type; none for a content reference.
    ``path``: where it is defined, ``Observation.value[x]``.  ``max``: -1 for ``*``.
    ``targets``: resource types a Reference may point to, none for any.
    ``binding``: URL of the value set that is required.  ``choice``: ``value`` for ``valueString``.
    ``content``: what to give :func:`children` for the properties inside.
    """

    name: str
    types: tuple[str, ...]
    path: str
    min: int
    max: int
    targets: tuple[str, ...]
    binding: str | None
    choice: str | None
    content: str
    summary: bool
    modifier: bool


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """The facts of a SearchParameter; ``components`` are (definition URL, expression)."""

    code: str
    url: str
    type: str
    base: tuple[str, ...]
    expression: str
    target: tuple[str, ...]
    components: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule of the specification; ``severity`` is ``error`` or ``warning``."""

    key: str
    severity: str
    expression: str


@cache
def resource_types() -> frozenset[str]:
    """Return the 146 concrete resource types."""
    return frozenset(
        name for name, found in types().items() if found.kind == "resource" and not found.abstract
    )


@cache
def types() -> Mapping[str, Type]:
    """Return every type by name, abstract ones too, and none that is only a profile."""
    return MappingProxyType(
        {name: Type(name, *facts) for name, facts in _table("structures")["types"].items()}
    )


@cache
def children(type_or_path: str) -> Mapping[str, Child]:
    """Return the properties of a type (``Patient``) or backbone (``Patient.contact``), in order.

    What is inherited comes first.  Unknown names have no children.

    >>> children("Observation")["valueString"].choice
    'value'
    """
    base, own = _table("structures")["children"].get(type_or_path, ("", ()))
    made = dict(children(base)) if base else {}
    for record in own:
        made |= {child.name: child for child in _children_of(record, type_or_path)}
    return MappingProxyType(made)


@cache
def required_codes(value_set: str) -> Mapping[str, frozenset[str]] | None:
    """Return {system: codes} of a required binding, ``None`` where the list is not HL7's own."""
    found = _table("structures")["required"].get(value_set)
    return found and {system: frozenset(codes) for system, codes in found.items()}


@cache
def bound_codes(system: str) -> frozenset[str] | None:
    """Return the codes of a system that required bindings know, ``None`` where none is HL7's own.

    >>> sorted(bound_codes("http://hl7.org/fhir/administrative-gender"))
    ['female', 'male', 'other', 'unknown']
    """
    bindings = _table("structures")["required"].values()
    found = [codes[system] for codes in bindings if codes and system in codes]
    return frozenset().union(*found) if found else None


@cache
def all_search_parameters() -> tuple[SearchParameter, ...]:
    """Return all 1,400 SearchParameters of R4, by URL.

    Not all can be searched: some have no expression, and three are illustrations.
    """
    return tuple(
        SearchParameter(
            code,
            url,
            type_,
            tuple(base.split()),
            expression,
            tuple(target.split()),
            tuple((definition, inner) for definition, inner in components),
        )
        for code, url, type_, base, expression, target, components in _table("search")["parameters"]
    )


@cache
def search_parameters(type_: str) -> Mapping[str, SearchParameter]:
    """Return by code the parameters of a resource type, with those of what it inherits from.

    Without an expression there are only ``_text``, ``_content``, ``_query`` and ``_filter``.
    """
    made: dict[str, SearchParameter] = {}
    known = types().get(type_)
    if known and known.base:
        made.update(search_parameters(known.base))
    made.update(_parameters_by_base().get(type_, {}))
    return MappingProxyType(made)


@cache
def compartments() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return for each of the 5 compartments the parameters that put a resource in it.

    ``{"Patient": {"Observation": ("subject", "performer"), ...}, ...}``.  A resource is in its
    own compartment too; R4 writes ``{def}`` for that in some definitions only, so it is left out.
    """
    return MappingProxyType(
        {
            compartment: MappingProxyType(
                {
                    type_: tuple(param for param in params if param != "{def}")
                    for type_, params in members.items()
                    if params != ["{def}"]
                }
            )
            for compartment, members in _table("search")["compartments"].items()
        }
    )


def invariants(type_or_path: str) -> tuple[Invariant, ...]:
    """Return the rules that the definition of a type or element adds to what it inherits."""
    found = _table("rules")["invariants"].get(type_or_path, ())
    return tuple(Invariant(*facts) for facts in found)


def binding(path: str) -> tuple[str, str] | None:
    """Return (strength, value set URL) of a binding that is not required."""
    found = _table("rules")["bindings"].get(path)
    return (found[0], found[1]) if found else None


@cache
def fingerprint() -> str:
    """Return a name for the tables that index rows depend on; it changes when they do."""
    made = blake2b(digest_size=8)
    for name in ("structures", "search"):
        made.update(_text(name))
    return made.hexdigest()


def _text(name: str) -> bytes:
    return zstandard.decompress(files("server.fhir").joinpath(f"data/{name}.json.zst").read_bytes())


@cache
def _table(name: str) -> Any:
    return orjson.loads(_text(name))


def _children_of(record: list[Any], parent: str) -> list[Child]:
    """Return the properties of an element: one, or one for each type of a choice."""
    element, min_, max_, types_, targets, required, content, flags = record
    choice = element.removesuffix("[x]") if element.endswith("[x]") else None
    names = types_.split()
    return [
        Child(
            name=choice + type_[0].upper() + type_[1:] if choice else element,
            types=(type_,) if type_ else (),
            path=f"{parent}.{element}",
            min=min_,
            max=max_,
            targets=tuple(targets.split()) if type_ == "Reference" else (),
            binding=required or None,
            choice=choice,
            content=content or type_,
            summary=bool(flags & 1),
            modifier=bool(flags & 2),
        )
        for type_ in (names or [""])
    ]


@cache
def _parameters_by_base() -> Mapping[str, Mapping[str, SearchParameter]]:
    made: dict[str, dict[str, SearchParameter]] = {}
    for parameter in all_search_parameters():
        general = not {"Resource", "DomainResource"}.isdisjoint(parameter.base)
        if parameter.url not in _EXAMPLES and (parameter.expression or general):
            for base in parameter.base:
                made.setdefault(base, {})[parameter.code] = parameter
    return made
