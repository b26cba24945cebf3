"""Who asks, and what they may see.  A mandatory argument of every read and search below ``rest``.

Access is decided before the search, not after it: :func:`server.access.narrow.narrow` ANDs the
context's predicate into the query at every hop.  There is no call without a context, and no
trusted bypass except :data:`SYSTEM`, which only the server's own work (feeds, jobs) may use.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from server.fhir import definitions
from server.search.query import EVERYTHING, Predicate

Interaction = Literal["create", "read", "update", "delete", "search"]
ALL_INTERACTIONS: frozenset[Interaction] = frozenset(
    ("create", "read", "update", "delete", "search")
)

SHARED = "shared"
"""As :attr:`Permit.type`: the types that belong to no patient (:func:`shared_types`)."""

DEFINING = frozenset(("CodeSystem", "ConceptMap", "Questionnaire", "ValueSet"))
"""Shared types that an app needs before anything refers to them: forms, and what codes mean.

They are about nobody.  SMART 2.2 leaves it to the server what ``patient/`` scopes open outside of
the compartment (scopes-and-launch-context.html).  A label above the clearance hides them as well.
"""

SEVERAL = "several"
"""As :attr:`Permit.type`: those of :attr:`Permit.types`; one is looked at faster than many."""


@dataclass(frozen=True, slots=True)
class Permit:
    """One thing that is allowed; everything but ``type`` and ``interactions`` limits it.

    ``type`` is a resource type, ``*`` (all), :data:`SHARED`, or :data:`SEVERAL` (``types``).
    ``compartment`` is ``Patient/x`` (R4 compartmentdefinition.html), or ``None`` for the whole
    record.  ``where`` must hold for the resource as well: what a granular scope or a department
    asks.  ``hidden`` are security labels (``system|code``) above the caller's clearance: what bears
    one is not there.  ``released``: what is on hold, or is released later than this (microseconds),
    is not there; ``None`` sees it too.
    """

    type: str
    interactions: frozenset[Interaction] = ALL_INTERACTIONS
    compartment: str | None = None
    where: Predicate = EVERYTHING
    hidden: tuple[str, ...] = ()
    released: int | None = None
    types: frozenset[str] = frozenset()

    def covers(self, type_: str, interaction: Interaction) -> bool:
        """Tell whether this permit speaks about the interaction on the type at all."""
        own = self.type
        return interaction in self.interactions and (
            own in (type_, "*")
            or type_ in self.types
            or (own == SHARED and type_ in shared_types())
        )

    @property
    def whole(self) -> bool:
        """True when nothing of the type is kept back from the holder."""
        return (
            self.compartment is None
            and self.where == EVERYTHING
            and not self.hidden
            and self.released is None
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """What of one request audit and Provenance want to know; never part of a decision.

    ``address``: the network address of the client.  ``provenance``: the ``X-Provenance`` header
    (JSON) that came with a write.  ``purpose``: codes of v3-PurposeOfUse.
    """

    request_id: str
    address: str = ""
    provenance: bytes | None = None
    purpose: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessContext:
    """The rights of one request.

    ``principal`` names the person or system (``user/anna``, ``feed/main-adt``), ``client`` the
    program.  ``permits`` are alternatives: what no permit covers does not exist for the caller.
    ``identity`` binds page cursors to their owner.  ``person`` is the FHIR resource that stands for
    the user (``Practitioner/anna``), ``patient`` the one in context, ``grant`` the authorization
    that the token came from, ``role`` what the user acts as.  ``trace`` belongs to one request.
    ``beyond``: what the permits would be if no label hid anything, for those alone who may know
    that something is withheld (C7); they open nothing.
    """

    principal: str
    client: str
    permits: tuple[Permit, ...]
    person: str | None = None
    patient: str | None = None
    grant: str | None = None
    role: str | None = None
    trace: Trace | None = field(default=None, compare=False)
    beyond: tuple[Permit, ...] = ()

    @property
    def unrestricted(self) -> bool:
        """True when some permit allows every interaction on every type, anywhere."""
        return any(
            p.type == "*" and p.interactions == ALL_INTERACTIONS and p.whole for p in self.permits
        )

    @property
    def identity(self) -> str:
        """Text that is equal for equal callers only; part of what signs a page cursor."""
        return f"{self.principal}\n{self.client}\n{self.grant or ''}"

    def covering(self, type_: str, interaction: Interaction) -> tuple[Permit, ...]:
        """Return the permits that speak about the interaction on the type."""
        return tuple(p for p in self.permits if p.covers(type_, interaction))


@lru_cache(maxsize=1)
def shared_types() -> frozenset[str]:
    """Return the types that no patient's compartment holds and that no server keeps to itself.

    Readable under ``patient/`` scopes only where the compartment refers to them, but for
    :data:`DEFINING`.
    """
    members = definitions.compartments()["Patient"]
    of_patients = {type_ for type_, params in members.items() if params} | {"Patient"}
    return frozenset(definitions.resource_types()) - of_patients - _NEVER_SHARED


# They hold, stand for, or tell of resources of any patient, although R4's Patient compartment does
# not know them; or are the server's own business.
_NEVER_SHARED = frozenset(
    (
        "Binary", "BiologicallyDerivedProduct", "Bundle", "Contract", "Device",
        "EnrollmentResponse", "GuidanceResponse", "Linkage", "MessageHeader", "OperationOutcome",
        "Parameters", "PaymentNotice", "PaymentReconciliation", "Subscription", "Task",
        "VerificationResult",
    )
)  # fmt: skip

SYSTEM = AccessContext("system", "tellonce", (Permit("*"),))
