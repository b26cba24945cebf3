"""Uri search: exact.  R4 search.html#uri.  A canonical is found with and without its version."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from server.search.asked import Asked
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Predicate
from server.search.rows import LONGEST_KEPT, hash64
from server.search.value import unescape


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; there is no modifier yet."""
    return asked.has_key([f"u|{unescape(raw)}" for raw in asked.values])


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no uri."""
    forms = _FORMS.get(fhir_type)
    if forms is None:
        return None
    prefix = f"{type_}|{param}|"
    presence = hash64(f"{prefix}?")

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        rows.keys.update(_hashed(f"{prefix}u|", fhir_type, value))

    return index


def texts(fhir_type: str, value: Any) -> list[str]:
    """Return the value, for sorting."""
    return [value] if fhir_type in _FORMS else []


def canonical_forms(value: str) -> list[str]:
    """Return a canonical as it is, and without the version that it may have.

    >>> canonical_forms("http://x/ValueSet/a|2")
    ['http://x/ValueSet/a|2', 'http://x/ValueSet/a']
    """
    url, bar, _ = value.partition("|")
    return [value, url] if bar else [value]


def _hashed(prefix: str, fhir_type: str, value: str) -> tuple[int, ...]:
    if len(value) > LONGEST_KEPT:
        return _kept.__wrapped__(prefix, fhir_type, value)
    return _kept(prefix, fhir_type, value)


@lru_cache(maxsize=8192)
def _kept(prefix: str, fhir_type: str, value: str) -> tuple[int, ...]:
    return tuple(hash64(prefix + form) for form in _FORMS[fhir_type](value))


def _itself(value: str) -> list[str]:
    return [value]


_FORMS: dict[str, Callable[[str], list[str]]] = {
    "canonical": canonical_forms,
    **dict.fromkeys(("uri", "url", "oid", "uuid"), _itself),
}
