"""Combining (hl7.org/fhirpath/N1, section 5.4)."""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.equality import distinct
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items


def _combine(env: Environment, items: Items, other: Items) -> Items:
    env.spend(len(items) + len(other))
    return items + other


def _union(env: Environment, items: Items, other: Items) -> Items:
    return distinct(_combine(env, items, other), env)


FUNCTIONS = {
    "union": Function(_union, 1, 1),
    "combine": Function(_combine, 1, 1),
}
