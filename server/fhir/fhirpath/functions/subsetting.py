"""Subsetting (hl7.org/fhirpath/N1, section 5.3)."""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.equality import distinct, key
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items
from server.fhir.fhirpath.singleton import integer, single


def _single(env: Environment, items: Items) -> Items:
    single(items, "single() means that one item")
    return items


def _skip(env: Environment, items: Items, number: Items) -> Items:
    count = integer(number)
    return [] if count is None else items[max(0, count) :]


def _take(env: Environment, items: Items, number: Items) -> Items:
    count = integer(number)
    return [] if count is None else items[: max(0, count)]


def _intersect(env: Environment, items: Items, other: Items) -> Items:
    env.spend(len(items) + len(other))
    wanted = {key(item, env) for item in other}
    return distinct([item for item in items if key(item, env) in wanted], env)


def _exclude(env: Environment, items: Items, other: Items) -> Items:
    env.spend(len(items) + len(other))
    unwanted = {key(item, env) for item in other}
    return [item for item in items if key(item, env) not in unwanted]


FUNCTIONS = {
    "single": Function(_single),
    "first": Function(lambda env, items: items[:1]),
    "last": Function(lambda env, items: items[-1:]),
    "tail": Function(lambda env, items: items[1:]),
    "skip": Function(_skip, 1, 1),
    "take": Function(_take, 1, 1),
    "intersect": Function(_intersect, 1, 1),
    "exclude": Function(_exclude, 1, 1),
}
