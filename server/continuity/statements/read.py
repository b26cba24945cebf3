"""What is read alike in every resource: concepts, times, and what a statement starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.statement import About, Author, Code, Source, Standing
from server.continuity.validity import Topic, Validity
from server.continuity.who import author
from server.fhir.dates import SECOND, InvalidDate, interval
from server.fhir.references import split_reference

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of whose record, under which policy, a resource is read.

    ``patient`` is ``Patient/x``; ``others`` are resources by ``Type/id`` that are referred to,
    ``now`` is in microseconds since 1970-01-01T00:00:00Z.
    """

    patient: str
    policy: Validity
    base_url: str = ""
    others: Mapping[str, Resource] = field(default_factory=dict)
    now: int = 0

    def local(self, reference: Any) -> str | None:
        """Return the ``Type/id`` that a Reference names on this server."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        return split_reference(text, self.base_url).local if isinstance(text, str) else None

    def about(self, reference: Any) -> About:
        """Return of whom a resource with this subject speaks (C5)."""
        return "patient" if self.local(reference) == self.patient else "other"

    def author(self, *references: Any) -> Author:
        """Return the author that the first of the references names; the patient is this one."""
        for one in references:
            made = author(one, self.base_url)
            if made.kind == "patient" and made.reference != self.patient:
                return Author("proxy", made.reference, made.display)
            if made.kind != "unknown":
                return made
        return next((made for one in references if (made := author(one, self.base_url)) and one),
                    Author())  # fmt: skip

    def referred(self, resource: Resource, reference: Any) -> Resource:
        """Return what a Reference names: contained, or read beside; empty when it is not there."""
        text = reference.get("reference", "") if isinstance(reference, dict) else ""
        if isinstance(text, str) and text.startswith("#"):
            contained = resource.get("contained", ())
            return next((one for one in contained if one.get("id") == text[1:]), {})
        return self.others.get(self.local(reference) or "", {})

    def topic(self, type_: str) -> Topic:
        """Return the topic that resources of the type are about."""
        return self.policy.of_type(type_) or self.policy.topic("")


def codes(concept: Any) -> frozenset[Code]:
    """Return the codes of a CodeableConcept or a Coding."""
    if not isinstance(concept, dict):
        return frozenset()
    listed = concept.get("coding", ()) if "coding" in concept else (concept,)
    return frozenset(
        (one.get("system", ""), one["code"]) for one in listed if one and one.get("code")
    )


def is_unknown(code: Code) -> bool:
    """Tell whether a code, as a value, says that nobody knows: it is then no answer.

    >>> is_unknown(("http://snomed.info/sct", "261665006"))
    True
    """
    system, own = code
    if system == IPS_ABSENT:
        return own.endswith("-info")
    return system in _UNKNOWN_SYSTEMS or code in _UNKNOWN


IPS_ABSENT: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_UNKNOWN_SYSTEMS: Final = frozenset(
    (
        "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    )
)
_UNKNOWN: Final = frozenset(
    (
        ("http://snomed.info/sct", "261665006"),  # unknown
        ("http://snomed.info/sct", "373068000"),  # undetermined
        ("http://snomed.info/sct", "1631000175102"),  # patient not asked
        ("http://loinc.org", "LA4489-6"),  # unknown
        ("http://loinc.org", "LA14072-7"),  # unknown if ever smoked
        ("http://loinc.org", "LA18980-5"),  # the same, in the list of meaningful use
        ("http://snomed.info/sct", "266927001"),  # tobacco smoking consumption unknown
    )
)


def words(concept: Any) -> str:
    """Return a concept in words: its text, a display, or its code."""
    if not isinstance(concept, dict):
        return ""
    listed = [one for one in concept.get("coding", (concept,)) if one]
    displays = [one["display"] for one in listed if one.get("display")]
    own = [one["code"] for one in listed if one.get("code")]
    return str(next(iter([t for t in (concept.get("text"),) if t] + displays + own), ""))


def moment(*texts: Any) -> tuple[int | None, int | None]:
    """Return when the first of the dates that is there begins, and where its precision ends.

    The end is ``None`` for a date known to the second.  What is no date is nobody's time.
    """
    for text in texts:
        if isinstance(text, str) and text:
            try:
                lo, hi = interval(text)
            except InvalidDate:
                return None, None
            return lo, (hi if hi - lo > SECOND else None)
    return None, None


YES: Final[frozenset[Code]] = frozenset(
    (
        ("http://snomed.info/sct", "373066001"),
        ("http://loinc.org", "LA33-6"),
        ("http://terminology.hl7.org/CodeSystem/v2-0136", "Y"),
        ("http://terminology.hl7.org/CodeSystem/v2-0532", "Y"),
    )
)
NO: Final[frozenset[Code]] = frozenset(
    (
        ("http://snomed.info/sct", "373067005"),
        ("http://loinc.org", "LA32-8"),
        ("http://terminology.hl7.org/CodeSystem/v2-0136", "N"),
        ("http://terminology.hl7.org/CodeSystem/v2-0532", "N"),
    )
)


def status(concept: Any) -> str:
    """Return the code of a CodeableConcept of one status, HL7's own before those of a sender.

    ``?`` is a status in words, or under several codes that nobody here knows.

    >>> status({"text": "over"}), status(None)
    ('?', '')
    """
    if not concept:
        return ""
    found = codes(concept)
    own = {code for system, code in found if system.startswith(_HL7)}
    told = own or {code for _, code in found}
    return told.pop() if len(told) == 1 else "?"


_HL7: Final = "http://terminology.hl7.org/CodeSystem/"


def is_over(period: Any, now: int) -> bool:
    """Tell whether a Period has ended, or has not begun."""
    if not isinstance(period, dict):
        return False
    start, _ = moment(period.get("start"))
    lo, hi = moment(period.get("end"))
    end = hi if hi is not None else lo
    return (end is not None and end <= now) or (start is not None and start > now)


def origins(resource: Resource, reading: Reading) -> frozenset[str]:
    """Return what a resource says that it was made from (``derivedFrom``)."""
    listed = resource.get("derivedFrom", ())
    return frozenset(local for one in listed if (local := reading.local(one)))


def weaker(one: Standing, other: Standing) -> Standing:
    """Return the weaker of two standings."""
    order: tuple[Standing, ...] = ("current", "unsure", "ended", "withdrawn")
    return max(one, other, key=order.index)


def source(resource: Resource, version: int, path: str = "") -> Source:
    """Return the source of what a version of a resource says."""
    return Source(resource["resourceType"], resource["id"], version, path)
