"""Token search: ``[parameter]=[system]|[code]``.  R4 search.html#token.

A code, an identifier and a plain string match literally, case included.  Telecom addresses have no
case that matters: parameters that are all ContactPoint fold both sides.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from server.search.asked import Asked
from server.search.gather import Gathered, Indexer
from server.search.query import Not, Predicate
from server.search.rows import LONGEST_KEPT, hash64
from server.search.value import refused, split, unescape

_PLAIN_TYPES = ("boolean", "code", "id", "string", "uri", "url", "canonical", "oid", "uuid")


def token_keys(system: str | None, code: str | None) -> list[str]:
    """Return the keys under which one stored coding is found, behind ``Type|param|``.

    >>> token_keys("http://loinc.org", "8867-4")
    ['c|8867-4', 's|http://loinc.org|8867-4', 'y|http://loinc.org']
    >>> token_keys(None, "true")
    ['c|true', 's||true']
    """
    by_code = [f"c|{code}", f"s|{system or ''}|{code}"] if code else []
    return [*by_code, f"y|{system}"] if system else by_code


def wanted_key(raw: str, name: str) -> str:
    """Return the key that one asked value, in one of the four R4 forms, must find.

    >>> [wanted_key(raw, "code") for raw in ("a", "s|a", "|a", "s|")]
    ['c|a', 's|s|a', 's||a', 'y|s']
    """
    parts = [unescape(part) for part in split(raw, "|")]
    match parts:
        case [code] if code:
            return f"c|{code}"
        case [system, ""] if system:
            return f"y|{system}"
        case [system, code] if code:
            return f"s|{system}|{code}"
        case _:
            raise refused(name, f"{raw!r} is not code, system|code, |code or system|")


def predicate(asked: Asked, *, folded: bool = False) -> Predicate:
    """Return what ``asked`` means; modifiers: none and ``not``.

    ``folded``: every value of the parameter is a ContactPoint.
    """
    values = [fold(raw) for raw in asked.values] if folded else asked.values
    found = asked.has_key([wanted_key(raw, asked.name) for raw in values])
    return Not(found) if asked.modifier == "not" else found


def fold(text: str) -> str:
    """Return the text as addresses are compared: without case and outer blanks."""
    return text.strip().casefold()


def indexer(
    type_: str, param: str, fhir_type: str, systems: Mapping[str, Collection[str]] | None = None
) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it holds no token.

    ``systems``: {system: codes} that a ``code`` is from; it is then found with its system too.
    """
    prefix = f"{type_}|{param}|"
    presence = hash64(f"{prefix}?")
    codings = _CODINGS.get(fhir_type)
    if codings is None:
        return None

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        for system, code in codings(value):
            rows.keys.update(_hashed(prefix, system, code))

    return _with_systems(index, prefix, systems) if systems and fhir_type == "code" else index


def _with_systems(index: Indexer, prefix: str, systems: Mapping[str, Collection[str]]) -> Indexer:
    of_code = {code: system for system, codes in systems.items() for code in codes}

    def index_bound(value: Any, rows: Gathered) -> None:
        index(value, rows)
        if system := of_code.get(value):
            rows.keys.update(_hashed(prefix, system, value))

    return index_bound


def texts(fhir_type: str, value: Any) -> list[str]:
    """Return the codes of a value, for sorting."""
    codings = _CODINGS.get(fhir_type)
    return [code for _, code in codings(value) if code] if codings else []


def _hashed(prefix: str, system: str | None, code: str | None) -> tuple[int, ...]:
    if len(code or "") + len(system or "") > LONGEST_KEPT:
        return _kept.__wrapped__(prefix, system, code)
    return _kept(prefix, system, code)


@lru_cache(maxsize=32768)
def _kept(prefix: str, system: str | None, code: str | None) -> tuple[int, ...]:
    return tuple(hash64(prefix + key) for key in token_keys(system, code))


Codings = list[tuple[str | None, str | None]]


def _coding(value: Any) -> Codings:
    return [(value.get("system"), value.get("code"))]


def _concept(value: Any) -> Codings:
    return [(c.get("system"), c.get("code")) for c in value.get("coding", ()) if c]


def _identifier(value: Any) -> Codings:
    return [(value.get("system"), value.get("value"))]


def _contact(value: Any) -> Codings:
    return [(None, fold(value.get("value", "")))]


def _plain(value: Any) -> Codings:
    return [(None, ("true" if value else "false") if isinstance(value, bool) else value)]


_CODINGS: dict[str, Callable[[Any], Codings]] = {
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": _identifier,
    "ContactPoint": _contact,
    **dict.fromkeys(_PLAIN_TYPES, _plain),
}
