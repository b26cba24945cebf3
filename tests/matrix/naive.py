"""A second oracle: what a search must find, said once more, slowly, by other means.

fhirpathpy reads the text of each definition's expression; what a value means in a search is written
down here from R4 search.html and the choices that docs/search.md names.  Nothing of
``server.search`` is used, so that a fault there is not repeated here.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from server.fhir import definitions
from server.fhir.definitions import Child, SearchParameter
from tests.matrix.paths import alternatives, paths
from tests.matrix.values import BASE_URL, UCUM

KINDS = frozenset(("token", "string", "date", "reference", "number", "quantity", "uri"))

_RESOURCE_OF = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/.*)?")
_LAST_TYPE = re.compile(r".*(?: as |\.as\(|\.ofType\()(\w+)\)$")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a parameter: its FHIR type and its JSON; ``systems`` of a bound code."""

    type: str
    data: Any
    systems: tuple[str, ...] = ()


def values(parameter: SearchParameter, resource: dict[str, Any]) -> list[Value]:
    """Return the values that fhirpathpy finds by the parameter's expression."""
    found: list[Value] = []
    for expression in alternatives(parameter.expression):
        if evaluate := _compiled(expression, resource["resourceType"]):
            for node in evaluate(resource):
                value = value_of(node, expression)
                found += _extended(value) if value.type == "Extension" else [value]
    return with_systems(found, parameter, resource["resourceType"])


def with_systems(found: list[Value], parameter: SearchParameter, type_: str) -> list[Value]:
    """Return the values, codes of a required binding with their system."""
    bound = _systems(parameter, type_)
    return [Value(v.type, v.data, bound.get(v.data, ())) if v.type == "code" else v for v in found]


def _resolve(references: list[Any]) -> list[ResourceNode]:
    """Return a resource of the type that a reference tells; nothing is looked up."""
    texts = [(one.get("reference", ""), one.get("type")) for one in references]
    types = [m[1] if (m := _RESOURCE_OF.fullmatch(text)) else named for text, named in texts]
    return [ResourceNode({"resourceType": type_}, None) for type_ in types if type_]


def _has_extension(elements: list[Any], url: str) -> bool:
    return any(e["url"] == url for element in elements for e in element.get("extension", ()))


# What fhirpathpy lacks.
_OPTIONS = {
    "returnRawData": True,
    "userInvocationTable": {
        "resolve": {"fn": _resolve, "arity": {0: []}},
        "hasExtension": {"fn": _has_extension, "arity": {1: ["String"]}},
    },
}


# What is put differently for fhirpathpy: pattern, replacement.
REWRITTEN = (
    # It does not know that a Patient is a Resource.
    (r"^(\(?)(?:Domain)?Resource\.", r"\1{type}."),
    # ``as`` of many values is an error in FHIRPath; R4's parameters mean ``ofType`` by it.
    (r" as (\w+)\)", r".ofType(\1))"),
    (r"\.as\(", ".ofType("),
    # It gives but the first of several extensions of one address.
    (r"\.extension\(('[^']*')\)", r".extension.where(url=\1)"),
)


@cache
def _compiled(expression: str, type_: str) -> Callable[[Any], list[Any]] | None:
    """Return the evaluation of one alternative, ``None`` if it is about another type."""
    text = expression
    for pattern, replacement in REWRITTEN:
        text = re.sub(pattern, replacement.replace("{type}", type_), text)
    first = re.match(r"\(?(\w+)", text)
    assert first
    if first[1][0].isupper() and first[1] != type_:
        return None
    found: Callable[[Any], list[Any]] = fhirpathpy.compile(text, models["r4"], _OPTIONS)
    return found


def value_of(node: Any, expression: str) -> Value:
    """Return what fhirpathpy found, with the type that it or the expression tells."""
    if not isinstance(node, ResourceNode):
        return Value("boolean", node)
    named = _LAST_TYPE.match(expression)  # fhirpathpy forgets the type behind "as"
    type_ = named[1] if named else str(node.path)
    return Value("id" if type_ == "System.String" else type_, node.data)


def _extended(extension: Value) -> list[Value]:
    return [
        Value(child.types[0], extension.data[name])
        for name, child in definitions.children("Extension").items()
        if child.choice == "value" and name in extension.data
    ]


@cache
def _systems(parameter: SearchParameter, type_: str) -> dict[str, tuple[str, ...]]:
    """Return the systems of the codes of required bindings."""
    found: dict[str, tuple[str, ...]] = {}
    for steps in paths(parameter, type_):
        for child in _leaves(type_, [step.name for step in steps]):
            bound = definitions.required_codes(child.binding) if child.binding else None
            for system, codes in (bound or {}).items():
                found |= {code: (*found.get(code, ()), system) for code in codes}
    return found


def _leaves(content: str, names: Sequence[str]) -> list[Child]:
    first, *rest = names
    here = [c for c in definitions.children(content).values() if first in (c.name, c.choice)]
    return [leaf for child in here for leaf in _leaves(child.content, rest)] if rest else here


Atom = tuple[Any, ...]


def atoms(kind: str, value: Value) -> list[Atom]:
    """Return what can be searched for in a value: nothing if its type holds none of the kind."""
    return _ATOMS[kind](value)


def finds(
    parameter: SearchParameter, found: Sequence[Value], modifier: str | None, raw: str
) -> bool:
    """Tell whether a resource with these values is found by ``code[:modifier]=raw``."""
    if modifier == "missing":
        return (raw == "false") is bool(found)
    if modifier == "not":
        return not finds(parameter, found, None, raw)
    asked = split(raw, ",")
    have = [atom for value in found for atom in atoms(parameter.type, value)]
    test = _TESTS[parameter.type]
    return any(test(parameter, modifier, one, atom) for one in asked for atom in have)


def split(text: str, separator: str) -> list[str]:
    r"""Return the parts at separators that no backslash stands before."""
    if "\\" not in text:
        return text.split(separator)
    parts, escaped = [""], False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def plain(text: str) -> str:
    """Return the text without escapes."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


# token ------------------------------------------------------------------------------------------


def _token_atoms(value: Value) -> list[Atom]:
    """Return (system, code, texts, types): ``None`` is absent."""
    data = value.data
    match value.type:
        case "CodeableConcept":
            texts = (data.get("text"),)
            codings = [c for c in data.get("coding", []) if c]
            made = [
                (c.get("system"), c.get("code"), (*texts, c.get("display")), ()) for c in codings
            ]
            return [*made, (None, None, texts, ())]
        case "Coding":
            return [(data.get("system"), data.get("code"), (data.get("display"),), ())]
        case "Identifier":
            kind = data.get("type", {})
            types = tuple((c.get("system"), c.get("code")) for c in kind.get("coding", []))
            return [(data.get("system"), data.get("value"), (kind.get("text"),), types)]
        case "ContactPoint":
            return [(None, data.get("value", "").strip().casefold(), (), ())]
        case "boolean":
            return [(None, "true" if data else "false", (), ())]
        case "code" | "id" | "string" | "uri" | "canonical" | "url" | "oid" | "uuid":
            return [(None, data, (), ()), *[(system, data, (), ()) for system in value.systems]]
        case _:
            return []


def _is_token(parameter: SearchParameter, modifier: str | None, raw: str, atom: Atom) -> bool:
    system, code, texts, types = atom
    if modifier == "text":  # at the start, or at the start of a word
        return any(f" {fold(plain(raw))}" in f" {fold(text)}" for text in texts if text)
    parts = [plain(part) for part in split(raw, "|")]
    if modifier == "of-type":
        return (parts[0], parts[1]) in types and code == parts[2]
    if _is_telecom(parameter):
        parts = [part.strip().casefold() for part in parts]
    match parts:
        case [wanted]:
            return bool(code == wanted)
        case [wanted, ""]:
            return bool(system == wanted)
        case ["", wanted]:
            return not system and bool(code == wanted)
        case [where, wanted]:
            return bool((system, code) == (where, wanted))
    raise AssertionError(raw)


@cache
def _is_telecom(parameter: SearchParameter) -> bool:
    """Tell whether all values are ContactPoints, whose case does not matter."""
    type_ = parameter.base[0]
    leaves = [_leaves(type_, [step.name for step in way]) for way in paths(parameter, type_)]
    return all(child.types == ("ContactPoint",) for found in leaves for child in found)


# string -----------------------------------------------------------------------------------------

_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)


def fold(text: str) -> str:
    """Return the text as strings are compared: no case, no accents, no punctuation."""
    text = re.sub("['’‘ʼ`´′ʹ]", "", text)
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS)
    kept = [c for c in text if unicodedata.category(c) not in ("Mn", "Me", "Cf")]
    spaced = [" " if unicodedata.category(c)[0] in "PZC" else c for c in kept]
    return " ".join("".join(spaced).split())


def _string_atoms(value: Value) -> list[Atom]:
    if value.type in ("string", "markdown"):
        return [(value.data,)]
    found: list[Atom] = []
    for name in _PARTS.get(value.type, ()):
        part = value.data.get(name, [])
        found += [(text,) for text in (part if isinstance(part, list) else [part]) if text]
    return found


def _is_string(_: SearchParameter, modifier: str | None, raw: str, atom: Atom) -> bool:
    text, wanted = atom[0], plain(raw)
    match modifier:
        case "exact":
            return bool(text == wanted)
        case "contains":
            return fold(wanted) in fold(text)
        case _:
            return fold(text).startswith(fold(wanted))


# date, number, quantity: half-open intervals ----------------------------------------------------

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_SECOND = 1_000_000
_EVER = 2**62


def moment(text: str) -> tuple[int, int]:
    """Return the microseconds from which to which a date may mean; UTC where no zone is named."""
    found = _DATE.fullmatch(text)
    assert found, text
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if day is None:
        months = 12 if month is None else 1
        count = start.year * 12 + start.month - 1 + months
        if count // 12 > 9999:
            return _micro(start), _micro(datetime(9999, 12, 31, tzinfo=UTC)) + 86400 * _SECOND
        return _micro(start), _micro(start.replace(year=count // 12, month=count % 12 + 1))
    lo = _micro(start)
    if hour is None:
        return lo, lo + 86400 * _SECOND
    lo += (int(hour) * 3600 + int(minute) * 60 + int(second or 0)) * _SECOND
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:]) * 60
        lo -= (offset if zone[0] == "+" else -offset) * _SECOND
    if fraction:
        digits = fraction[:6]
        width = 10 ** (6 - len(digits))
        return lo + int(digits) * width, lo + int(digits) * width + width
    return lo, lo + (_SECOND if second else 60 * _SECOND)


def _micro(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def relation(op: str, lo: Any, hi: Any, wanted_lo: Any, wanted_hi: Any) -> bool:
    """Tell whether the stored interval stands so to the asked one, as docs/search.md has it."""
    within = wanted_lo <= lo and hi <= wanted_hi
    ends_later, starts_earlier = hi > wanted_hi, lo < wanted_lo
    answers = {
        "eq": within,
        "ne": not within,
        "gt": ends_later,
        "lt": starts_earlier,
        "ge": ends_later or within,
        "le": starts_earlier or within,
        "sa": lo >= wanted_hi,
        "eb": hi <= wanted_lo,
        "ap": lo < wanted_hi and wanted_lo < hi,
    }
    return bool(answers[op])


def prefixed(raw: str) -> tuple[str, str]:
    """Return the prefix, ``eq`` if there is none, and the rest."""
    return (raw[:2], raw[2:]) if raw[:2] in PREFIXES else ("eq", raw)


def _date_atoms(value: Value) -> list[Atom]:
    match value.type:
        case "date" | "dateTime" | "instant":
            return [moment(value.data)]
        case "Period":
            return _span(value.data)
        case "Timing":
            events = [moment(event) for event in value.data.get("event", [])]
            events += _span(value.data.get("repeat", {}).get("boundsPeriod", {}))  # type: ignore[arg-type]
            return [(min(lo for lo, _ in events), max(hi for _, hi in events))] if events else []
        case _:
            return []


def _span(period: dict[str, str]) -> list[Atom]:
    if not {"start", "end"} & period.keys():
        return []
    lo = moment(period["start"])[0] if "start" in period else -_EVER
    hi = moment(period["end"])[1] if "end" in period else _EVER
    return [(lo, max(hi, lo + 1))]


def _is_date(_: SearchParameter, __: str | None, raw: str, atom: Atom) -> bool:
    op, text = prefixed(raw)
    lo, hi = moment(text)
    margin = (hi - lo + 9) // 10 if op == "ap" else 0
    return relation(op, *atom, lo - margin, hi + margin)


Bound = tuple[Any, int]
"""A number, and whether the point itself is left behind (1) or not (0)."""

_LEAST: Bound = (-(Fraction(10) ** 400), 0)
_MOST: Bound = (Fraction(10) ** 400, 0)


def point(number: Any) -> tuple[Bound, Bound]:
    """Return the interval that holds the number alone."""
    exact = Fraction(number if isinstance(number, Decimal) else Decimal(str(number)))
    return (exact, 0), (exact, 1)


def asked_number(op: str, text: str) -> tuple[Bound, Bound]:
    """Return the interval that an asked number is: what its digits leave open, or itself."""
    if op not in ("eq", "ne", "ap"):
        return point(text)
    exact = Fraction(Decimal(text))
    mantissa = re.split("[eE]", text)
    digits = len(mantissa[0].partition(".")[2])
    if len(mantissa) > 1 and "." not in text:
        digits = 1
    power = int(mantissa[1]) if len(mantissa) > 1 else 0
    margin = Fraction(1, 2) * Fraction(10) ** (power - digits)
    if op == "ap":
        margin += abs(exact) / 10
    return (exact - margin, 0), (exact + margin, 0)


def _number_atoms(value: Value) -> list[Atom]:
    match value.type:
        case "decimal" | "integer" | "positiveInt" | "unsignedInt":
            return [point(value.data)]
        case "Range":
            return [ends[:2] for ends in _range_atoms(value.data)]
        case _:
            return []


def _is_number(_: SearchParameter, __: str | None, raw: str, atom: Atom) -> bool:
    op, text = prefixed(raw)
    return relation(op, *atom, *asked_number(op, text))


def _range_atoms(data: dict[str, Any]) -> list[Atom]:
    low, high = data.get("low", {}), data.get("high", {})
    if "value" not in low and "value" not in high:
        return []
    lo = point(low["value"])[0] if "value" in low else _LEAST
    hi = point(high["value"])[1] if "value" in high else _MOST
    unit = low or high
    return [(lo, hi, unit.get("system"), unit.get("code"), unit.get("unit"))]


def _quantity_atoms(value: Value) -> list[Atom]:
    """Return (lo, hi, system, code, unit)."""
    data = value.data
    match value.type:
        case "Quantity" | "Age" | "Duration" | "Count" | "Distance":
            if "value" not in data:
                return []
            lo, hi = point(data["value"])
            ends = {"<": (_LEAST, lo), "<=": (_LEAST, hi), ">": (hi, _MOST), ">=": (lo, _MOST)}
            lo, hi = ends.get(data.get("comparator"), (lo, hi))
            return [(lo, hi, data.get("system"), data.get("code"), data.get("unit"))]
        case "Range":
            return _range_atoms(data)
        case "Money":
            unit = ("urn:iso:std:iso:4217", data.get("currency"), None)
            return [(*point(data["value"]), *unit)] if "value" in data else []
        case _:
            return []


_DAY = Fraction(86400)
_YEAR = _DAY * Fraction(1461, 4)
UNITS: dict[str, tuple[str, Fraction, Fraction]] = {
    "g": ("mass", Fraction(1), Fraction(0)),
    "kg": ("mass", Fraction(1000), Fraction(0)),
    "mg": ("mass", Fraction(1, 1000), Fraction(0)),
    "ug": ("mass", Fraction(1, 10**6), Fraction(0)),
    "t": ("mass", Fraction(10**6), Fraction(0)),
    "[lb_av]": ("mass", Fraction("453.59237"), Fraction(0)),
    "Cel": ("temperature", Fraction(1), Fraction("273.15")),
    "[degF]": ("temperature", Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "min": ("time", Fraction(60), Fraction(0)),
    "h": ("time", Fraction(3600), Fraction(0)),
    "d": ("time", _DAY, Fraction(0)),
    "wk": ("time", 7 * _DAY, Fraction(0)),
    "mo": ("time", _YEAR / 12, Fraction(0)),
    "a": ("time", _YEAR, Fraction(0)),
}
"""What a unit of UCUM measures, and its size and zero in some unit of that; as far as asked for."""


def _is_quantity(_: SearchParameter, __: str | None, raw: str, atom: Atom) -> bool:
    lo, hi, system, code, unit = atom
    number, *parts = split(raw, "|")
    op, text = prefixed(number)
    wanted = asked_number(op, text)
    match [plain(part) for part in parts]:
        case [] | ["", ""]:
            return relation(op, lo, hi, *wanted)
        case ["", wanted_code]:
            return wanted_code in (code, unit) and relation(op, lo, hi, *wanted)
        case [wanted_system, wanted_code] if wanted_system == system:
            measures, size, zero = _unit(system, code)
            same, asked_size, asked_zero = _unit(system, wanted_code)
            ends = [_converted(end, size, zero) for end in (lo, hi)]
            asked = [_converted(end, asked_size, asked_zero) for end in wanted]
            return measures == same and relation(op, *ends, *asked)
    return False


def _unit(system: str, code: str | None) -> tuple[str | None, Fraction, Fraction]:
    return (UNITS.get(code or "") if system == UCUM else None) or (code, Fraction(1), Fraction(0))


def _converted(end: Bound, size: Fraction, zero: Fraction) -> Bound:
    return end if end in (_LEAST, _MOST) else (end[0] * size + zero, end[1])


# reference, uri ---------------------------------------------------------------------------------

_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([^#]+))?(?:#.*)?")


def _reference_atoms(value: Value) -> list[Atom]:
    """Return (type, id, version, address, identifier)."""
    match value.type:
        case "Reference":
            text, identifier = value.data.get("reference"), value.data.get("identifier")
        case "canonical" | "uri":
            text, identifier = value.data, None
        case type_ if type_ in definitions.resource_types() and "id" in value.data:
            text, identifier = f"{type_}/{value.data['id']}", None
        case _:
            return []
    return [(*_named(text), text, identifier)]


def _named(text: str | None) -> tuple[str | None, str | None, str | None]:
    found = _LOCAL.fullmatch((text or "").removeprefix(f"{BASE_URL}/"))
    return (found[1], found[2], found[3]) if found else (None, None, None)


def _is_reference(parameter: SearchParameter, modifier: str | None, raw: str, atom: Atom) -> bool:
    type_, id_, version, address, identifier = atom
    if modifier == "identifier":
        held = [Value("Identifier", identifier)] if identifier else []
        return any(_is_token(parameter, None, raw, a) for v in held for a in _token_atoms(v))
    text = plain(raw)
    if re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", text):
        allowed = (modifier,) if modifier else parameter.target
        return id_ == text and (not allowed or type_ in allowed)
    asked_type, asked_id, asked_version = _named(text)
    if asked_id is not None:
        asked = (asked_type, asked_id, asked_version) if asked_version else (asked_type, asked_id)
        return (type_, id_, version)[: len(asked)] == asked
    if address is None or id_ is not None:
        return False
    return text in (address, address.partition("|")[0]) or (
        text == re.sub(r"/_history/[^/]+$", "", address)
    )


def _uri_atoms(value: Value) -> list[Atom]:
    if value.type not in ("uri", "url", "canonical", "oid", "uuid"):
        return []
    bare = value.data.partition("|")[0] if value.type == "canonical" else value.data
    return [tuple(dict.fromkeys((value.data, bare)))]


def _is_uri(_: SearchParameter, modifier: str | None, raw: str, atom: Atom) -> bool:
    text = plain(raw)
    match modifier:
        case "below":
            return any(_is_below(one, text) for one in atom)
        case "above":
            return any(_is_below(text, one) for one in atom)
        case _:
            return text in atom


def _is_below(lower: str, upper: str) -> bool:
    """Tell whether an address is another, or below it; versions have parts between dots."""
    if lower == upper:
        return True
    if "urn:" in (lower[:4], upper[:4]) or upper.endswith(":/"):
        return False
    end = "." if "|" in upper else "/"
    return lower.startswith(upper if upper.endswith(end) else upper + end)


_ATOMS: dict[str, Callable[[Value], list[Atom]]] = {
    "token": _token_atoms,
    "string": _string_atoms,
    "date": _date_atoms,
    "number": _number_atoms,
    "quantity": _quantity_atoms,
    "reference": _reference_atoms,
    "uri": _uri_atoms,
}
_TESTS: dict[str, Callable[[SearchParameter, str | None, str, Atom], bool]] = {
    "token": _is_token,
    "string": _is_string,
    "date": _is_date,
    "number": _is_number,
    "quantity": _is_quantity,
    "reference": _is_reference,
    "uri": _is_uri,
}


def distinct(kind: str, found: Iterable[Value]) -> int:
    """Return how many different values there are to search for."""
    return len({repr(atom) for value in found for atom in atoms(kind, value)})
