"""Filtering and projection (hl7.org/fhirpath/N1, section 5.2), and aggregates (section 7)."""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.equality import key
from server.fhir.fhirpath.functions.function import Function, Run, each
from server.fhir.fhirpath.items import Items
from server.fhir.fhirpath.singleton import truth


def _where(env: Environment, items: Items, focus: Items, criteria: Run) -> Items:
    return [item for item, found in each(env, items, criteria) if truth(found)]


def _select(env: Environment, items: Items, focus: Items, projection: Run) -> Items:
    return [made for _, found in each(env, items, projection) for made in found]


def _repeat(env: Environment, items: Items, focus: Items, projection: Run) -> Items:
    """Return all that the projection makes of the items, and of that, until nothing new comes."""
    found: Items = []
    known = set()
    new = items
    while new:
        made = _select(env, new, focus, projection)
        env.spend(len(made))
        new = []
        for item in made:
            name = key(item, env)
            if name not in known:
                known.add(name)
                new.append(item)
        found += new
    return found


def _aggregate(env: Environment, items: Items, focus: Items, step: Run, *init: Run) -> Items:
    """Return the last ``$total``; it starts as ``init``, evaluated once, or empty."""
    outer = env.total
    total = init[0](focus, env) if init else []
    try:
        env.total = total
        for _, found in each(env, items, step):
            env.total = total = found
    finally:
        env.total = outer
    return total


FUNCTIONS = {
    "where": Function(_where, 1, 1, lazy=True),
    "select": Function(_select, 1, 1, lazy=True),
    "repeat": Function(_repeat, 1, 1, lazy=True),
    "aggregate": Function(_aggregate, 1, 2, lazy=True),
}
