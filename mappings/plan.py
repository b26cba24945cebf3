"""What a mapped HL7v2 message asks of the record: an upsert plan, never a blind PUT.

A plan is data.  ``server.feeds.apply`` finds what each planned resource already is in the record
(``identity``), merges by ``touched`` / ``deletes`` / ``precedence``, and commits it all at once.
Inside ``values`` a reference to another planned resource is ``{"reference": "plan:LABEL"}``; in an
identity value the same text stands for that resource's final ``Type/id``.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Update = Literal["authoritative", "merge", "never"]
QuarantineReason = Literal[
    "patient-unidentified",
    "patient-conflict",
    "patient-overlay",
    "unsupported-message",
    "unparsable",
    "required-missing",
    "invalid-resource",
    "map-error",
    "failed",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """How to find the resource in the record.

    ``any_of``: alternatives, each a tuple of (search parameter, value) that must all hold, with
    the syntax of a FHIR search (``("identifier", "urn:x|123")``, ``("patient", "plan:Patient")``).
    The alternatives' hits are united; more than one distinct resource is a conflict.  Empty: always
    a new resource.
    """

    any_of: tuple[tuple[tuple[str, str], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """One resource that the message speaks about.

    ``label`` is unique in the plan (``Patient``, ``Observation[2]``).  ``values`` is the resource
    without ``id`` and ``meta``.  ``touched`` are the top-level elements that the message spoke of;
    ``deletes`` those that it emptied with ``""``, or that its event takes back: ``period.end`` is a
    property of one, and a list that is also touched is replaced, where others only grow.
    ``precedence`` is the time (microseconds UTC) that decides between two messages; ``None`` when
    the message has none.  ``update``: what to do when it exists: ``authoritative`` (this feed's
    values win), ``merge`` (fill what is empty), ``never``.  Values that are not touched are
    defaults: they never overwrite.
    ``shared``: a doctor or a ward that the message names beside its own matter; many messages do,
    and no time of one decides.
    """

    label: str
    type: str
    values: dict[str, Any]
    identity: Identity
    touched: frozenset[str]
    deletes: frozenset[str] = frozenset()
    precedence: int | None = None
    update: Update = "authoritative"
    shared: bool = False


class ExplainRow(NamedTuple):  # some hundred a message: a tuple is the cheapest
    """Where one value came from, or why it did not come.

    ``target`` is a FHIRPath (``Patient.name[0].family``), ``source`` a field path (``PID-5.1.1``),
    ``how`` the rule (``XPN``, ``table AdministrativeSex``, ``UNMAPPED AddressUse 'M'``).
    """

    target: str
    source: str
    how: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A code without a row in its table; counted per feed."""

    table: str
    code: str
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of mapping one message.

    ``lane``: text equal for messages that must not overtake each other (the patient's identity).
    ``quarantine``: ``None``, or why the message must not be applied, with a sentence an analyst
    understands in ``problem``.  ``map_version`` is the hash of the maps used.
    """

    message_type: str
    resources: tuple[PlannedResource, ...]
    lane: str
    map_version: str
    explain: tuple[ExplainRow, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
    quarantine: QuarantineReason | None = None
    problem: str = ""
    extra: dict[str, str] = field(default_factory=dict)
