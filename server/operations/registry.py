"""What an operation is.  One :class:`Operation` value feeds five places, so they cannot differ:
the route, argument checks, the access check, the CapabilityStatement and docs/operations.md.

R4 operations.html.  To add one: a file with its ``run`` and its value, and a line in
``server/operations/__init__.py``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from server.access.context import AccessContext, Interaction
from server.fhir.errors import InvalidParameter, NotSupported
from server.interactions import rights
from server.interactions.services import Services
from server.operations.param import (
    Param,
    ParamType,
    checked,
    entries,
    from_text,
    typed,
    unknown,
    value_of,
)
from server.store.port import Version

__all__ = [
    "Call",
    "Level",
    "Operation",
    "Param",
    "ParamType",
    "Registry",
    "Result",
    "Streamed",
]

Level = Literal["system", "type", "instance"]


@dataclass(frozen=True, slots=True)
class Streamed:
    """The JSON of an answer in pieces, for answers of any length.  The first piece costs nothing
    that could fail: what fails, fails before the value is made."""

    chunks: AsyncIterator[bytes]


Result = bytes | Version | Streamed


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation; ``args`` are typed and checked, ``pairs`` the search parameters beside them.

    ``type`` and ``id`` are of the address, ``cursor`` the page asked for.
    """

    services: Services
    access: AccessContext
    type: str | None
    id: str | None
    args: Mapping[str, Any]
    pairs: tuple[tuple[str, str], ...] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, at its levels, on its types.

    ``definition`` is the canonical URL of the OperationDefinition; ``types`` empty means every
    type.  ``affects_state`` false: also callable with GET.  ``needs``: the interactions on the type
    that the caller must be allowed.  ``scopes``: in words, the SMART scopes of which the answer is
    made, without their level.  ``searches``: search parameters of the type are let through.
    """

    code: str
    definition: str
    documentation: str
    levels: tuple[Level, ...]
    run: Callable[[Call], Awaitable[Result]]
    types: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()
    affects_state: bool = False
    needs: tuple[Interaction, ...] = ("read",)
    scopes: str = ""
    searches: bool = False
    paged: bool = False

    async def __call__(self, call: Call) -> Result:
        """Check the caller's rights, then run.  Every way in leads through here."""
        for interaction in self.needs:
            for type_ in (call.type,) if call.type else self.types:
                rights.demand(call.access, interaction, type_)
        with rights.discreet(call.access):
            return await self.run(call)

    def from_query(
        self, pairs: Iterable[tuple[str, str]]
    ) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
        """Return typed arguments, and the search parameters beside them.

        Raises:
            InvalidParameter: unknown name, too many values, a value of another type, one missing.
        """
        sent: dict[str, list[Any]] = {}
        beside: list[tuple[str, str]] = []
        known = {param.name: param for param in self.params}
        for name, text in pairs:
            param = known.get(name)
            if param is None:
                if not self.searches:
                    raise unknown(f"${self.code}", name, self.params)
                beside.append((name, text))
            elif not param.in_address:
                raise InvalidParameter(
                    f"${self.code}: {name} goes into the body (POST)", expression=(name,)
                )
            else:
                sent.setdefault(name, []).extend(from_text(param, text))
        return checked(f"${self.code}", self.params, sent), tuple(beside)

    def from_body(self, body: Any) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
        """Read a Parameters resource, or a resource that is the only resource parameter.

        A parameter that also takes something else is none that a resource could be alone.
        """
        if isinstance(body, dict) and body.get("resourceType") != "Parameters":
            alone = [param for param in self.params if param.types == ("Resource",)]
            if len(alone) != 1:
                other = str(body.get("resourceType", "something without a resourceType"))
                raise InvalidParameter(
                    f"${self.code} takes a Parameters resource, not {other[:40]}",
                    expression=("resourceType",),
                )
            return checked(f"${self.code}", self.params, {alone[0].name: [body]}), ()
        listed = body.get("parameter", []) if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise InvalidParameter(f"${self.code} takes a Parameters resource")
        known = {param.name: param for param in self.params}
        sent: dict[str, list[Any]] = {}
        beside: list[tuple[str, str]] = []
        for name, part, where in entries(listed, "Parameters.parameter"):
            param = known.get(name)
            if param is not None:
                sent.setdefault(name, []).append(typed(param, part, where))
            elif self.searches and isinstance(text := value_of(part), str):
                beside.append((name, text))
            else:
                raise unknown(f"${self.code}", name, self.params)
        return checked(f"${self.code}", self.params, sent), tuple(beside)


@dataclass(frozen=True, slots=True)
class Registry:
    """The operations of a server, found by code, level and type."""

    operations: tuple[Operation, ...]
    _by: Mapping[tuple[str, Level, str], Operation] = field(default_factory=dict)

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> "Registry":
        """Return the registry; raises ``ValueError`` when two claim the same address."""
        by: dict[tuple[str, Level, str], Operation] = {}
        for operation in operations:
            for level in operation.levels:
                for type_ in operation.types if level != "system" and operation.types else ("*",):
                    if by.setdefault((operation.code, level, type_), operation) is not operation:
                        raise ValueError(f"two operations ${operation.code} at {level} of {type_}")
        return cls(tuple(operations), by)

    def find(self, code: str, level: Level, type_: str | None) -> Operation:
        """Return the operation; raises ``NotSupported``, which says where the code does work."""
        found = self._by.get((code, level, type_ or "*")) or self._by.get((code, level, "*"))
        if found is not None:
            return found
        where = sorted({f"{t} ({lv} level)" for c, lv, t in self._by if c == code})
        told = f"${code[:80]} does not work here"
        raise NotSupported(
            f"{told}; it works on {', '.join(where)}"
            if where
            else f"this server has no operation ${code[:80]}"
        )

    def of_type(self, type_: str) -> list[Operation]:
        """Return the operations that work on a type or its instances."""
        return [
            op
            for op in self.operations
            if (not op.types or type_ in op.types) and {"type", "instance"} & set(op.levels)
        ]

    def of_system(self) -> list[Operation]:
        """Return the operations that work on the whole server."""
        return [op for op in self.operations if "system" in op.levels]
