"""Existence (hl7.org/fhirpath/N1, section 5.1)."""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.equality import distinct, key
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function, Run, each
from server.fhir.fhirpath.items import FALSE, TRUE, Items, boolean, computed
from server.fhir.fhirpath.singleton import truth


def _empty(env: Environment, items: Items) -> Items:
    return [FALSE] if items else [TRUE]


def _exists(env: Environment, items: Items, focus: Items, *criteria: Run) -> Items:
    if not criteria:
        return [TRUE] if items else [FALSE]
    return boolean(any(truth(found) for _, found in each(env, items, criteria[0])))


def _all(env: Environment, items: Items, focus: Items, criteria: Run) -> Items:
    return boolean(all(truth(found) for _, found in each(env, items, criteria)))


def _truths(items: Items) -> list[bool]:
    for item in items:
        if type(item.value) is not bool:
            raise FhirPathError(f"booleans are wanted, not a {item.type}")
    return [item.value for item in items]


def _not(env: Environment, items: Items) -> Items:
    found = truth(items)
    return boolean(None if found is None else not found)


def _is_subset(env: Environment, items: Items, other: Items) -> bool:
    env.spend(len(items) + len(other))
    known = {key(item, env) for item in other}
    return all(key(item, env) in known for item in items)


def _is_distinct(env: Environment, items: Items) -> Items:
    return boolean(len(distinct(items, env)) == len(items))


FUNCTIONS = {
    "empty": Function(_empty),
    "exists": Function(_exists, 0, 1, lazy=True),
    "all": Function(_all, 1, 1, lazy=True),
    "allTrue": Function(lambda env, items: boolean(all(_truths(items)))),
    "anyTrue": Function(lambda env, items: boolean(any(_truths(items)))),
    "allFalse": Function(lambda env, items: boolean(not any(_truths(items)))),
    "anyFalse": Function(lambda env, items: boolean(not all(_truths(items)))),
    "not": Function(_not),
    "subsetOf": Function(lambda env, items, other: boolean(_is_subset(env, items, other)), 1, 1),
    "supersetOf": Function(lambda env, items, other: boolean(_is_subset(env, other, items)), 1, 1),
    "count": Function(lambda env, items: computed(len(items))),
    "distinct": Function(lambda env, items: distinct(items, env)),
    "isDistinct": Function(_is_distinct),
}
