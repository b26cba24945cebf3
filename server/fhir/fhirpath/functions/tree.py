"""Tree navigation (hl7.org/fhirpath/N1, section 5.8)."""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Items, children


def _children(env: Environment, items: Items) -> Items:
    found: Items = []
    for item in items:
        found += children(item)
        env.spend(1)
    env.spend(len(found))
    return found


def _descendants(env: Environment, items: Items) -> Items:
    """Return the children, then theirs, and so on; equal ones are kept apart."""
    found: Items = []
    level = items
    while level:
        level = _children(env, level)
        found += level
    return found


FUNCTIONS = {
    "children": Function(_children),
    "descendants": Function(_descendants),
}
