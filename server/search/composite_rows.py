"""The rows of composites whose parts are not asked of the whole resource: see ``composite.py``."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from server.fhir.fhirpath.branches import Branch
from server.search import digits, parameters, reference, token, uri
from server.search.catalog import R4, Catalog
from server.search.composite import Form, Part, escaped
from server.search.gather import Gathered, Indexer
from server.search.rows import LONGEST_KEPT, hash64, param_hash


def indexer(code: str, form: Form, place: str, catalog: Catalog = R4) -> Indexer:
    """Return what writes the rows of an element; ``place``: its type, or ``#Type``."""
    inner = [(at, part) for at, part in enumerate(form.parts) if part.whole is None]
    keyed = [_tails(part) for at, part in inner if at != form.row]
    prefix = f"{place}|{code}|"
    presence = hash64(f"{prefix}?")
    if form.row is not None:
        part = form.parts[form.row]
        return _rows_of_one(place, code, presence, keyed, _indexers(part, place, code, catalog))

    def index(element: Any, rows: Gathered) -> None:
        keys = [tails(element, rows.base_url) for tails in keyed]
        if all(keys):
            rows.keys.add(presence)
            rows.keys.update(hash64(f"{prefix}$|{'$'.join(one)}") for one in product(*keys))

    return index


Tails = Callable[[Any, str], list[str]]


def _rows_of_one(
    place: str,
    code: str,
    presence: int,
    keyed: Sequence[Tails],
    indexers: Sequence[tuple[Branch, Indexer]],
) -> Indexer:
    def index(element: Any, rows: Gathered) -> None:
        values = [(index, value) for one, index in indexers for value in one.values(element)]
        if not values:
            return
        made = Gathered(rows.base_url)
        for index_value, value in values:
            index_value(value, made)
        keys = [tails(element, rows.base_url) for tails in keyed]
        if not all(keys) or not (made.numbers or made.dates or made.strings):
            return
        rows.keys.add(presence)
        for one in product(*keys):
            name = "$".join((code, *one))
            hashed = param_hash if len(name) <= LONGEST_KEPT else param_hash.__wrapped__
            param = hashed(place, name)
            rows.numbers += [(param, *row[1:]) for row in made.numbers]
            rows.dates += [(param, *row[1:]) for row in made.dates]
            rows.strings += [(param, *row[1:]) for row in made.strings]

    return index


def _indexers(part: Part, place: str, code: str, catalog: Catalog) -> list[tuple[Branch, Indexer]]:
    made = [
        (branch, parameters.indexer_of(part.kind, code, branch, place, catalog))
        for branch in part.branches
    ]
    return [(branch, index) for branch, index in made if index is not None]


def _tails(part: Part) -> Tails:
    """Return what makes the keys of a part, escaped, of an element and the server's base URL."""
    match part.kind:
        case "token":
            systems = [parameters.systems(branch) for branch in part.branches]

            def of(at: int, branch: Branch, value: Any, base_url: str) -> list[str]:
                return token.tails(branch.type, value, systems[at])
        case "reference":

            def of(at: int, branch: Branch, value: Any, base_url: str) -> list[str]:
                return reference.tails(branch.type, value, base_url)
        case "number":

            def of(at: int, branch: Branch, value: Any, base_url: str) -> list[str]:
                return digits.beginnings(int(value))
        case _:

            def of(at: int, branch: Branch, value: Any, base_url: str) -> list[str]:
                return uri.tails(branch.type, value)

    def tails(element: Any, base_url: str) -> list[str]:
        found = (
            escaped(key)
            for at, branch in enumerate(part.branches)
            for value in branch.values(element)
            for key in of(at, branch, value, base_url)
        )
        return list(dict.fromkeys(found))

    return tails
