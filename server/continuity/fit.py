"""What a statement says, as an answer to a question of a form: its type, options and units.

R4 questionnaire.html#item.type.  What does not fit exactly is no answer; nothing is guessed: a
number without a unit does not answer a question that names one, a coding outside of the options is
no choice.  Pure.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from server.continuity.questions import Question
from server.continuity.statement import Code, Statement
from server.continuity.statements.read import NO, YES, codes, words
from server.continuity.statements.things import ELEMENTS
from server.fhir import ucum

Answer = dict[str, Any]
Key = tuple[str, Any]
"""What makes two answers the same, see :func:`same`."""

UCUM: Final = "http://unitsofmeasure.org"
_SAME_QUANTITY: Final = Fraction(1, 1000)  # relative; what converting and rounding leave
_APART: Final = 2 * float(_SAME_QUANTITY)  # beyond what a float may lose
_PLACES: Final = Decimal("0.001")
_OF_CONCEPTS: Final = ("valueCodeableConcept", "valueCoding")
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("valueDate", "valueDateTime"),
    "dateTime": ("valueDateTime", "valueInstant", "valueDate"),
    "time": ("valueTime",),
    "url": ("valueUri", "valueUrl", "valueCanonical"),
    "attachment": ("valueAttachment",),
    "reference": ("valueReference",),
    "integer": ("valueInteger", "valuePositiveInt", "valueUnsignedInt"),
    "decimal": ("valueDecimal", "valueInteger"),
}


def fitted(question: Question, statement: Statement) -> Answer | None:
    """Return the answer as in ``QuestionnaireResponse.item.answer``; ``None``: it does not fit."""
    if _denies_a_thing(statement) and question.item.type not in ("boolean", "choice"):
        return None  # its name in words, or as a code, would say that it is there
    match question.item.type:
        case "boolean":
            return _boolean(question, statement)
        case "choice":
            return _coding(question, statement)
        case "open-choice":
            return _coding(question, statement) or _text(statement)
        case "string" | "text":
            return _text(statement)
        case "quantity":
            return _quantity(question, statement)
        case "decimal" | "integer" as type_:
            return _number(question, statement, type_)
        case type_:
            return _plain(type_, statement)


def key_of(question: Question, statement: Statement, answer: Answer) -> Key:
    """Return what makes this answer the same as another one."""
    ((name, value),) = answer.items()
    if name == "valueCoding":
        own = codes(value)
        said = codes((statement.value or {}).get("valueCodeableConcept"))
        return "codes", question.same(own | (said if said & own else frozenset()))
    if name == "valueQuantity":
        return "quantity", _canonical(value)
    if isinstance(value, str):
        return "text", _folded(value, phone=".telecom" in f"{question.element}{statement.element}")
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int | Decimal):
        return "number", Decimal(value)
    return "value", repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def same(one: Key, other: Key) -> bool:
    """Tell whether two answers mean the same: a code in common, equal within rounding."""
    if one[0] != other[0]:
        return False
    if one[0] == "codes":
        return bool(one[1] & other[1])
    if one[0] == "quantity":
        (unit, a, near), (other_unit, b, other_near) = one[1], other[1]
        if unit != other_unit or abs(near - other_near) > _APART * max(abs(near), abs(other_near)):
            return False
        return bool(abs(a - b) <= _SAME_QUANTITY * max(abs(a), abs(b)))
    return bool(one[1] == other[1])


# -- by type --------------------------------------------------------------------------------------


def _boolean(question: Question, statement: Statement) -> Answer | None:
    value = statement.value or {}
    if "valueBoolean" in value:
        return {"valueBoolean": value["valueBoolean"]}
    if statement.says in ("absent", "none-known"):
        return {"valueBoolean": False}
    if statement.says != "present":
        return None
    if _names_a_thing(statement):
        return {"valueBoolean": True}
    said = question.same(_codes(value))
    yes, no = YES | question.topic.yes, NO | question.topic.no
    if said & (yes | no):
        clear = bool(said & yes) is not bool(said & no)
        return {"valueBoolean": bool(said & yes)} if clear else None
    return {"valueBoolean": True} if question.whole and said else None


def _names_a_thing(statement: Statement) -> bool:
    """Tell whether that the statement is there answers "yes" (a problem, an allergy ...)."""
    return statement.source.type in ELEMENTS


def _denies_a_thing(statement: Statement) -> bool:
    return statement.says == "absent" and _names_a_thing(statement)


def _coding(question: Question, statement: Statement) -> Answer | None:
    value = statement.value or {}
    options = question.options
    said = _codes(value)
    if options is not None:
        if "valueBoolean" in value:
            said = _yes_or_no(question, yes=value["valueBoolean"])
        found = _among(options, question.same(said)) if not _denies_a_thing(statement) else []
        if not found and not question.whole and _names_a_thing(statement):
            found = _among(options, _yes_or_no(question, yes=statement.says == "present"))
        if found:
            return {"valueCoding": found[0]} if len(found) == 1 else None
        text = value.get("valueString")
        return {"valueString": text} if text in question.texts else None
    concept = next((value[name] for name in _OF_CONCEPTS if name in value), None)
    if concept is None or not said or _denies_a_thing(statement):
        return None
    listed = [one for one in concept.get("coding", (concept,)) if one and one.get("code")]
    first = {name: part for name, part in listed[0].items() if name in _CODING}
    if "display" not in first and concept.get("text"):
        first["display"] = concept["text"]
    return {"valueCoding": first}


def _yes_or_no(question: Question, *, yes: bool) -> frozenset[Code]:
    return YES | question.topic.yes if yes else NO | question.topic.no


def _among(options: Mapping[Code, Answer], known: frozenset[Code]) -> list[Answer]:
    return [coding for code, coding in options.items() if code in known]


_CODING: Final = ("system", "version", "code", "display")


def _codes(value: Answer) -> frozenset[Code]:
    return frozenset().union(*(codes(value.get(name)) for name in _OF_CONCEPTS))


def _text(statement: Statement) -> Answer | None:
    for name, value in (statement.value or {}).items():
        text = _TEXTS[name](value) if name in _TEXTS else ""
        if text:
            return {"valueString": text}
    return None


def _quantity(question: Question, statement: Statement) -> Answer | None:
    quantity = (statement.value or {}).get("valueQuantity")
    if not isinstance(quantity, dict) or "value" not in quantity:
        return None
    if not (quantity.get("code") or quantity.get("unit")):
        return None  # seventy of what?
    taken = question.units
    if not taken or any(_is_in(quantity, unit) for unit in taken):
        return {"valueQuantity": quantity}
    made = _converted(quantity, taken[0].get("code", ""))
    if made is None:
        return None
    unit = {"unit": taken[0].get("display", taken[0].get("code")), "system": UCUM}
    return {"valueQuantity": {"value": made, **unit, "code": taken[0].get("code")}}


def _number(question: Question, statement: Statement, type_: str) -> Answer | None:
    value = statement.value or {}
    quantity = value.get("valueQuantity")
    plain = _plain(type_, statement)
    if plain is not None:
        ((_, number),) = plain.items()
        if statement.unit == (question.units[0].get("code", "") if question.units else ""):
            return plain
        quantity = {"value": number, "system": UCUM, "code": statement.unit}
    if not isinstance(quantity, dict) or not question.units:
        return None
    made = _converted(quantity, question.units[0].get("code", ""))
    if made is None:
        return None
    if type_ == "decimal":
        return {"valueDecimal": made}
    return {"valueInteger": int(made)} if made == made.to_integral_value() else None


def _plain(type_: str, statement: Statement) -> Answer | None:
    value = statement.value or {}
    for name in _TYPES.get(type_, ()):
        if name in value:
            said = value[name]
            if type_ == "date" and isinstance(said, str):
                said = said[:10]
            return {f"value{type_[0].upper()}{type_[1:]}" if type_ != "url" else "valueUri": said}
    return None


def _is_in(quantity: Mapping[str, Any], unit: Mapping[str, Any]) -> bool:
    """Tell whether a quantity is in a unit: by its code, else by the same words."""
    code = quantity.get("code")
    if code:
        system = quantity.get("system", UCUM)
        return bool(code == unit.get("code") and system == unit.get("system", UCUM))
    return quantity.get("unit") in (unit.get("code"), unit.get("display"))


def _amount(unit: str) -> str:
    """Return what a unit counts: UCUM takes a mole, an equivalent and a number for the same."""
    found = _AMOUNT.search(unit)
    return found[1] if found else ""


_AMOUNT: Final = re.compile(r"(mol|eq|osm)(?![a-z])")


def _converted(quantity: Mapping[str, Any], unit: str) -> Decimal | None:
    """Return the number in another unit, to three places; a comparator keeps it from that."""
    number = quantity.get("value")
    if quantity.get("comparator") or isinstance(number, bool):
        return None
    if not isinstance(number, int | Decimal):
        return None
    code = str(quantity.get("code", ""))
    if quantity.get("system", UCUM) != UCUM or _amount(code) != _amount(unit):
        return None
    if code == unit and unit:
        return Decimal(number)
    try:
        made = ucum.convert(number, code, unit)
    except (ucum.InvalidUnit, ucum.NotComparable):
        return None
    rounded = (Decimal(made.numerator) / Decimal(made.denominator)).quantize(_PLACES)
    return Decimal(format(rounded.normalize(), "f"))


# -- values in words ------------------------------------------------------------------------------


def _name(value: Mapping[str, Any]) -> str:
    return str(value.get("text") or " ".join((*value.get("given", ()), value.get("family", "")))
               ).strip()  # fmt: skip


def _address(value: Mapping[str, Any]) -> str:
    if value.get("text"):
        return str(value["text"])
    town = " ".join(part for name in ("postalCode", "city") if (part := value.get(name)))
    parts = (*value.get("line", ()), town, value.get("state"), value.get("country"))
    return ", ".join(str(part) for part in parts if part)


_TEXTS: Final[Mapping[str, Any]] = {
    "valueString": str,
    "valueMarkdown": str,
    "valueCode": str,
    "valueUri": str,
    "valueId": str,
    "valueCodeableConcept": words,
    "valueCoding": words,
    "valueHumanName": _name,
    "valueAddress": _address,
    "valueContactPoint": lambda value: str(value.get("value", "")),
    "valueIdentifier": lambda value: str(value.get("value", "")),
    "valueReference": lambda value: str(value.get("display", "")),
}


def _folded(text: str, *, phone: bool) -> str:
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    digits = "".join(c for c in plain if c.isdigit() or c == "+")
    return digits if phone and len(digits) > 5 and "@" not in plain else plain


def _canonical(quantity: Mapping[str, Any]) -> tuple[str, Fraction, float]:
    """Return unit and number in base units; the number exactly, and nearly, to be fast."""
    number = quantity.get("value")
    value = Fraction(number) if isinstance(number, int | Decimal) else Fraction(0)
    code = str(quantity.get("code") or quantity.get("unit") or "")
    own = quantity.get("system", UCUM)
    known = ucum.canonical(code) if code and own == UCUM else None
    unit = f"{_amount(code)}{known.unit}" if known is not None else f"{own}|{code}"
    number = known.of(value) if known else value
    return f"{quantity.get('comparator', '')}{unit}", number, _near(number)


def _near(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return 0.0  # so far out that only its exact value tells
