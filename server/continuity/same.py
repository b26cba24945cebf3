"""Whether two versions, or two answers, say the same.  Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression

Resource = dict[str, Any]

_ASIDE: Final = frozenset(("meta", "text", "id", "resourceType"))


def content(resource: Resource) -> Resource:
    """Return what a resource says: without its meta, its narrative and its id."""
    return {name: value for name, value in resource.items() if name not in _ASIDE}


def same_content(one: Resource, other: Resource) -> bool:
    """Tell whether two versions say the same."""
    return content(one) == content(other)


def element(resource: Resource, path: str) -> list[Any]:
    """Return the values of the elements at a FHIRPath such as ``Patient.telecom[0]``."""
    try:
        found = compile_expression(path).evaluate(resource, steps=CLIENT_STEPS)
    except FhirPathError:
        return []
    return [item.value for item in found]


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two values of answers mean the same.

    Codings are compared by system and code, quantities by number and unit, texts without regard to
    case and spaces around them.

    >>> same_value({"code": "a", "system": "s", "display": "A"}, {"code": "a", "system": "s"})
    True
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _key(one) == _key(other)
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return Decimal(one) == Decimal(other)
    return bool(one == other)


def says(resource: Any, value: Any) -> bool:
    """Tell whether a value of an answer stands anywhere in a resource or element.

    ``True`` and ``False`` stand everywhere and nowhere: they are not looked for.
    """
    if isinstance(value, bool):
        return False
    if isinstance(resource, Mapping):
        if isinstance(value, Mapping) and same_value(resource, value):
            return True
        return any(says(part, value) for name, part in resource.items() if name not in _ASIDE)
    if isinstance(resource, list):
        return any(says(part, value) for part in resource)
    return not isinstance(value, Mapping) and same_value(resource, value)


def answer_value(answer: Mapping[str, Any]) -> Any:
    """Return the value of an answer of a QuestionnaireResponse, ``None`` without one."""
    return next((value for name, value in answer.items() if name.startswith("value")), None)


def _key(value: Mapping[str, Any]) -> object:
    if "value" in value and ("code" in value or "unit" in value):
        number = value["value"]
        number = Decimal(number) if isinstance(number, int | Decimal) else number
        return number, value.get("comparator"), value.get("code") or value.get("unit")
    if "code" in value:
        return value.get("system"), value["code"]
    if "reference" in value:
        return value["reference"]
    return tuple(sorted((name, str(part)) for name, part in value.items() if name != "display"))
