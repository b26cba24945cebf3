"""Type names: of the namespaces FHIR and System (hl7.org/fhirpath/N1, section 10).

A FHIR primitive is another type than the System one that it holds: ``FHIR.string`` is no
``System.String``.  Items name their type ``HumanName``, and ``System.String``.
"""

from functools import cache

from server.fhir import definitions
from server.fhir.fhirpath.errors import FhirPathError

SYSTEM_TYPES = ("Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity")

Names = frozenset[str]
_NONE: Names = frozenset()


@cache
def supertypes(type_: str) -> tuple[str, ...]:
    """Return a FHIR type and all that it inherits from; unknown ones inherit from nothing.

    >>> supertypes("code")
    ('code', 'string', 'Element')
    """
    found = definitions.types().get(type_)
    if found is None:
        return (type_,)
    return (type_, *(supertypes(found.base) if found.base else ()))


def named(name: str, at: int | None = None) -> Names:
    """Return the types that a type specifier means, their subtypes included.

    Without a namespace it may be of either.  A name that neither has raises
    :class:`FhirPathError`; one that the other has is a type that nothing is of.

    >>> sorted(named("string"))
    ['code', 'id', 'markdown', 'string']
    """
    namespace, dot, plain = name.rpartition(".")
    if namespace not in ("", "FHIR", "System"):
        raise FhirPathError(f"there is no namespace {namespace}", at)
    fhir = _subtypes().get(plain, _NONE)
    system = frozenset({f"System.{plain}"}) if plain in SYSTEM_TYPES else _NONE
    if not fhir and not system:
        raise FhirPathError(f"there is no type {name}", at)
    return fhir | system if not dot else fhir if namespace == "FHIR" else system


@cache
def is_primitive(type_: str) -> bool:
    """Return whether a FHIR type is one that JSON writes as a single value."""
    found = definitions.types().get(type_)
    return found is not None and found.kind == "primitive-type"


@cache
def _subtypes() -> dict[str, Names]:
    made: dict[str, set[str]] = {}
    for type_ in definitions.types():
        for name in supertypes(type_):
            made.setdefault(name, set()).add(type_)
    return {name: frozenset(types) for name, types in made.items()}
