"""Resource -> index rows, compartments, targets of references.

A resource is walked once, whatever the number of its parameters (:mod:`server.search.tree`).
"""

from functools import lru_cache
from typing import Any

from server.fhir import definitions
from server.fhir.references import split_reference
from server.search import marks, parameters, readable, reference
from server.search.catalog import R4, Catalog
from server.search.clinical import CLINICAL_PARAM
from server.search.gather import Gathered, Indexer
from server.search.rows import MIN_TIME, IndexRows, hash64, param_hash
from server.search.tree import planted


def index_rows(resource: dict[str, Any], base_url: str = "", *, catalog: Catalog = R4) -> IndexRows:
    """Return the index rows of a valid resource with an id; never raises for one.

    ``base_url``: the server's own; references below it are local.
    """
    return _rows_of(resource, _gathered(resource, base_url, catalog))


def indexed(
    resource: dict[str, Any], base_url: str = "", *, catalog: Catalog = R4
) -> tuple[IndexRows, tuple[str, ...]]:
    """Return :func:`index_rows` and :func:`compartments`, in one walk."""
    rows = _gathered(resource, base_url, catalog)
    return _rows_of(resource, rows), tuple(sorted(rows.compartments))


def keys(
    resource: dict[str, Any], codes: tuple[str, ...], base_url: str = "", *, catalog: Catalog = R4
) -> frozenset[int]:
    """Return those of the keys that the parameters ``codes`` give; the type must have them all."""
    tree = _part(resource["resourceType"], codes, catalog)
    return frozenset(_walked(tree, resource, base_url).keys)


def compartments(
    resource: dict[str, Any], base_url: str = "", *, catalog: Catalog = R4
) -> tuple[str, ...]:
    """Return the compartments a resource is in, such as ``Patient/x``, sorted.

    R4 compartmentdefinition.html: by its references in the parameters that the definition names;
    a Patient (Device, Encounter, Practitioner, RelatedPerson) is in its own too.  Beside them is
    what :mod:`server.search.marks` adds: security labels, limited release, compartments for access.
    """
    rows = _walked(_compartment_tree(resource["resourceType"], catalog), resource, base_url)
    _enter_own(resource, rows)
    return tuple(sorted(rows.compartments))


def targets(
    resource: dict[str, Any], param: str, base_url: str = "", *, catalog: Catalog = R4
) -> tuple[str, ...]:
    """Return the local references (``Type/id``) in a reference parameter, without repeats."""
    texts = [
        text
        for branch in parameters.branches(resource["resourceType"], param, catalog)
        for value in branch.values(resource)
        if (text := reference.text_of(branch.type, value)) is not None
    ]
    found = (split_reference(text, base_url).local for text in texts)
    return tuple(dict.fromkeys(local for local in found if local is not None))


def _gathered(resource: dict[str, Any], base_url: str, catalog: Catalog) -> Gathered:
    rows = _walked(_tree(resource["resourceType"], catalog), resource, base_url)
    for inside in resource.get("contained", ()):
        _contained_tree(inside["resourceType"], catalog)(inside, rows)
        rows.keys.add(_type_hash(f"#{inside['resourceType']}"))
    _enter_own(resource, rows)
    return rows


def _rows_of(resource: dict[str, Any], rows: Gathered) -> IndexRows:
    type_, keys = resource["resourceType"], rows.keys
    keys.add(_type_hash(type_))
    keys.update(map(reference.compartment_hash, rows.compartments))
    return IndexRows(
        frozenset(keys),
        _clinical_date(type_, rows),
        _distinct(rows.strings),
        _distinct(rows.dates),
        _distinct(rows.numbers),
        _distinct(rows.texts),
        _distinct(rows.references),
        reference.names(resource),
        _distinct(rows.points),
        readable.narrative(resource),
        readable.content(resource),
    )


def _walked(tree: Indexer, resource: dict[str, Any], base_url: str) -> Gathered:
    rows = Gathered(base_url)
    tree(resource, rows)
    return rows


@lru_cache(maxsize=1024)
def _tree(type_: str, catalog: Catalog) -> Indexer:
    left_out = parameters.DECIDED_BY_STORE
    return planted(type_, sorted(parameters.searchable(type_, catalog).keys() - left_out), catalog)


@lru_cache(maxsize=1024)
def _contained_tree(type_: str, catalog: Catalog) -> Indexer:
    codes = sorted(parameters.searchable(type_, catalog).keys() - parameters.DECIDED_BY_STORE)
    return planted(type_, codes, catalog, f"#{type_}")


@lru_cache(maxsize=1024)
def _part(type_: str, codes: tuple[str, ...], catalog: Catalog) -> Indexer:
    return planted(type_, codes, catalog)


@lru_cache(maxsize=1024)
def _compartment_tree(type_: str, catalog: Catalog) -> Indexer:
    by_definition = (members.get(type_, ()) for members in definitions.compartments().values())
    named = {code for codes in by_definition for code in codes}
    return planted(type_, sorted(named & parameters.searchable(type_, catalog).keys()), catalog)


def _enter_own(resource: dict[str, Any], rows: Gathered) -> None:
    type_ = resource["resourceType"]
    if type_ in definitions.compartments() and "id" in resource:
        rows.compartments.add(f"{type_}/{resource['id']}")
    marks.enter(resource, rows)


def _clinical_date(type_: str, rows: Gathered) -> int | None:
    param = CLINICAL_PARAM.get(type_)
    if param is None or not rows.dates:
        return None
    wanted = param_hash(type_, param)
    starts = [lo for hashed, lo, _ in rows.dates if hashed == wanted and lo != MIN_TIME]
    return min(starts, default=None)


def _distinct(rows: list[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(rows)) if len(rows) > 1 else tuple(rows)


@lru_cache(maxsize=256)
def _type_hash(type_: str) -> int:
    return hash64(type_)
