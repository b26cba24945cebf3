"""A value of an answer as the element that it is to be.  Pure."""

from decimal import Decimal
from typing import Any, Final

from server.fhir.definitions import Child, children

_TEXTS: Final = frozenset(("string", "markdown", "code", "id", "uri", "url", "canonical"))
_TYPE_BY_KEY: Final = (
    ("contentType", "Attachment"),
    ("reference", "Reference"),
    ("value", "Quantity"),
    ("code", "Coding"),
    ("display", "Coding"),
    ("coding", "CodeableConcept"),
)


def property_of(content: str, name: str, value: Any) -> Child | None:
    """Return the property of a type or backbone that a name means; ``None`` without one.

    ``value[x]`` and ``value`` mean the property of the choice that takes the value.
    """
    known = children(content)
    if name in known:
        return known[name]
    stem = name.removesuffix("[x]")
    choices = [child for child in known.values() if child.choice == stem]
    fitting = [child for child in choices if fitted(child, value) is not None]
    exact = [child for child in fitting if child.types == (_type_of(value),)]
    return next(iter(exact or fitting), None)


def fitted(child: Child, value: Any) -> Any:
    """Return the value as the property takes it, ``None`` when it cannot.

    A Coding becomes a CodeableConcept or its code, a number a Quantity, a text a CodeableConcept's.

    >>> fitted(children("Observation")["valueCodeableConcept"], {"system": "s", "code": "c"})
    {'coding': [{'system': 's', 'code': 'c'}]}
    """
    if not child.types:  # as another element is, which what is built here came from
        return value
    type_ = child.types[0]
    if isinstance(value, dict):
        return _of_complex(type_, value)
    if isinstance(value, bool):
        return value if type_ == "boolean" else None
    if isinstance(value, int | Decimal):
        return _of_number(type_, value)
    if not isinstance(value, str):
        return None
    if type_ == "CodeableConcept":
        return {"text": value}
    if type_ == "Reference":
        return {"reference": value}
    return value if _takes_text(type_, value) else None


def _of_complex(type_: str, value: dict[str, Any]) -> Any:
    own = _type_of(value)
    if own == "Coding" and type_ == "CodeableConcept":
        return {"coding": [value]}
    if own == "Coding" and type_ in ("code", "string", "uri"):
        return value.get("code") if type_ != "string" else value.get("display", value.get("code"))
    if own == "Coding" and type_ == "Quantity":
        return None
    if own == "Quantity" and type_ in ("decimal", "integer", "positiveInt", "unsignedInt"):
        return _of_number(type_, value.get("value"))
    return value if type_[:1].isupper() else None


def _of_number(type_: str, value: Any) -> Any:
    whole = isinstance(value, int) or (isinstance(value, Decimal) and value == int(value))
    if type_ == "decimal":
        return value
    if type_ in ("integer", "positiveInt", "unsignedInt") and whole:
        return int(value)
    if type_ in ("Quantity", "Age", "Duration", "Count"):
        return {"value": value}
    return str(value) if type_ == "string" else None


def _takes_text(type_: str, value: str) -> bool:
    if type_ in ("date", "dateTime", "instant"):
        return value[:4].isdigit() and (type_ != "date" or "T" not in value)
    if type_ == "time":
        return value[2:3] == ":"
    return type_ in _TEXTS or type_ in ("base64Binary", "oid", "uuid", "xhtml")


def _type_of(value: Any) -> str | None:
    """Return the type that a value of an answer has."""
    if isinstance(value, dict):
        return next((type_ for key, type_ in _TYPE_BY_KEY if key in value), None)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, Decimal):
        return "decimal"
    if isinstance(value, str) and value[:4].isdigit() and value[4:5] in ("-", ""):
        return "dateTime"
    return "string"
