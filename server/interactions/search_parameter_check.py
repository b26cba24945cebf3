"""SearchParameter resources as definitions: what can be used, and what is wrong with the others.

R4 searchparameter.html.  Only ``status`` active is used, and so only that is checked.  R4's own
parameters stay what they are: a resource with the ``url`` of one, or one that is ``derivedFrom`` it
and has its code (as implementation guides publish them), is kept and changes nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidResource, Issue, IssueType
from server.fhir.fhirpath.errors import FhirPathError
from server.search import parameters
from server.search.catalog import R4, Catalog

MAX_EXPRESSION = 4_000  # characters
MAX_CUSTOM = 1_000  # parameters of one server

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,63}", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s|#]+")
_ABSTRACT = frozenset(("Resource", "DomainResource"))


def definition(resource: Mapping[str, Any]) -> SearchParameter | None:
    """Return the definition in a valid SearchParameter, ``None`` if it is not one to be used."""
    if resource["status"] != "active" or resource["url"] in R4.by_url:
        return None
    made = SearchParameter(
        resource["code"],
        resource["url"],
        resource["type"],
        tuple(resource["base"]),
        resource.get("expression", ""),
        tuple(resource.get("target", ())),
        tuple((c["definition"], c["expression"]) for c in resource.get("component", ())),
    )
    return None if _is_derived(made, resource, R4) else made


def check(resource: Mapping[str, Any], catalog: Catalog) -> None:
    """Raise unless a valid SearchParameter can be used beside those of the catalog.

    Raises:
        InvalidResource: it cannot; every reason, and the element at fault.
    """
    made = definition(resource)
    if made is None or _is_derived(made, resource, catalog):
        return
    others = tuple(p for p in catalog.custom if p.url != made.url)
    issues = list(_faults(made, Catalog((*others, made), zone=catalog.zone), Catalog(others)))
    if not issues and len(others) >= MAX_CUSTOM:
        issues = [_issue("too-costly", "url", f"there are {len(others)} already; no more are used")]
    if issues:
        raise InvalidResource(issues[0].diagnostics, issues=issues)


def types_of(parameter: SearchParameter) -> tuple[str, ...]:
    """Return the resource types that a parameter is for."""
    if not _ABSTRACT.isdisjoint(parameter.base):
        return tuple(sorted(definitions.resource_types()))
    return parameter.base


def _faults(made: SearchParameter, catalog: Catalog, others: Catalog) -> Iterator[Issue]:
    if _URL.fullmatch(made.url) is None:
        yield _issue("value", "url", f"{made.url[:100]!r} is not an absolute address of its own")
    if _CODE.fullmatch(made.code) is None:
        told = f"{made.code[:100]!r}: letters, digits, - and _, a letter first, 64 at most"
        yield _issue("value", "code", told)
        return
    yield from _taken(made, others)
    if made.type == "special":
        yield _issue("not-supported", "type", "what a special parameter means is not in it")
        return
    if made.type == "reference" and not made.target:
        yield _issue("required", "target", "a reference parameter names the types it may refer to")
    if not made.expression:
        yield _issue("required", "expression", "without an expression there is nothing to index")
    elif len(made.expression) > MAX_EXPRESSION:
        told = f"{len(made.expression)} characters; at most {MAX_EXPRESSION}"
        yield _issue("too-long", "expression", told)
    elif made.type == "composite":
        yield from _wrong_components(made, catalog)
    else:
        yield from _wrong_expression(made, catalog)


def _taken(made: SearchParameter, others: Catalog) -> Iterator[Issue]:
    for type_ in types_of(made):
        known = others.parameters(type_).get(made.code)
        if known is not None:
            told = f"{type_} has a parameter {made.code!r} already: {known.url}"
            yield _issue("duplicate", "code", told)
            return


def _wrong_expression(made: SearchParameter, catalog: Catalog) -> Iterator[Issue]:
    fitting: list[str] = []
    kinds: dict[str, None] = {}
    for type_ in types_of(made):
        try:
            found = parameters.branches(type_, made.code, catalog)
        except (FhirPathError, RecursionError) as error:
            told = str(error) or "it is nested too deeply"
            yield _issue("value", "expression", f"asked of {type_}: {told}")
            return
        kinds |= dict.fromkeys(branch.type for branch in found)
        if any(parameters.indexer(made, branch, type_, catalog) for branch in found):
            fitting.append(type_)
    yield from _unfit(made, fitting, kinds)


def _unfit(made: SearchParameter, fitting: list[str], kinds: Mapping[str, None]) -> Iterator[Issue]:
    missing = [type_ for type_ in made.base if type_ not in fitting]
    if not _ABSTRACT.isdisjoint(made.base):
        missing = [] if fitting else list(made.base)
    if missing and kinds:
        told = f"a {made.type} parameter cannot hold {', '.join(kinds)}"
        yield _issue("value", "type", f"{told} (of {', '.join(missing)})")
    elif missing:
        told = f"it leads to nothing in {', '.join(missing)}"
        yield _issue("value", "expression", told)


def _wrong_components(made: SearchParameter, catalog: Catalog) -> Iterator[Issue]:
    if len(made.components) < 2:
        yield _issue("required", "component", "a composite parameter has two components or more")
    for at, (url, expression) in enumerate(made.components):
        where = f"component[{at}]"
        part = catalog.by_url.get(url)
        if part is None:
            yield _issue("not-found", f"{where}.definition", f"{url[:200]} is not known here")
        elif part.type in ("composite", "special"):
            told = f"{url[:200]} is a {part.type} parameter itself"
            yield _issue("not-supported", f"{where}.definition", told)
        else:
            yield from _wrong_component(made, part, expression, f"{where}.expression")


def _wrong_component(
    made: SearchParameter, part: SearchParameter, expression: str, where: str
) -> Iterator[Issue]:
    for type_ in types_of(made):
        try:
            found = [
                branch
                for context in parameters.located(made.expression, type_)
                for branch in parameters.located(expression, context.content)
            ]
        except (FhirPathError, RecursionError) as error:
            told = str(error) or "it is nested too deeply"
            yield _issue("value", where, f"asked of {type_}: {told}")
            return
        if not any(parameters.indexer(part, branch, type_) for branch in found):
            told = f"in {type_} it leads to nothing that a {part.type} parameter can hold"
            yield _issue("value", where, told)
            return


def _is_derived(made: SearchParameter, resource: Mapping[str, Any], catalog: Catalog) -> bool:
    """Tell whether it restates a parameter that is known, which then answers for it."""
    url = resource.get("derivedFrom", "").partition("|")[0]
    known = [catalog.parameters(type_).get(made.code) for type_ in types_of(made)]
    return bool(url) and all(found is not None and found.url == url for found in known)


def _issue(code: IssueType, element: str, told: str) -> Issue:
    where = f"SearchParameter.{element}"
    return Issue("error", code, f"{where}: {told}", (where,))
