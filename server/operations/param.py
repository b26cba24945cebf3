"""The parameters of operations: what they are called, and how their values are read.

R4 operations.html#executing, parameters.html.  Simple types come in the address or in a Parameters
resource, all others in a Parameters resource only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.fhir import definitions
from server.fhir.errors import InvalidParameter
from server.validation import validate

ParamType = Literal[
    "boolean",
    "code",
    "integer",
    "date",
    "dateTime",
    "instant",
    "string",
    "uri",
    "canonical",
    "Coding",
    "CodeableConcept",
    "Identifier",
    "Quantity",
    "Reference",
    "Meta",
    "Resource",
    "parts",
]

SIMPLE: frozenset[ParamType] = frozenset(
    ("boolean", "code", "integer", "date", "dateTime", "instant", "string", "uri", "canonical")
)
"""The types whose values fit into an address."""

_BOOLEANS = {"true": True, "false": False}
MAX_PARTS_DEEP = 5  # parameters within parameters


@dataclass(frozen=True, slots=True)
class Param:
    """One input parameter; ``many`` is cardinality ``..*``, else ``..1``.

    ``also``: other types that it may have.  ``parts``: what is in it when its type is ``parts``;
    its value is then a mapping of their names to values, as the arguments of an operation are.
    """

    name: str
    type: ParamType
    documentation: str
    many: bool = False
    required: bool = False
    parts: tuple["Param", ...] = ()
    also: tuple[ParamType, ...] = ()

    @property
    def types(self) -> tuple[ParamType, ...]:
        """All types that its value may have."""
        return (self.type, *self.also)

    @property
    def in_address(self) -> bool:
        """Whether it may be given in the address of a GET."""
        return not SIMPLE.isdisjoint(self.types)


def from_text(param: Param, text: str) -> list[Any]:
    """Return the values that one parameter of an address gives.

    Codes that may be given several times may also be given as ``a,b``.
    """
    parts = text.split(",") if param.many and param.type in ("code", "integer") else [text]
    return [_of_text(param, part) for part in parts]


def _of_text(param: Param, text: str) -> Any:
    if param.type == "integer":
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise _not_a(param, text)
        return int(text)
    if param.type == "boolean":
        if text not in _BOOLEANS:
            raise _not_a(param, text)
        return _BOOLEANS[text]
    return text


def _not_a(param: Param, text: str) -> InvalidParameter:
    article = "an" if param.type == "integer" else "a"
    return InvalidParameter(
        f"{param.name}={text[:80]!r} is not {article} {param.type}", expression=(param.name,)
    )


def entries(listed: Any, where: str) -> list[tuple[str, dict[str, Any], str]]:
    """Return name, entry and place of each ``Parameters.parameter``, or ``part`` of one.

    Raises:
        InvalidParameter: one has no name, or not exactly one of a value, a resource and parts.
    """
    if not isinstance(listed, list):
        raise InvalidParameter("parameters are a list", expression=(where,))
    return [(*_entry(part, f"{where}[{n}]"), f"{where}[{n}]") for n, part in enumerate(listed)]


def _entry(part: Any, where: str) -> tuple[str, dict[str, Any]]:
    name = part.get("name") if isinstance(part, dict) else None
    if not isinstance(name, str) or len(_keys(part)) != 1:
        raise InvalidParameter("a parameter has a name and one value", expression=(where,))
    return name, part


def _keys(part: Mapping[str, Any]) -> list[str]:
    return [key for key in part if key in ("resource", "part") or key.startswith("value")]


def value_of(part: Mapping[str, Any]) -> Any:
    """Return the value of an entry, whatever it is."""
    return part[_keys(part)[0]]


def typed(param: Param, part: dict[str, Any], where: str, depth: int = 0) -> Any:
    """Return the value of an entry, checked to be what the parameter takes.

    Raises:
        InvalidParameter: it is of another type, or not valid R4.
    """
    key = _keys(part)[0]
    value = part[key]
    if "parts" in param.types and key == "part":
        return _parts(param, value, f"{where}.part", depth)
    if "Resource" in param.types and key == "resource":
        return _resource(param, value, where)
    for type_ in param.types:
        if type_ in SIMPLE and _is_simple(type_, value):
            return value
        if type_ not in SIMPLE and key == f"value{type_}" and isinstance(value, dict):
            # A Meta is checked by who takes it, as a part of what it becomes.
            return value if type_ == "Meta" else _complex(param, part, where)
    wanted = " or ".join(param.types)
    article = "an" if wanted[0] in "aeiouAEIOU" else "a"
    raise InvalidParameter(f"{param.name} is not {article} {wanted}", expression=(where,))


def _is_simple(type_: ParamType, value: Any) -> bool:
    if type_ == "boolean":
        return isinstance(value, bool)
    if type_ == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, str)


def _resource(param: Param, value: Any, where: str) -> Any:
    type_ = value.get("resourceType") if isinstance(value, dict) else None
    if type_ not in definitions.resource_types():
        raise InvalidParameter(f"{param.name} is no resource of R4", expression=(where,))
    return value


def _complex(param: Param, part: dict[str, Any], where: str) -> Any:
    issues = validate({"resourceType": "Parameters", "parameter": [part]})
    if issues:
        told = f"{param.name}: {issues[0].diagnostics}"
        raise InvalidParameter(told, expression=(where,))
    return value_of(part)


def _parts(param: Param, value: Any, where: str, depth: int) -> dict[str, Any]:
    if depth >= MAX_PARTS_DEEP:
        raise InvalidParameter(
            f"parameters are nested more than {MAX_PARTS_DEEP} deep", expression=(where,)
        )
    known = {inner.name: inner for inner in param.parts}
    sent: dict[str, list[Any]] = {}
    for name, part, place in entries(value, where):
        if name not in known:
            raise unknown(param.name, name, param.parts)
        sent.setdefault(name, []).append(typed(known[name], part, place, depth + 1))
    return checked(param.name, param.parts, sent)


def checked(owner: str, params: Sequence[Param], sent: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the arguments: a list for what may be given several times, else the value.

    Raises:
        InvalidParameter: one is missing, or was given too often.
    """
    made: dict[str, Any] = {}
    for param in params:
        values = sent.get(param.name, [])
        if param.required and not values:
            raise InvalidParameter(
                f"{owner} needs the parameter {param.name}", expression=(param.name,)
            )
        if len(values) > 1 and not param.many:
            raise InvalidParameter(
                f"{param.name} was given {len(values)} times", expression=(param.name,)
            )
        if values:
            made[param.name] = values if param.many else values[0]
    return made


def unknown(owner: str, name: str, params: Iterable[Param]) -> InvalidParameter:
    """Return the error for a name that nothing of ``owner`` has."""
    known = ", ".join(param.name for param in params) or "none"
    return InvalidParameter(
        f"{owner} has no parameter {name[:80]!r}; it has: {known}", expression=(name[:80],)
    )
