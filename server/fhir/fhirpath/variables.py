"""``$this``, ``$index``, ``$total`` and the ``%`` variables.

hl7.org/fhirpath/N1, section 4 and hl7.org/fhir/R4/fhirpath.html#variables.
"""

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Run
from server.fhir.fhirpath.items import Items, system

_CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def variable(name: str, at: int) -> Run:
    """Return the closure of a variable; one that is not given is an error when it is asked for."""
    known = _KNOWN.get(name)
    if known is not None:
        return known
    plain = name[1:]
    constant = _constant(plain)
    if constant is not None:
        found = [system(constant)]
        return lambda focus, env: found

    def given(focus: Items, env: Environment) -> Items:
        values = env.values.get(plain)
        if values is None:
            raise FhirPathError(f"there is no variable {name}", at)
        return values

    return given


def _constant(name: str) -> str | None:
    for prefix, url in _PREFIXES.items():
        if name.startswith(prefix):
            return url + name[len(prefix) :]
    return _CONSTANTS.get(name)


def _this(focus: Items, env: Environment) -> Items:
    return focus


def _index(focus: Items, env: Environment) -> Items:
    return env.index


def _total(focus: Items, env: Environment) -> Items:
    return env.total


def _context(focus: Items, env: Environment) -> Items:
    given = env.values.get("context")
    return [env.context] if given is None else given


def _resource(focus: Items, env: Environment) -> Items:
    given = env.values.get("resource")
    if given is not None:
        return given
    found = env.context.resource
    return [] if found is None else [found]


def _root_resource(focus: Items, env: Environment) -> Items:
    """``%resource`` itself, or what it is contained in."""
    given = env.values.get("rootResource")
    if given is not None:
        return given
    found = env.context.resource
    if (
        found is not None
        and found.parent is not None
        and found.step
        and (found.step[0] == "contained")
    ):
        return [found.parent]
    return [] if found is None else [found]


_KNOWN: dict[str, Run] = {
    "$this": _this,
    "$index": _index,
    "$total": _total,
    "%context": _context,
    "%resource": _resource,
    "%rootResource": _root_resource,
}
