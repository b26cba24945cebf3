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

About = Literal["patient", "related", "family", "other"]
"""Of whom it is said (C5): the patient, a person beside (contact, guarantor), the family; ``other``
is somebody else: another patient, a fetus (``Observation.focus``)."""

Standing = Literal["current", "unsure", "ended", "withdrawn"]
"""What has become of it (C3).  ``unsure``: provisional, unconfirmed, or said in words alone;
``ended``: stopped, resolved; ``withdrawn``: entered in error, cancelled, never finished."""

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
    nobody knows; never the time of an import.  ``said_until`` is the end of the interval that the
    text of that time covers (a year, a day), ``None`` for what is known to the second.
    ``element`` is where such a value stands in FHIR (``Patient.birthDate``), ``origins`` are the
    references (``Type/id``) of what it was made from.  ``critical``: a
    reaction that can kill.  ``note``: why this cannot be more than confirmed, from its reading.
    ``unit``: the UCUM code of that in which a bare number was asked for.
    """

    topic: str
    codes: frozenset[Code]
    value: dict[str, Any] | None
    says: Says
    said_at: int | None
    author: Author
    source: Source
    encounter: str | None = None
    element: str = ""
    about: About = "patient"
    standing: Standing = "current"
    said_until: int | None = None
    origins: frozenset[str] = frozenset()
    critical: bool = False
    note: str = ""
    unit: str = ""

    def noted(self, note: str) -> "Statement":
        """Return this with another note."""
        return Statement(  # not dataclasses.replace: this is done for each of a long series
            self.topic, self.codes, self.value, self.says, self.said_at, self.author, self.source,
            self.encounter, self.element, self.about, self.standing, self.said_until,
            self.origins, self.critical, note, self.unit,
        )  # fmt: skip
