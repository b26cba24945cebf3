"""What a mapped HL7v2 message asks of the record: an upsert plan, never a blind PUT.

A plan is data.  ``server.feeds.apply`` finds what each planned resource already is in the record
(``identity``), merges by ``touched`` / ``deletes`` / ``precedence``, and commits it all at once.
Inside ``values`` a reference to another planned resource is ``{"reference": "plan:LABEL"}``; in an
identity value the same text stands for that resource's final ``Type/id``.

Nobody changes a plan once it is made.  Its classes are not frozen all the same: a frozen one takes
five times as long to make, and an admission makes thirty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, overload

_SHOWN = 200  # characters of a value in an explain row

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


@dataclass(slots=True, unsafe_hash=True)
class Identity:
    """How to find the resource in the record.

    ``any_of``: alternatives, each a tuple of (search parameter, value) that must all hold, with
    the syntax of a FHIR search (``("identifier", "urn:x|123")``, ``("patient", "plan:Patient")``).
    The alternatives' hits are united; more than one distinct resource is a conflict.  Empty: always
    a new resource.
    """

    any_of: tuple[tuple[tuple[str, str], ...], ...] = ()


@dataclass(slots=True)
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


class ExplainRow(NamedTuple):
    """Where one value came from, or why it did not come.

    ``target`` is a FHIRPath (``Patient.name[0].family``), ``source`` a field path (``PID-5.1.1``),
    ``how`` the rule (``XPN``, ``table AdministrativeSex``, ``UNMAPPED AddressUse 'M'``).
    """

    target: str
    source: str
    how: str
    value: str = ""


class Explanation(Sequence[ExplainRow]):
    """Explain rows that are made when somebody reads them: a message notes some hundred as plain
    tuples, and most are only packed.
    """

    __slots__ = ("_noted",)

    def __init__(self, noted: Sequence[tuple[str, str, str, str]]) -> None:
        self._noted = noted

    @overload
    def __getitem__(self, at: int) -> ExplainRow: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[ExplainRow, ...]: ...

    def __getitem__(self, at: int | slice) -> ExplainRow | tuple[ExplainRow, ...]:
        """Return a row, or several."""
        if isinstance(at, slice):
            return tuple(map(_row, self._noted[at]))
        return _row(self._noted[at])

    def __iter__(self) -> Iterator[ExplainRow]:
        """Yield the rows in the order in which they were noted."""
        return map(_row, self._noted)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._noted)

    def __eq__(self, other: object) -> bool:
        """Whether the other tells the same."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def told(rows: Sequence[ExplainRow]) -> list[tuple[str, str, str, str]]:
    """Return explain rows as plain tuples: of an :class:`Explanation` without making its rows."""
    if not isinstance(rows, Explanation):
        return [(row.target, row.source, row.how, row.value) for row in rows]
    return [row if len(row[3]) <= _SHOWN else (*row[:3], row[3][:_SHOWN]) for row in rows._noted]


def _row(noted: tuple[str, str, str, str]) -> ExplainRow:
    target, source, how, value = noted
    return ExplainRow(target, source, how, value[:_SHOWN])


@dataclass(slots=True)
class Unmapped:
    """A code without a row in its table; counted per feed."""

    table: str
    code: str
    source: str


@dataclass(slots=True)
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
    explain: Sequence[ExplainRow] = ()
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
    quarantine: QuarantineReason | None = None
    problem: str = ""
    extra: dict[str, str] = field(default_factory=dict)
