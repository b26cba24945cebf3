"""Who asks, and what they may see.  A mandatory argument of every read and search below ``rest``.

Access is decided before the search, not after it: :func:`server.access.narrow.narrow` ANDs the
context's predicate into the query at every hop.  There is no call without a context, and no
trusted bypass except :data:`SYSTEM`, which only the server's own work (feeds, jobs) may use.
"""

from dataclasses import dataclass
from typing import Literal

Interaction = Literal["create", "read", "update", "delete", "search"]
ALL_INTERACTIONS: frozenset[Interaction] = frozenset(
    ("create", "read", "update", "delete", "search")
)


@dataclass(frozen=True, slots=True)
class Permit:
    """One thing that is allowed: these interactions, on this type, inside this compartment.

    ``type`` is a resource type or ``*``.  ``compartment`` is ``Patient/x`` (R4
    compartmentdefinition.html), or ``None`` for the whole record.
    """

    type: str
    interactions: frozenset[Interaction] = ALL_INTERACTIONS
    compartment: str | None = None

    def covers(self, type_: str, interaction: Interaction) -> bool:
        """Tell whether this permit speaks about the interaction on the type at all."""
        return self.type in ("*", type_) and interaction in self.interactions


@dataclass(frozen=True, slots=True)
class AccessContext:
    """The rights of one request.

    ``principal`` names the person or system (``user/1``, ``feed/main-adt``), ``client`` the
    program.  ``permits`` are alternatives: what no permit covers does not exist for the caller.
    ``identity`` binds page cursors to their owner.
    """

    principal: str
    client: str
    permits: tuple[Permit, ...]

    @property
    def unrestricted(self) -> bool:
        """True when some permit allows every interaction on every type, anywhere."""
        return any(
            p.type == "*" and p.compartment is None and p.interactions == ALL_INTERACTIONS
            for p in self.permits
        )

    @property
    def identity(self) -> str:
        """Text that is equal for equal callers only; part of what signs a page cursor."""
        return f"{self.principal}\n{self.client}"

    def covering(self, type_: str, interaction: Interaction) -> tuple[Permit, ...]:
        """Return the permits that speak about the interaction on the type."""
        return tuple(p for p in self.permits if p.covers(type_, interaction))


SYSTEM = AccessContext("system", "tellonce", (Permit("*"),))
