"""What somebody once said about a patient, as the rules see it.  Pure values.

A resource becomes one statement or several; a statement never outlives the version it was read
from, and every answer made of it names that version.
"""

from dataclasses import dataclass
from typing import Any, Literal

from server.store.port import Version

AuthorKind = Literal["patient", "proxy", "clinician", "device", "feed", "unknown"]
"""Who said it (C6).  ``feed``: a message that names no person."""

Says = Literal["present", "absent", "none-known", "unknown"]
"""What is said of the topic (C3): ``absent`` of one thing (no penicillin allergy, refuted),
``none-known`` of the whole topic (716186003); an empty list says nothing and is no statement."""

Code = tuple[str, str]
"""(system, code); the system may be empty."""


@dataclass(frozen=True, slots=True)
class Source:
    """The version that a statement was read from, and where in it.

    ``path`` is a FHIRPath of the element inside the resource (``Patient.telecom[0]``,
    ``QuestionnaireResponse.item[2].answer[0]``), empty for the resource as a whole.
    """

    type: str
    id: str
    version: int
    path: str = ""

    @classmethod
    def of(cls, version: Version, path: str = "") -> "Source":
        """Return the source of what was read from a stored version."""
        return cls(version.type, version.id, version.number, path)

    @property
    def reference(self) -> str:
        """The versioned reference, ``Observation/x/_history/3``."""
        return f"{self.type}/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True)
class Author:
    """Who said it: ``reference`` as in the resource, ``display`` to show."""

    kind: AuthorKind = "unknown"
    reference: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said about the patient.

    ``topic`` names an entry of the validity policy (``allergies``, ``address``).  ``codes`` are
    what it is about.  ``value`` is an answer as in ``QuestionnaireResponse.item.answer``
    (``{"valueCoding": {...}}``), ``None`` where nothing but the presence is said.  ``said_at`` is
    when it was said or last confirmed (C2), microseconds since 1970-01-01T00:00:00Z, ``None`` when
    nobody knows; never the time of an import.
    """

    topic: str
    codes: frozenset[Code]
    value: dict[str, Any] | None
    says: Says
    said_at: int | None
    author: Author
    source: Source
    encounter: str | None = None
