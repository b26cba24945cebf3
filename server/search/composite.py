"""Composite search: ``[parameter]=[part]$[part]``.  R4 search.html#composite.

The parts must be met by one element.  Where that element is the resource, or there is at most one
of it, a composite is the AND of parameters that exist anyway and has no rows.  Else its rows are
those of one part, under a parameter named after the keys of the others; or, where every part is
kept as keys, one key of them all (``composite_rows.py``).

``a | b`` as the expression is met by either; ``%resource.`` begins a part of the whole resource.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.fhirpath.branches import Branch, Field
from server.fhir.fhirpath.errors import FhirPathError
from server.search import digits, number, parameters, reference, token, uri
from server.search.asked import MAX_KEYS, Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.kinds import PREDICATES
from server.search.query import AllOf, HasKey, Predicate
from server.search.value import refused, split

CORRECTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # R4 writes the expressions of the two parts the wrong way round.
        "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": ("target", "code"),
        # R4 writes DateTime, which is no type.
        "http://hl7.org/fhir/SearchParameter/Observation-code-value-date": (
            "code",
            "value.as(dateTime) | value.as(Period)",
        ),
    }
)
"""Expressions of parts that are mistaken in R4, by the URL of the composite."""

_KEYED = frozenset(("reference", "token", "uri"))
_WHOLE_NUMBERS = frozenset(("integer", "positiveInt", "unsignedInt"))
_RESOURCE = "%resource."


@dataclass(frozen=True, slots=True)
class Part:
    """``branches`` lead from the element to the values of a part.

    ``whole``: a parameter of the type that asks the same of the resource; such parts have no rows.
    """

    kind: str
    branches: tuple[Branch, ...]
    whole: str | None

    @property
    def is_keyed(self) -> bool:
        """Whether what is asked of it are keys that must be equal."""
        return self.kind in _KEYED or (
            self.kind == "number" and all(b.type in _WHOLE_NUMBERS for b in self.branches)
        )


@dataclass(frozen=True, slots=True)
class Form:
    """One way to meet a composite: an element with its parts, as they are asked for.

    ``name``: the parameter under which its rows stand.  ``row``: the part that has rows, if any.
    """

    name: str
    element: Branch
    parts: tuple[Part, ...]
    row: int | None

    @property
    def has_rows(self) -> bool:
        """Whether some part is not asked of the whole resource."""
        return any(part.whole is None for part in self.parts)


def forms(type_: str, code: str, catalog: Catalog = R4) -> tuple[Form, ...]:
    """Return the ways to meet a composite parameter.  Raises :class:`FhirPathError`."""
    return _forms(type_, code, catalog)


@lru_cache(maxsize=4096)
def _forms(type_: str, code: str, catalog: Catalog) -> tuple[Form, ...]:
    parameter = parameters.searchable(type_, catalog)[code]
    elements = parameters.branches(type_, code, catalog)
    return tuple(_form(type_, parameter, element, catalog) for element in elements)


def _form(type_: str, parameter: SearchParameter, element: Branch, catalog: Catalog) -> Form:
    parts = tuple(
        _part(type_, element, catalog.by_url[url], expression, catalog)
        for url, expression in _components(parameter, catalog)
    )
    inner = [at for at, part in enumerate(parts) if part.whole is None]
    unkeyed = [at for at in inner if not parts[at].is_keyed]
    if len(unkeyed) > 1:
        raise FhirPathError(f"{parameter.code} has two parts that are not kept as keys")
    ranges = unkeyed or [at for at in inner if parts[at].kind == "number"]
    return Form(
        _shared_name(type_, parameter, element, catalog),
        element,
        parts,
        ranges[-1] if ranges else None,
    )


def _components(parameter: SearchParameter, catalog: Catalog) -> list[tuple[str, str]]:
    urls, expressions = (
        zip(*parameter.components, strict=True) if parameter.components else ((), ())
    )
    missing = [url for url in urls if url not in catalog.by_url]
    if not urls or missing:
        raise FhirPathError(f"{parameter.code} has no part, or one that is not known: {missing}")
    return list(zip(urls, CORRECTED.get(parameter.url, expressions), strict=True))


def _part(
    type_: str, element: Branch, definition: SearchParameter, expression: str, catalog: Catalog
) -> Part:
    if expression.startswith(_RESOURCE):
        found = parameters.located(expression.removeprefix(_RESOURCE), type_)
        whole = _same(type_, definition, found, catalog)
        if whole is None:
            raise FhirPathError(f"{type_} has no parameter that is {expression}")
        return Part(definition.type, found, whole)
    found = parameters.located(expression, element.content)
    if not _is_single(type_, element):
        return Part(definition.type, found, None)
    on_resource = [replace(branch, steps=element.steps + branch.steps) for branch in found]
    return Part(definition.type, found, _same(type_, definition, on_resource, catalog))


def _same(
    type_: str, definition: SearchParameter, wanted: Iterable[Branch], catalog: Catalog
) -> str | None:
    """Return the parameter of the type whose values are exactly these."""
    kind, places = definition.type, _places(definition.type, wanted)
    known = parameters.searchable(type_, catalog)
    for code in dict.fromkeys((definition.code, *known)):
        if code not in known or known[code].type != kind:
            continue
        if _places(kind, parameters.branches(type_, code, catalog)) == places:
            return code
    return None


def _places(kind: str, branches: Iterable[Branch]) -> set[tuple[str, tuple[Any, ...]]]:
    return {
        (branch.type, branch.steps) for branch in branches if parameters.holds(kind, branch.type)
    }


def _is_single(type_: str, element: Branch) -> bool:
    content = type_
    for step in element.steps:
        child = definitions.children(content).get(step.key) if isinstance(step, Field) else None
        if child is None or child.max != 1:
            return False
        content = child.content
    return True


def _shared_name(type_: str, parameter: SearchParameter, element: Branch, catalog: Catalog) -> str:
    """Return the composite of fewest elements that has this element and these parts too."""
    found = [
        (len(elements), code)
        for code, other in parameters.searchable(type_, catalog).items()
        if other.type == "composite" and other.components
        for elements in [parameters.branches(type_, code, catalog)]
        if [expression for _, expression in other.components]
        == [expression for _, expression in parameter.components]
        and any(one.steps == element.steps for one in elements)
    ]
    return min(found)[1]


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier but ``missing``, see :func:`present`."""
    found: list[Predicate] = []
    for raw in asked.values:
        parts = split(raw, "$")
        for type_ in asked.types:
            wanted = [_met(asked, type_, form, parts) for form in _known_forms(asked, type_)]
            found += wanted
    return any_of(found)


def present(asked: Asked) -> Predicate:
    """Return "some element has every part"."""
    return any_of(
        [
            _all_of(
                [HasKey((f"{type_}|{part.whole}|?",)) for part in form.parts if part.whole]
                + ([HasKey((f"{type_}|{form.name}|?",))] if form.has_rows else [])
            )
            for type_ in asked.types
            for form in _known_forms(asked, type_)
        ]
    )


def _known_forms(asked: Asked, type_: str) -> tuple[Form, ...]:
    try:
        return forms(type_, asked.param, asked.catalog)
    except FhirPathError as error:
        raise refused(asked.name, f"it cannot be used: {error}") from None


def _met(asked: Asked, type_: str, form: Form, texts: Sequence[str]) -> Predicate:
    if len(texts) != len(form.parts):
        raise refused(asked.name, f"{len(texts)} parts between $, where {len(form.parts)} are due")
    if "" in texts:
        raise refused(asked.name, f"part {texts.index('') + 1} is empty")
    pairs = list(zip(form.parts, texts, strict=True))
    found = [_of_whole(asked, type_, part, text) for part, text in pairs if part.whole]
    if form.has_rows:
        names = [
            _keys(asked, type_, part, text)
            for at, (part, text) in enumerate(pairs)
            if part.whole is None and at != form.row
        ]
        found.append(_within(asked, type_, form, list(_joined(asked, names)), texts))
    return _all_of(found)


def _of_whole(asked: Asked, type_: str, part: Part, text: str) -> Predicate:
    return PREDICATES[part.kind](_about(asked, type_, part.whole or "", text))


def _within(
    asked: Asked, type_: str, form: Form, names: list[str], texts: Sequence[str]
) -> Predicate:
    if form.row is None:
        return HasKey(tuple(f"{type_}|{form.name}|$|{name}" for name in names))
    kind, text = form.parts[form.row].kind, texts[form.row]
    return any_of(
        [PREDICATES[kind](_about(asked, type_, f"{form.name}${name}", text)) for name in names]
        if names != [""]
        else [PREDICATES[kind](_about(asked, type_, form.name, text))]
    )


def _about(asked: Asked, type_: str, param: str, text: str) -> Asked:
    return replace(
        asked, types=(type_,), param=param, modifier=None, values=(text,), label=asked.name
    )


def _keys(asked: Asked, type_: str, part: Part, text: str) -> list[str]:
    """Return the keys of which a part must have one."""
    match part.kind:
        case "token":
            return [token.wanted_key(text, asked.name)]
        case "reference":
            targets = reference.targets_of(type_, asked.param, asked.catalog)
            return reference.wanted_keys(text, None, asked.base_url, asked.name, targets)
        case "number":
            return digits.covering(*number.wanted(text, asked.name))
        case _:
            return uri.wanted_keys(text)


def _joined(asked: Asked, keys: Sequence[Sequence[str]]) -> Iterable[str]:
    count = 1
    for some in keys:
        count *= len(some)
    if count > MAX_KEYS:
        raise refused(asked.name, f"means {count} values; at most {MAX_KEYS}")
    return ("$".join(map(escaped, one)) for one in product(*keys))


def escaped(key: str) -> str:
    """Return a key so that its own ``$`` does not end it."""
    return key.replace("\\", "\\\\").replace("$", "\\$")


def _all_of(parts: Sequence[Predicate]) -> Predicate:
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))
