"""The parameters of a type as one tree of JSON properties, so that a resource is walked once.

A tree is made into functions that call each other, one for each place of a resource; what several
parameters do at a place they do together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.fhir.fhirpath.branches import Branch, Field, Keep
from server.fhir.fhirpath.compile import PointsTo
from server.fhir.fhirpath.errors import FhirPathError
from server.search import composite, composite_rows, evaluated, parameters, reference
from server.search.catalog import Catalog
from server.search.gather import Gathered, Indexer
from server.search.rows import hash64


class _Node:
    """What to do at one place of a resource: write rows, filter, go deeper."""

    __slots__ = ("children", "indexers", "kept", "references")

    def __init__(self) -> None:
        self.indexers: list[Indexer] = []
        self.references: list[reference.Parameter] = []
        self.kept: list[tuple[Callable[[Any], bool], _Node]] = []
        self.children: dict[str, _Node] = {}


def planted(type_: str, codes: Sequence[str], catalog: Catalog, place: str = "") -> Indexer:
    """Return what writes the rows that some parameters have of a resource of a type.

    ``place``: the name under which rows stand, when it is not the type.
    """
    root, place = _Node(), place or type_
    rows_of = (parameters.shared(type_, code, catalog) or (code,) for code in codes)
    for code in dict.fromkeys(one for some in rows_of for one in some):
        parameter = parameters.searchable(type_, catalog)[code]
        if parameter.type == "composite":
            _plant_composite(root, type_, code, place, catalog)
            continue
        expression = parameters.expression_of(type_, code, catalog)
        branches = parameters.branches(type_, code, catalog)
        indexers = [(one, parameters.indexer(parameter, one, place, catalog)) for one in branches]
        if expression is not None:
            by_type = {branch.type: index for branch, index in indexers if index is not None}
            root.indexers.append(evaluated.indexer(expression, by_type))
            continue
        for branch, index in indexers:
            if parameter.type == "reference" and branch.type == "Reference" and _is_path(branch):
                own = parameters.compartments(place, code)
                _plant_reference(root, branch, reference.Parameter(place, code, own))
            else:
                _plant(root, branch, index or _presence(place, code))
    return _grown(root)


def _plant_composite(root: _Node, type_: str, code: str, place: str, catalog: Catalog) -> None:
    try:
        forms = composite.forms(type_, code, catalog)
    except FhirPathError:
        return  # of a parameter added at run time: whoever asks by it is told
    for form in forms:
        if form.name == code and form.has_rows:
            _plant(root, form.element, composite_rows.indexer(code, form, place, catalog))


def _plant(node: _Node, branch: Branch, index: Indexer) -> None:
    if _is_path(branch):
        _node_at(node, branch).indexers.append(index)
    else:
        node.indexers.append(_from_root(branch, index))


def _plant_reference(node: _Node, branch: Branch, parameter: reference.Parameter) -> None:
    """Plant a parameter where others of the same reference are, whatever types these are for."""
    last = branch.steps[-1]
    if isinstance(last, Keep) and isinstance(last.test, PointsTo):
        before = Branch(branch.type, branch.content, branch.steps[:-1])
        parameter = replace(parameter, only=last.test.type)
        _node_at(node, before).references.append(parameter)
    else:
        _node_at(node, branch).references.append(parameter)


def _is_path(branch: Branch) -> bool:
    """Tell whether no step of a branch looks at a whole collection."""
    return all(isinstance(step, Field | Keep) for step in branch.steps)


def _node_at(node: _Node, branch: Branch) -> _Node:
    for step in branch.steps:
        if isinstance(step, Field):
            node = node.children.setdefault(step.key, _Node())
        elif isinstance(step, Keep):
            kept = _Node()
            node.kept.append((step.test, kept))
            node = kept
    return node


def _from_root(branch: Branch, index: Indexer) -> Indexer:
    """Return an indexer of the whole resource, for steps that look at a whole collection."""

    def index_all(resource: Any, rows: Gathered) -> None:
        for value in branch.values(resource):
            index(value, rows)

    return index_all


def _presence(type_: str, code: str) -> Indexer:
    """Return an indexer for types that R4 lets a parameter have but no search can compare."""
    presence = hash64(f"{type_}|{code}|?")
    return lambda _, rows: rows.keys.add(presence)


def _grown(node: _Node) -> Indexer:
    """Return what does all that is to be done at a place and below it."""
    doing = list(node.indexers)
    if node.references:
        doing.append(reference.together(node.references))
    doing += [_if(test, _grown(kept)) for test, kept in node.kept]
    if node.children:
        doing.append(_below({key: _grown(child) for key, child in node.children.items()}))
    return doing[0] if len(doing) == 1 else _each(tuple(doing))


def _each(doing: Sequence[Indexer]) -> Indexer:
    def index(value: Any, rows: Gathered) -> None:
        for one in doing:
            one(value, rows)

    return index


def _if(test: Callable[[Any], bool], then: Indexer) -> Indexer:
    def index(value: Any, rows: Gathered) -> None:
        if test(value):
            then(value, rows)

    return index


def _below(children: Mapping[str, Indexer]) -> Indexer:
    child_at = children.get

    def index(value: Any, rows: Gathered) -> None:
        if type(value) is not dict:
            return
        for key, part in value.items():
            child = child_at(key)
            if child is None or part is None:
                continue
            if type(part) is not list:
                child(part, rows)
                continue
            for item in part:
                if item is not None:
                    child(item, rows)

    return index
