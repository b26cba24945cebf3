"""What a value is as an answer of an item's type.  R4 questionnaire.html#type, SDC 4.0 populate.

Nothing is guessed: a value that is not clearly an answer of the type, within the options and the
units of the item, is none, and the reason is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from server.continuity.form import Item
from server.continuity.populate import sdc
from server.fhir import ucum
from server.fhir.fhirpath.items import Item as PathItem
from server.fhir.fhirpath.items import plain
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal
from server.fhir.fhirpath.temporal import text as temporal_text
from server.validation import validate

UCUM: Final = "http://unitsofmeasure.org"
_LONGEST: Final = 10_000  # characters of a text

Answer = dict[str, Any]
Code = tuple[str, str]


class NoAnswerError(Exception):
    """The value is no answer of the item; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a choice may be.

    ``codes``: those of ``answerValueSet``; ``None`` when there is none, or it cannot be listed.
    ``unchecked``: it could not be, so what is chosen is to be confirmed.
    """

    codes: frozenset[Code] | None = None
    unchecked: bool = False


def answer(item: Item, value: PathItem, options: Options = Options()) -> Answer:
    """Return ``{"value[x]": ...}`` of the item's type.

    Raises:
        NoAnswerError: the value is none.
    """
    make = _MADE.get(item.type)
    if make is None:
        raise NoAnswerError(f"an item of type {item.type} has no answer")
    made = make(item, value, options)
    if listed := item.raw.get("answerOption"):
        made = _option(made, listed, value, open_=item.type == "open-choice")
    if validate(_within_response(made)):  # a time without minutes, say: FHIRPath has such values
        raise _unfit(item, value)
    return made


def _within_response(made: Answer) -> dict[str, Any]:
    item = {"linkId": "x", "answer": [made]}
    return {"resourceType": "QuestionnaireResponse", "status": "in-progress", "item": [item]}


def _boolean(item: Item, value: PathItem, options: Options) -> Answer:
    if not isinstance(value.value, bool):
        raise _unfit(item, value)
    return {"valueBoolean": value.value}


def _number(item: Item, value: PathItem) -> Decimal:
    found = plain(value)
    if isinstance(found, Quantity):
        units = units_of(item.raw)
        if not units:
            raise NoAnswerError("the value has a unit and the item says none")
        found = in_unit(value, units)[0]
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        raise _unfit(item, value)
    return Decimal(found)


def _decimal(item: Item, value: PathItem, options: Options) -> Answer:
    return {"valueDecimal": _number(item, value)}


def _integer(item: Item, value: PathItem, options: Options) -> Answer:
    found = _number(item, value)
    if found != found.to_integral_value() or abs(found) > 2**31 - 1:
        raise NoAnswerError("the value is no integer")
    return {"valueInteger": int(found)}


def _date(item: Item, value: PathItem, options: Options) -> Answer:
    return {"valueDate": _temporal(item, value).partition("T")[0]}


def _date_time(item: Item, value: PathItem, options: Options) -> Answer:
    return {"valueDateTime": _temporal(item, value)}


def _temporal(item: Item, value: PathItem) -> str:
    found = plain(value)
    if not isinstance(found, Temporal) or found.kind == "time":
        raise _unfit(item, value)
    return value.value if isinstance(value.value, str) else temporal_text(found)


def _time(item: Item, value: PathItem, options: Options) -> Answer:
    found = plain(value)
    if not isinstance(found, Temporal) or found.kind != "time":
        raise _unfit(item, value)
    return {"valueTime": value.value if isinstance(value.value, str) else temporal_text(found)}


def _string(item: Item, value: PathItem, options: Options) -> Answer:
    """A text, or the words of a concept; never a code, which is no words."""
    found = value.value
    if isinstance(found, dict):
        found = found.get("text") or found.get("display")
        if found is None and (codings := value.value.get("coding")):
            found = codings[0].get("display")
    elif isinstance(found, Temporal | Quantity):
        found = str(found)
    elif isinstance(found, int | Decimal) and not isinstance(found, bool):
        found = f"{found}"
    if not isinstance(found, str) or not found.strip() or len(found) > _LONGEST:
        raise _unfit(item, value)
    return {"valueString": found}


def _url(item: Item, value: PathItem, options: Options) -> Answer:
    if not isinstance(value.value, str) or not value.value.strip():
        raise _unfit(item, value)
    return {"valueUri": value.value}


def _attachment(item: Item, value: PathItem, options: Options) -> Answer:
    if value.type != "Attachment":
        raise _unfit(item, value)
    return {"valueAttachment": value.value}


def _reference(item: Item, value: PathItem, options: Options) -> Answer:
    found = value.value
    if value.type == "Reference" and found.get("reference"):
        return {"valueReference": found}
    if isinstance(found, dict) and "resourceType" in found and found.get("id"):
        return {"valueReference": {"reference": f"{found['resourceType']}/{found['id']}"}}
    raise _unfit(item, value)


def _quantity(item: Item, value: PathItem, options: Options) -> Answer:
    units = units_of(item.raw)
    found = value.value
    if isinstance(found, dict) and plain(value) is not None:
        if not units:
            return {"valueQuantity": found}
    elif not isinstance(plain(value), Quantity):
        raise _unfit(item, value)
    if not units:
        quantity = plain(value)
        assert isinstance(quantity, Quantity)
        return {"valueQuantity": _fhir(quantity.value, quantity.unit, quantity.unit)}
    number, unit = in_unit(value, units)
    if isinstance(found, dict) and found.get("code") == unit["code"]:
        return {"valueQuantity": found}
    return {"valueQuantity": {**_fhir(number, unit["code"], unit.get("display"))}}


def _fhir(value: Decimal, code: str, unit: str | None) -> dict[str, Any]:
    return {"value": value, "unit": unit or code, "system": UCUM, "code": code}


def units_of(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the UCUM units that an item takes; none means any."""
    found = [*sdc.values(raw, sdc.UNIT), *sdc.values(raw, sdc.UNIT_OPTION)]
    return [one for one in found if one.get("code") and one.get("system", UCUM) == UCUM]


def in_unit(value: PathItem, units: list[dict[str, Any]]) -> tuple[Decimal, dict[str, Any]]:
    """Return a quantity in the first of the units that it can be told in.

    Raises:
        NoAnswerError: in none.
    """
    quantity = plain(value)
    if not isinstance(quantity, Quantity) or quantity.calendar:
        raise NoAnswerError("the value is no single quantity")
    known = isinstance(value.value, Quantity) or value.value.get("system") == UCUM
    for unit in units if known else ():
        if unit["code"] == quantity.unit:
            return quantity.value, unit
    for unit in units if known else ():
        if ucum.canonical(quantity.unit) is not None and ucum.canonical(unit["code"]) is not None:
            converted = quantity.converted(unit["code"])
            if converted is not None:
                return converted.value, unit
    raise NoAnswerError("the value is in another unit than the item")


def _choice(item: Item, value: PathItem, options: Options) -> Answer:
    found = value.value
    codings = _codings(value)
    if options.codes is not None:
        codings = [one for one in (_within(one, options.codes) for one in codings) if one]
    if codings:
        return {"valueCoding": codings[0]}
    if isinstance(found, str | int) and not isinstance(found, bool) and "answerOption" in item.raw:
        text = str(found)  # a code, or an answer that is no Coding: the options tell
        return {"valueCoding": {"code": text}} if value.type == "code" else {"valueString": text}
    if item.type == "open-choice":
        return _string(item, value, options)
    raise NoAnswerError("the value is none of the answers of the item")


def _codings(value: PathItem) -> list[dict[str, Any]]:
    found = value.value
    if value.type == "Coding" and found.get("code"):
        return [found]
    if value.type == "CodeableConcept":
        return [one for one in found.get("coding", ()) if one.get("code")]
    return [{"code": found}] if value.type == "code" and isinstance(found, str) else []


def _within(coding: dict[str, Any], codes: frozenset[Code]) -> dict[str, Any] | None:
    """Return the coding, its system added when only one of the value set has that code."""
    system, code = coding.get("system", ""), coding["code"]
    if system:
        return coding if (system, code) in codes else None
    systems = [there for there, one in codes if one == code]
    return {"system": systems[0], "code": code} if len(systems) == 1 else None


def _option(made: Answer, listed: list[dict[str, Any]], value: PathItem, *, open_: bool) -> Answer:
    """Return the ``answerOption`` that the answer is; a code without system if only one fits."""
    options = [{k: v for k, v in one.items() if k.startswith("value")} for one in listed]
    candidates = [made, *({"valueCoding": one} for one in _codings(value))]
    for candidate in candidates:
        fitting = [one for one in options if _is(one, candidate)]
        if len(fitting) == 1:
            return fitting[0]
    if open_ and "valueString" in made:
        return made
    raise NoAnswerError("the value is none of the options of the item")


def _is(option: Answer, made: Answer) -> bool:
    wanted, given = option.get("valueCoding"), made.get("valueCoding")
    if wanted is not None and given is not None:
        system = given.get("system")
        same_system = system is None or system == wanted.get("system")
        return bool(same_system and given.get("code") == wanted.get("code"))
    return bool(option == made)


def _unfit(item: Item, value: PathItem) -> NoAnswerError:
    type_ = value.type.removeprefix("System.")
    return NoAnswerError(f"a {type_} is no answer of an item of type {item.type}")


_MADE: Mapping[str, Callable[[Item, PathItem, Options], Answer]] = {
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "date": _date,
    "dateTime": _date_time,
    "time": _time,
    "string": _string,
    "text": _string,
    "url": _url,
    "choice": _choice,
    "open-choice": _choice,
    "attachment": _attachment,
    "reference": _reference,
    "quantity": _quantity,
}
