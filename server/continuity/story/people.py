"""Who said it, and what references are called (C6).  Pure: what was read comes in as values.

A name that stands in another resource brings that resource's version as a further source.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.continuity.fed import sender
from server.continuity.statement import AuthorKind, Source
from server.continuity.story.wording import Json, at, label, labels, listed, person, plain
from server.continuity.story.words import Words
from server.fhir.references import split_reference

Ref = tuple[str, str]

ASSERTED: Final[Mapping[str, tuple[str, ...]]] = {
    "AllergyIntolerance": ("asserter", "recorder"),
    "CarePlan": ("author", "contributor"),
    "Communication": ("sender",),
    "Condition": ("asserter", "recorder"),
    "DiagnosticReport": ("performer", "resultsInterpreter"),
    "DocumentReference": ("author", "authenticator"),
    "Goal": ("expressedBy",),
    "Immunization": ("performer.actor",),
    "MedicationRequest": ("requester", "recorder"),
    "MedicationStatement": ("informationSource",),
    "Observation": ("device", "performer"),
    "Procedure": ("asserter", "performer.actor", "recorder"),
    "QuestionnaireResponse": ("source", "author"),
    "ServiceRequest": ("requester",),
    "Task": ("requester",),
    "Encounter": ("participant.individual",),
}
"""Where a type says who said it, the one whose word it is first."""

_WRITTEN_BY: Final = {"AllergyIntolerance", "Condition", "Procedure", "MedicationRequest"}
_NAMED: Final = ("medicationReference", "location.location", "serviceProvider", "reasonReference")
_KINDS: Final[Mapping[str, AuthorKind]] = {
    "Patient": "patient",
    "RelatedPerson": "proxy",
    "Practitioner": "clinician",
    "PractitionerRole": "clinician",
    "CareTeam": "clinician",
    "Organization": "clinician",
    "Device": "device",
    "DeviceMetric": "device",
}


@dataclass(frozen=True, slots=True)
class Named:
    """What something is called, where that was read, and what kind of author it is."""

    kind: AuthorKind
    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """``known``: what was read of those that are referred to; what is not there has no name but
    the one in the reference itself.  ``written``: the Provenance of what names no author."""

    patient: str
    base_url: str
    words: Words
    known: Mapping[Ref, tuple[Json, Source]] = field(default_factory=dict)
    written: Mapping[Ref, tuple[Json, Source]] = field(default_factory=dict)

    def author(self, resource: Json) -> Named | None:
        """Return whose word a resource is, ``None`` when it does not say."""
        for path in ASSERTED.get(resource["resourceType"], ()):
            for reference in at(resource, path):
                if (found := self.named(reference, resource)) is not None:
                    return replace(found, kind="device") if path == "device" else found
        if resource.get("reportedBoolean") is True:
            return Named("patient", self.words.say("own"))
        return self._told_by_provenance(resource)

    def _told_by_provenance(self, resource: Json) -> Named | None:
        """Return who wrote the very version: a feed for its sender, or a person who is known."""
        there = self.written.get((resource["resourceType"], str(resource.get("id"))))
        if there is None:
            return None
        provenance, source = there
        if (sent_by := sender(provenance)) is not None:
            return Named("feed", plain(sent_by), (source,))
        for agent in listed(provenance.get("agent")):
            who = agent.get("who") or {}
            if "reference" in who and (found := self.named(who, provenance)) is not None:
                return replace(found, sources=(source, *found.sources))
        return None

    def writer(self, resource: Json) -> Named | None:
        """Return who wrote down what somebody else said, ``None`` when that is the same."""
        if resource["resourceType"] not in _WRITTEN_BY or "recorder" not in resource:
            return None
        written = self.named(resource["recorder"], resource)
        said = self.author(resource)
        if written is None or said is None or written.text == said.text:
            return None
        return written

    def named(self, reference: Any, inside: Json) -> Named | None:
        """Return what a reference stands for; ``inside`` has what it contains."""
        if not isinstance(reference, dict):
            return None
        type_, there, source = self._read(reference, inside)
        kind = _KINDS.get(type_ or "", "unknown")
        if kind == "patient" and self._is_patient(reference):
            return Named("patient", self.words.say("own"))
        if kind == "patient":
            kind = "unknown"  # another patient is not this one
        display = plain(reference.get("display"))
        name = display or (self._name(there) if there is not None else None)
        sources = (source,) if source is not None and not display else ()
        if kind == "proxy":
            return self._proxy(name, there, source)
        if name is None and there is not None and "practitioner" in there:
            behind = self.named(there["practitioner"], there)
            return Named(kind, behind.text, (*sources, *behind.sources)) if behind else None
        if name is None:
            name = self._stranger(kind)
        return Named(kind, name, sources) if name else None

    def _proxy(self, name: str | None, there: Json | None, source: Source | None) -> Named:
        # Somebody's mother is not this patient's mother (C5).
        whose = there if there and self._is_patient(there.get("patient")) else None
        relation = labels(whose.get("relationship"), self.words) if whose else None
        if relation is None or name is None:
            return Named("proxy", name or self.words.say("some-proxy"), (source,) if source else ())
        told = self.words.say("proxy", relation=relation, name=name)
        return Named("proxy", told, (source,) if source else ())

    def _stranger(self, kind: AuthorKind) -> str | None:
        words = {"device": "some-device", "clinician": "some-clinician"}.get(kind)
        return self.words.say(words) if words else None

    def _read(self, reference: Json, inside: Json) -> tuple[str | None, Json | None, Source | None]:
        text = reference.get("reference")
        if not isinstance(text, str):
            type_ = reference.get("type")
            return (type_ if isinstance(type_, str) else None), None, None
        if text.startswith("#"):
            for one in listed(inside.get("contained")):
                if isinstance(one, dict) and one.get("id") == text[1:]:
                    return one.get("resourceType"), one, None
            return None, None, None
        local = split_reference(text, self.base_url)
        found = self.known.get((local.type or "", local.id or ""))
        return (local.type, *found) if found else (local.type, None, None)

    def _is_patient(self, reference: Any) -> bool:
        return is_of(reference, self.patient, self.base_url)

    def _name(self, there: Json) -> str | None:
        name = there.get("name")
        if isinstance(name, str):
            return plain(name) or None
        if there.get("resourceType") in ("Device", "Medication", "Condition", "Observation"):
            device = next((one.get("name") for one in listed(there.get("deviceName"))), None)
            concept = there.get("code") or there.get("type")
            return plain(device) or label(concept, self.words)
        return person(name)


def is_of(reference: Any, patient: str, base_url: str) -> bool:
    """Tell whether a reference names the patient ``Patient/x``, of whatever version."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    if not isinstance(text, str):
        return False
    local = split_reference(text, base_url)
    return f"{local.type}/{local.id}" == patient


def references(resource: Json, base_url: str) -> Iterator[Ref]:
    """Yield (type, id) of everything on this server that gives a resource's sentence a name."""
    paths = (*ASSERTED.get(resource["resourceType"], ()), *_NAMED, "practitioner", "recorder")
    for path in (*paths, "agent.who"):
        for reference in at(resource, path):
            text = reference.get("reference") if isinstance(reference, dict) else None
            if not isinstance(text, str) or plain(reference.get("display")):
                continue
            local = split_reference(text, base_url)
            if local.type and local.id:
                yield local.type, local.id
