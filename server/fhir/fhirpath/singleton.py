"""Collections where one value is wanted (hl7.org/fhirpath/N1, section 4.5)."""

from decimal import Decimal

from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.items import Item, Items, System, plain
from server.fhir.fhirpath.numbers import Number


def single(items: Items, wanted: str) -> Item | None:
    """Return the only item, ``None`` when there is none; more are refused."""
    if len(items) > 1:
        raise FhirPathError(f"{wanted} is wanted, and there are {len(items)} items")
    return items[0] if items else None


def truth(items: Items) -> bool | None:
    """Return a collection as a boolean: one item that is no boolean is true, none is unknown."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"a boolean is wanted, and there are {len(items)} items")
    value = items[0].value
    if type(value) is bool:
        return value
    return None if value is None and items[0].type == "boolean" else True


def value(items: Items, wanted: str) -> System | None:
    """Return the only item as a System value; ``None`` when there is none, or it has no value."""
    item = single(items, wanted)
    if item is None or item.value is None:
        return None
    found = plain(item)
    if found is None:
        raise FhirPathError(f"{wanted} is wanted, not a {item.type}")
    return found


def text(items: Items) -> str | None:
    """Return the only item as a string, ``None`` when there is none; dates are no strings."""
    item = single(items, "a string")
    if item is None or item.value is None:
        return None
    if type(item.value) is str:
        return item.value
    raise FhirPathError(f"a string is wanted, not a {item.type}")


def integer(items: Items) -> int | None:
    """Return the only item as an integer, ``None`` when there is none."""
    found = value(items, "an integer")
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    raise FhirPathError(f"an integer is wanted, not a {items[0].type}")


def number(items: Items) -> Number | None:
    """Return the only item as a number, ``None`` when there is none."""
    found = value(items, "a number")
    if found is None or (isinstance(found, int | Decimal) and not isinstance(found, bool)):
        return found
    raise FhirPathError(f"a number is wanted, not a {items[0].type}")
