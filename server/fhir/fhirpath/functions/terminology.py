"""What others must answer: value sets, hierarchies, profiles (R4 fhirpath.html#functions)."""

from collections.abc import Callable
from typing import TypeVar

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Item, Items, boolean
from server.fhir.fhirpath.singleton import single, text

_Asked = TypeVar("_Asked", Item, str)


def _asked(
    ask: Callable[[Item, _Asked], bool | None] | None,
    items: Items,
    about: _Asked | None,
    missing: str,
) -> Items:
    item = single(items, "a single item")
    if item is None or about is None:
        return []
    if ask is None:
        raise FhirPathError(missing)
    return boolean(ask(item, about))


def _member_of(env: Environment, items: Items, value_set: Items) -> Items:
    return _asked(
        env.outside.member_of,
        items,
        text(value_set),
        "memberOf() needs a terminology service, and there is none here",
    )


def _subsumes(env: Environment, items: Items, other: Items) -> Items:
    return _asked(
        env.outside.subsumes,
        items,
        single(other, "a single code"),
        "subsumes() needs a terminology service, and there is none here",
    )


def _subsumed_by(env: Environment, items: Items, other: Items) -> Items:
    return _subsumes(env, other, items)


def _conforms_to(env: Environment, items: Items, profile: Items) -> Items:
    return _asked(
        env.outside.conforms_to,
        items,
        text(profile),
        "conformsTo() needs a validator, and there is none here",
    )


FUNCTIONS = {
    "memberOf": Function(_member_of, 1, 1),
    "subsumes": Function(_subsumes, 1, 1),
    "subsumedBy": Function(_subsumed_by, 1, 1),
    "conformsTo": Function(_conforms_to, 1, 1),
}
