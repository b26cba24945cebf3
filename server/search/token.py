"""Token search: ``[parameter]=[system]|[code]``.  R4 search.html#token.

A code, an identifier and a plain string match literally, case included.  Telecom addresses have no
case that matters: parameters that are all ContactPoint fold both sides.

``:text`` looks at the words that go with a code: CodeableConcept.text, Coding.display and
Identifier.type.text, folded as strings are.  R4 processes it "as a string", that is, from its
start; here also from the start of any word in it, as its example ("headache") expects.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal

import orjson

from server.fhir.references import split_reference
from server.search import string
from server.search.asked import Asked, any_of
from server.search.gather import Gathered, Indexer
from server.search.query import CodesOf, Predicate, TextIs
from server.search.rows import LONGEST_KEPT, hash64
from server.search.value import refused, split, unescape

LONGEST_TEXT = 1_000  # characters of a display or text that ``:text`` looks at

_CONCEPTS_KEPT = 256  # of one parameter, as JSON; a hundred or two parameters are in use

TextRow = tuple[int, str, int]
Codings = list[tuple[str | None, str | None]]
Displays = Callable[[Any], list[str]]

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
    """Return what ``asked`` means; every modifier but ``missing`` and those that negate.

    ``folded``: every value of the parameter is a ContactPoint.
    """
    match asked.modifier:
        case "text":
            return _by_text(asked)
        case "of-type":
            return asked.has_key([_of_type(raw, asked.name) for raw in asked.values])
        case "in":
            return _codes_of(asked, "in", [_value_set(asked, raw) for raw in asked.values])
        case "above" | "below" as relation:
            return _codes_of(
                asked, relation, [_concept_of(raw, asked.name) for raw in asked.values]
            )
        case _:
            values = [fold(raw) for raw in asked.values] if folded else asked.values
            return asked.has_key([wanted_key(raw, asked.name) for raw in values])


def _by_text(asked: Asked) -> Predicate:
    """Return what ``:text`` asks: a text, or a word within it, starts with a value."""
    folded = tuple(dict.fromkeys(string.fold(unescape(raw)) for raw in asked.values))
    if "" in folded:
        raise refused(asked.name, "a value holds no letter or digit to look for")
    inside, found = tuple(f" {text}" for text in folded), []
    for type_ in asked.types:
        param = f"{asked.param}:text"
        found += [TextIs(type_, param, "starts", folded), TextIs(type_, param, "contains", inside)]
    return any_of(found)


def _of_type(raw: str, name: str) -> str:
    match [unescape(part) for part in split(raw, "|")]:
        case [system, code, value] if system and code and value:
            return f"o|{system}|{code}|{value}"
        case _:
            raise refused(name, f"{raw!r} is not system|code|value of a typed identifier")


def _value_set(asked: Asked, raw: str) -> str:
    """Return the address of a value set: canonical, or ``ValueSet/id`` of this server."""
    text = unescape(raw)
    reference = split_reference(text, asked.base_url)
    if reference.type == "ValueSet" and reference.local is not None:
        return reference.local
    if reference.url is None or ":" not in reference.url:
        raise refused(asked.name, f"{text!r} is not the address of a value set, nor ValueSet/id")
    return text


def _concept_of(raw: str, name: str) -> str:
    match [unescape(part) for part in split(raw, "|")]:
        case [system, code] if system and code:
            return f"{system}|{code}"
        case _:
            raise refused(name, f"{raw!r} is not system|code, of which others are above and below")


def _codes_of(
    asked: Asked, relation: Literal["in", "above", "below"], values: list[str]
) -> Predicate:
    found = [CodesOf(type_, asked.param, relation, v) for type_ in asked.types for v in values]
    return any_of(found)


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

    if systems and fhir_type == "code":
        return _with_systems(index, prefix, systems)
    displays = _DISPLAYS.get(fhir_type)
    return _with_texts(index, prefix, displays) if displays else index


def tails(
    fhir_type: str, value: Any, systems: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """Return the keys of one value behind ``Type|param|``, those of its texts left out."""
    codings = _CODINGS.get(fhir_type)
    found = [key for coding in (codings(value) if codings else ()) for key in token_keys(*coding)]
    if systems and fhir_type == "code":
        own = [system for system, codes in systems.items() if value in codes]
        found += [key for system in own for key in token_keys(system, value)]
    return list(dict.fromkeys(found))


def _with_systems(index: Indexer, prefix: str, systems: Mapping[str, Collection[str]]) -> Indexer:
    of_code = {code: system for system, codes in systems.items() for code in codes}

    def index_bound(value: Any, rows: Gathered) -> None:
        index(value, rows)
        if system := of_code.get(value):
            rows.keys.update(_hashed(prefix, system, value))

    return index_bound


def _with_texts(index: Indexer, prefix: str, displays: Displays) -> Indexer:
    typed = displays is _identifier_type

    def index_texts(value: Any, rows: Gathered) -> None:
        index(value, rows)
        for text in displays(value):
            row = (_text_row if len(text) <= LONGEST_KEPT else _text_row.__wrapped__)(prefix, text)
            if row[1]:
                rows.texts.append(row)
                rows.keys.add(row[2])
        if typed and "type" in value:
            rows.keys.update(_typed(prefix, value))

    return index_texts if typed else _at_hand(index_texts)


def _at_hand(index: Indexer) -> Indexer:
    """Return an indexer that knows what it wrote for concepts met before: nearly all are."""

    @lru_cache(maxsize=_CONCEPTS_KEPT)
    def written(json: bytes) -> tuple[frozenset[int], tuple[TextRow, ...]]:
        made = Gathered()
        index(orjson.loads(json), made)
        return frozenset(made.keys), tuple(made.texts)

    def index_again(value: Any, rows: Gathered) -> None:
        try:
            json = orjson.dumps(value)
        except TypeError:  # a decimal in an extension, half a character
            index(value, rows)
            return
        if len(json) > LONGEST_KEPT:
            index(value, rows)
            return
        keys, texts = written(json)
        rows.keys.update(keys)
        rows.texts += texts

    return index_again


@lru_cache(maxsize=16384)
def _text_row(prefix: str, text: str) -> TextRow:
    folded = string.fold(text[:LONGEST_TEXT])
    return hash64(f"{prefix[:-1]}:text"), folded, hash64(f"{prefix}t|{folded}")


def _typed(prefix: str, identifier: Any) -> list[int]:
    """Return the keys of ``:of-type``."""
    codings = [coding for coding in identifier["type"].get("coding", ()) if coding]
    return [
        hash64(f"{prefix}o|{coding['system']}|{coding['code']}|{identifier['value']}")
        for coding in codings
        if "system" in coding and "code" in coding and "value" in identifier
    ]


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


def _coding_display(value: Any) -> list[str]:
    return [display] if (display := value.get("display")) else []


def _concept_texts(value: Any) -> list[str]:
    found = [
        coding["display"] for coding in value.get("coding", ()) if coding and "display" in coding
    ]
    return [*found, value["text"]] if "text" in value else found


def _identifier_type(value: Any) -> list[str]:
    return [text] if (text := value.get("type", {}).get("text")) else []


_DISPLAYS: dict[str, Displays] = {
    "Coding": _coding_display,
    "CodeableConcept": _concept_texts,
    "Identifier": _identifier_type,
}
