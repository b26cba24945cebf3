"""The summary as a document: Bundle-uv-ips and Composition-uv-ips of IPS 1.1.0.

Entries are stored versions, unchanged but for references that lead out of the document: those are
left with what they say in words, so that a document that travels has no loose ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.answers import demand_current
from server.continuity.citations import Cited, remember
from server.continuity.summary.absent import no_information
from server.continuity.summary.narrative import is_none, sentence, table, words
from server.continuity.summary.record import about_patient, exactly, referred
from server.continuity.summary.sections import LOINC, SECTIONS, sorted_in
from server.continuity.withheld import EXTENSION, is_withheld
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.references import split_reference
from server.interactions.links import resource_url
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.search.marks import CONFIDENTIALITY, LEVELS, labels
from server.store.port import Version

Resource = dict[str, Any]

BUNDLE: Final = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
COMPOSITION: Final = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
_DISAGREE: Final = (
    "These entries disagree: one says that there is none, another names one. "
    "Take it as real until this is settled."
)
_ABOUT: Final = "International Patient Summary, put together from the record."
_WITHHELD: Final = "Some information was withheld from who asked for it."
_NOTHING: Final = "The record holds no information; this does not mean that there is nothing."


@dataclass(slots=True)
class _Making:
    """A document while it is made; ``inside`` are the resources by ``Type/id``."""

    services: Services
    patient: str
    inside: dict[str, Resource]
    made: list[tuple[str, Resource]]  # what the document alone has, with its fullUrl
    withheld: bool = False  # and whoever asks may know it

    def url(self, reference: str) -> str:
        """Return the ``fullUrl`` of a stored resource."""
        type_, _, id_ = reference.partition("/")
        return resource_url(self.services.base_url, type_, id_)

    def add(self, resource: Resource) -> str:
        """Put something in that is made for the document; return its ``fullUrl``."""
        url = f"urn:uuid:{resource['id']}"
        self.made.append((url, resource))
        return url


async def summary(services: Services, access: AccessContext, id_: str) -> Resource:
    """Return the International Patient Summary of ``Patient/id_`` for the caller.

    Raises:
        NotFound, Gone, Forbidden: as of a read of the Patient.
        BusinessRule: the patient was merged into another one; a document that travels without what
            is written there would say that there is no information.
        TooCostly: the record is longer than what a summary is made of.
        StoreUnavailable: it could not be kept that this was shown.
    """
    itself = await looked_up(services, access, "Patient", id_)
    demand_current(itself)
    reference = f"Patient/{id_}"
    record = await about_patient(services, access, reference)
    sections = {code: exactly(record, found) for code, found in sorted_in(record.own).items()}
    patient = fhir_json.loads(itself.body or b"{}")
    shown = [one for found in sections.values() for one in found]
    beside = await referred(services, access, [patient, *shown], reference)
    versions = _versions(itself, shown, record.versions, beside)
    everything = [patient, *shown, *(resource for _, resource in beside.values())]
    inside = {f"{one['resourceType']}/{one['id']}": one for one in everything}
    await _told(services, access, reference, versions)
    withheld = await is_withheld(services, access, reference)
    return _bundle(_Making(services, reference, inside, [], withheld), sections)


def _versions(
    itself: Version,
    shown: Iterable[Resource],
    own: Mapping[str, Version],
    beside: Mapping[str, tuple[Version, Resource]],
) -> list[Version]:
    keys = dict.fromkeys(f"{one['resourceType']}/{one['id']}" for one in shown)
    return [itself, *(own[key] for key in keys), *(version for version, _ in beside.values())]


async def _told(
    services: Services, access: AccessContext, patient: str, versions: list[Version]
) -> None:
    """Tell audit, and remember who was shown what (C11), before anything is shown."""
    if services.audit is not None:
        services.audit.shown(access, "operation", versions, f"{patient}/$summary")
    sources = frozenset(f"{v.type}/{v.id}/_history/{v.number}" for v in versions)
    at, reader = services.now(), access.principal
    await remember(services, access, Cited("summary", patient, sources, at, reader, access.person))


def _bundle(making: _Making, sections: Mapping[str, list[Resource]]) -> Resource:
    services = making.services
    id_, at = services.new_id(), instant_text(services.now())
    composition = _composition(making, sections, at)
    stored = [(making.url(key), _closed(making, one)) for key, one in making.inside.items()]
    listed = [(f"urn:uuid:{composition['id']}", composition), *stored, *making.made]
    security = _labels(making.inside.values())
    composition["meta"] |= security
    return {
        "resourceType": "Bundle",
        "id": id_,
        "meta": {"profile": [BUNDLE], **security},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"},
        "type": "document",
        "timestamp": at,
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in listed],
    }


def _composition(making: _Making, sections: Mapping[str, list[Resource]], at: str) -> Resource:
    coding = {"system": LOINC, "code": "60591-5", "display": "Patient summary Document"}
    author = {
        "resourceType": "Device",
        "id": making.services.new_id(),
        "deviceName": [{"name": "Tellonce", "type": "model-name"}],
    }
    made: Resource = {
        "resourceType": "Composition",
        "id": making.services.new_id(),
        "meta": {"profile": [COMPOSITION]},
        "text": sentence(_ABOUT + (f" {_WITHHELD}" if making.withheld else "")),
        **({"extension": [EXTENSION]} if making.withheld else {}),
        "status": "final",
        "type": {"coding": [coding]},
        "subject": {"reference": making.url(making.patient)},
        "date": at,
        "author": [{"reference": making.add(author), "display": "Tellonce"}],
        "title": "International Patient Summary",
    }
    names = {key: _name(one) for key, one in making.inside.items()}
    made["section"] = [
        _section(making, section.code, section.title, sections[section.code], names)
        for section in SECTIONS
        if section.code in sections
    ]
    return made


def _section(
    making: _Making, code: str, title: str, found: list[Resource], names: Mapping[str, str]
) -> Resource:
    if found:
        found = sorted(found, key=is_none)  # the cautious first
        text = table(found, names, _DISAGREE if _disagree(found) else "")
        urls = [making.url(f"{one['resourceType']}/{one['id']}") for one in found]
    else:
        text = sentence(_NOTHING)
        patient = {"reference": making.url(making.patient)}
        urls = [making.add(no_information(code, patient, making.services.new_id()))]
    return {
        "title": title,
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "text": text,
        "entry": [{"reference": url} for url in urls],
    }


def _disagree(found: list[Resource]) -> bool:
    """Tell whether one entry says that there is none, and another names one (C4)."""
    nones = sum(is_none(one) for one in found)
    return 0 < nones < len(found)


def _name(resource: Resource) -> str:
    """Return what to call a product that another resource refers to."""
    named = [one.get("name", "") for one in resource.get("deviceName", ())]
    return words(resource.get("code")) or words(resource.get("type")) or next(iter(named), "")


def _closed(making: _Making, value: Any) -> Any:
    """Return a resource whose references all lead to what is inside of the document."""
    if isinstance(value, list):
        return [_closed(making, one) for one in value]
    if not isinstance(value, dict):
        return value
    text = value.get("reference")
    if not isinstance(text, str) or "resourceType" in value or text.startswith("#"):
        return {name: _closed(making, one) for name, one in value.items()}
    named = split_reference(text, making.services.base_url)
    rest = {name: one for name, one in value.items() if name != "reference"}
    if named.local in making.inside:
        return {"reference": making.url(str(named.local)), **rest}
    if "display" in rest or "identifier" in rest:
        return rest
    return {**rest, "display": f"{named.type or 'something'} that is not in this document"}


def _labels(resources: Iterable[Resource]) -> Resource:
    """Return the highest confidentiality and all sensitivities of what was used (C7)."""
    found = {label for one in resources for label in labels(one)}
    levels = {label for label in found if label.startswith(CONFIDENTIALITY)}
    highest = max(levels, key=_level, default=None)
    kept = sorted(found - (levels - {highest}))
    security = [dict(zip(("system", "code"), one.split("|", 1), strict=True)) for one in kept]
    return {"security": security} if security else {}


def _level(label: str) -> int:
    code = label.rpartition("|")[2]
    return LEVELS.index(code) if code in LEVELS else len(LEVELS)
