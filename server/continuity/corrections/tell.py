"""What readers are told: a Communication, and for a form or document a Task to look at it again.

Neither says anything clinical: what was corrected is named, and seen by who may see it.  Both have
the labels and the release of what they tell of (C7).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.audit.codes import LOGIN
from server.continuity.citations import Shown
from server.continuity.corrections.changed import Reason
from server.continuity.extract.bundle import LOOK_AGAIN, TASK
from server.fhir.dates import instant_text
from server.search.marks import RELEASE_URL
from server.store.port import Version

CATEGORY: Final = "https://tellonce.org/fhir/CodeSystem/communication-category"
CORRECTION: Final = "correction"
_MOST_NAMED: Final = 50
_SAID: Final[dict[Reason, str]] = {
    "deleted": "was removed from the record",
    "entered-in-error": "was entered in error",
    "cancelled": "was cancelled",
    "corrected": "was corrected",
    "moved": "does not belong to this patient's record",
    "merged": "is of a record that was merged with another, or separated from it",
    "changed": "was changed",
}
_SHOWN_IN: Final = {
    "story": "in a story",
    "known-answers": "among the known answers",
    "populate": "in a form that was filled in beforehand",
    "extract": "when a form was taken into the record",
    "document": "in a document",
    "summary": "in a summary",
}

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Correction:
    """One version that takes back what was said.

    ``before`` and ``after``: the two versions read; ``after`` is ``None`` for a deletion.
    """

    version: Version
    reason: Reason | None
    before: Resource
    after: Resource | None

    @property
    def local(self) -> str:
        """The resource, ``Observation/x``."""
        return f"{self.version.type}/{self.version.id}"

    @property
    def reference(self) -> str:
        """The correcting version."""
        return f"{self.local}/_history/{self.version.number}"


@dataclass(slots=True)
class Notice:
    """What one reader is told about one patient at once: corrections with where they were shown."""

    patient: str
    reader: str
    person: str | None
    told: list[tuple[Correction, Reason, Shown]] = field(default_factory=list)

    @property
    def corrections(self) -> list[tuple[Correction, Reason]]:
        """The corrections, each once."""
        found = {one.reference: (one, reason) for one, reason, _ in self.told}
        return list(found.values())

    @property
    def documents(self) -> list[str]:
        """The stored forms and documents in which they were shown."""
        return list(dict.fromkeys(s.document for _, _, s in self.told if s.document is not None))


def communication(notice: Notice, id_: str, sent: int) -> Resource:
    """Return what the reader is told; ``sent`` in microseconds."""
    about = [*_about(notice), *notice.documents][:_MOST_NAMED]
    return {
        "resourceType": "Communication",
        "id": id_,
        **_marks(notice),
        "status": "completed",
        "category": [_concept(CATEGORY, CORRECTION, "Correction")],
        "subject": {"reference": notice.patient},
        "about": [{"reference": one} for one in about],
        "sent": instant_text(sent),
        "recipient": [_recipient(notice)],
        "payload": [{"contentString": sentence(notice)}],
    }


def task(notice: Notice, document: str, id_: str, at: int) -> Resource:
    """Return the Task to look at a form or document again; ``at`` in microseconds."""
    named = [c for c in _about(notice) if c != document][:1]
    made: Resource = {
        "resourceType": "Task",
        "id": id_,
        **_marks(notice),
        "status": "requested",
        "intent": "proposal",
        "code": _concept(TASK, LOOK_AGAIN, "Look at it again"),
        "description": sentence(notice),
        "focus": {"reference": document},
        "for": {"reference": notice.patient},
        "authoredOn": instant_text(at),
    }
    if notice.person is not None:
        made["owner"] = {"reference": notice.person}
    if named:
        made["reasonReference"] = {"reference": named[0]}
    return made


def sentence(notice: Notice) -> str:
    """Return what happened in plain words, without anything clinical.

    One thing: ``What you were shown in a story on 2026-01-02 was corrected.  ...``
    """
    listed = notice.corrections
    _, _, shown = notice.told[0]
    day = instant_text(max(shown.versions.values()))[:10]
    where = _SHOWN_IN[shown.kind]
    if len(listed) == 1:
        ((_, reason),) = listed
        return f"What you were shown {where} on {day} {_SAID[reason]}. Please look at it again."
    return (
        f"{len(listed)} things that you were shown, first {where} on {day}, are not as they were: "
        f"{_reasons(reason for _, reason in listed)}. Please look at them again."
    )


def _reasons(reasons: Iterable[Reason]) -> str:
    return "; ".join(dict.fromkeys(f"one or more {_SAID[reason]}" for reason in reasons))


def _about(notice: Notice) -> list[str]:
    """Return the versions that a notice names: of what left the record, the one that was shown."""
    found = []
    for correction, reason, shown in notice.told:
        if reason in ("moved", "deleted"):
            found.append(f"{correction.local}/_history/{max(_before(correction, shown))}")
        else:
            found.append(correction.reference)
    return list(dict.fromkeys(found))


def _before(correction: Correction, shown: Shown) -> Sequence[int]:
    return [n for n in shown.versions if n < correction.version.number] or [1]


def _recipient(notice: Notice) -> Resource:
    if notice.person is not None:
        return {"reference": notice.person}
    return {"identifier": {"system": LOGIN, "value": notice.reader}}


def _marks(notice: Notice) -> Resource:
    """Return the labels and the release of everything that the notice tells of."""
    security: list[Any] = []
    release: list[Any] = []
    for correction, _ in notice.corrections:
        for resource in (correction.before, correction.after or {}):
            security += (resource.get("meta") or {}).get("security") or ()
            release += [
                _decided(one) for one in resource.get("extension") or () if _is_release(one)
            ]
    made: Resource = {}
    if security:
        made["meta"] = {"security": _once(security)}
    if release:
        made["extension"] = _once(release)
    return made


def _is_release(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("url") == RELEASE_URL


def _decided(extension: Resource) -> Resource:
    """Return a release as if a person had decided it: no rule knows of Communications."""
    parts = [one for one in extension.get("extension") or () if one.get("url") != "rule"]
    return {**extension, "extension": parts}


def _once(listed: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in listed:
        if one not in found:
            found.append(one)
    return found


def _concept(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code}], "text": text}
