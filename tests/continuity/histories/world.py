"""What is true in a generated history, and how the record came to hear of it.

Independent of the server: a :class:`Claim` is what somebody said, kept beside the resources that
carry it into the record; the judge (``nurse.py``) reads claims only, the server resources only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

Resource = dict[str, Any]
Who = Literal["patient", "proxy", "clinician", "nobody"]

DAY = 86_400_000_000  # microseconds
BIRTH = 1_577_836_800_000_000  # 2020-01-01T00:00:00Z: where every history begins
YEAR = 365 * DAY

RESTRICTED = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody said something.

    ``item`` is the question that it answers, ``value`` the answer (``text_of`` in ``judge.py``),
    ``arrived`` when it came into the record and ``gone`` when it stopped to count: corrected,
    entered in error, stopped, replaced by the same hand.  ``said`` is when it was said or last
    confirmed, ``None`` where nobody knows.  ``mine``: it is about this patient.  ``visit``: it was
    said during that encounter.  ``weak``: careful people would ask again.  ``implied``: it only
    follows from "none at all", and not when something else is there.
    """

    item: str
    value: str
    who: Who
    said: int | None
    arrived: int
    gone: int | None = None
    mine: bool = True
    hidden: bool = False
    visit: str | None = None
    weak: bool = False
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Resources that arrive together at a time (microseconds)."""

    at: int
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """Somebody fills the form in: when, in which visit, and whether they see what is restricted."""

    at: int
    encounter: str | None
    sees_restricted: bool


@dataclass(slots=True)
class World:
    """One patient's years, as they are made.  ``foreign``: versions that are about somebody else,
    ``stories``: which turns were taken, to be told when a judgement fails."""

    seed: int
    rng: Random
    patient: Resource
    end: int
    moments: tuple[Moment, ...] = ()
    claims: list[Claim] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    stories: list[str] = field(default_factory=list)
    _versions: dict[str, int] = field(default_factory=dict)
    _made: int = 0

    def day(self, lo: int, hi: int) -> int:
        """Return a time between so many days after the beginning."""
        return BIRTH + self.rng.randint(lo, hi) * DAY + self.rng.randint(8, 17) * DAY // 24

    def before_end(self, lo: int, hi: int) -> int:
        """Return a time between so many days before the end."""
        return self.end - self.rng.randint(lo, hi) * DAY - 3 * DAY // 24

    def new_id(self, prefix: str) -> str:
        """Return an id that is not used in this history."""
        self._made += 1
        return f"{prefix}-{self.seed}-{self._made}"

    def tell(self, at: int, *resources: Resource) -> None:
        """Let resources arrive; call in the order of time for each resource."""
        self.events.append(Event(at, resources))

    def tell_of_another(self, at: int, *resources: Resource) -> None:
        """Let resources arrive that are not about the patient, whatever they look like."""
        self.tell(at, *resources)
        for one in resources:
            reference = f"{one['resourceType']}/{one['id']}"
            number = self.count(reference)
            self.foreign.add(f"{reference}/_history/{number}")

    def count(self, reference: str) -> int:
        """Return how many versions have been told of, the last one included."""
        told = (one for event in self.events for one in event.resources)
        return sum(f"{one['resourceType']}/{one['id']}" == reference for one in told)

    def claim(self, item: str, value: str, who: Who, said: int | None, **more: Any) -> Claim:
        """Note what was said; it arrives when it is said where nothing else is given."""
        made = Claim(item, value, who, said, **{"arrived": said or 0, **more})
        self.claims.append(made)
        return made

    def end_claims(self, claims: Iterable[Claim], at: int) -> None:
        """From ``at`` on these do not count any more."""
        ended = set(claims)
        self.claims = [replace(c, gone=at) if c in ended else c for c in self.claims]
