"""A person, place or organization named inside a field -> a resource of its own.

Identity is the identifier: without one there is only a name, and a name is no identity, so the
reference shows the name and points nowhere.
Source: HL7 v2-to-FHIR guide 1.0.0, data type maps XCN, XON, PL, NDL.
"""

from collections.abc import Callable
from typing import Any

from mappings.repetition import Repetition

Made = dict[str, Any]
_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
_PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def practitioner(v: Repetition) -> Made | None:
    """XCN, NDL.1 (CNN) -> reference to a Practitioner, or only its display."""
    texts = v.texts
    _, value, family, given, middle, suffix, prefix, *_ = texts
    shown = " ".join(filter(None, (prefix, given, middle, family, suffix)))
    if not value:
        return _display(v, shown)
    name = _person(texts)
    identifier: Made = {"system": v.authority(9, "practitioner"), "value": value}
    if kind := texts[13]:
        identifier = {"type": _type(v, kind), **identifier}
    values: Made = {"identifier": [identifier]}
    if name:
        values["name"] = [name]
    return _reference(v, "Practitioner", values, shown)


def organization(v: Repetition) -> Made | None:
    """XON -> reference to an Organization, or only its display."""
    texts = v.texts
    name = texts[1]
    value = texts[10] or texts[3]
    if not value:
        return _display(v, name)
    identifier: Made = {"system": v.authority(6, "organization"), "value": value}
    if kind := texts[7]:
        identifier = {"type": _type(v, kind), **identifier}
    return _named_organization(v, identifier, name)


def organization_by_code(v: Repetition) -> Made | None:
    """CWE, HD, CX -> reference to an Organization known by a code of the sender."""
    _, value, name, *_ = v.texts
    if not value:
        return _display(v, name)
    system = v.run.authority("", "", "", "organization")
    return _named_organization(v, {"system": system, "value": value}, name or value)


def organization_by_identifier(v: Repetition) -> Made | None:
    """CX -> reference to an Organization with that identifier."""
    value = v.text(1)
    if not value:
        return None
    system = v.authority(4, "organization")
    return _named_organization(v, {"system": system, "value": value}, "")


def location(v: Repetition) -> Made | None:
    """PL -> reference to the bed, room or ward, the ward being ``partOf`` its parent.

    The identifier is the whole place, ``HOSPITAL:WARD/ROOM/BED``: bed 1 is in many rooms.
    """
    (ward, room, bed), above, place = _whole(v)
    words = v.texts[9]
    if not place:
        return _display(v, words or above.replace(":", " "))
    system = v.authority(11, "location")
    values = _place(f"{above}:{place}" if above else place, system, v, ward, room, bed)
    if ward and (room or bed):
        parent = _place(f"{above}:{ward}" if above else ward, system, v, ward, "", "")
        values["partOf"] = _reference(v, "Location", parent, "")
    if words:
        values["description"] = words
    return _reference(v, "Location", values, "")


def _whole(v: Repetition) -> tuple[tuple[str, str, str], str, str]:
    """Return ward, room and bed; what is above them; and the three as one text."""
    texts = v.texts
    parts = texts[1], texts[2], texts[3]
    above = ":".join(filter(None, (texts[4], texts[7], texts[8])))
    return parts, above, "/".join(parts).rstrip("/")


def administered_at(v: Repetition) -> Made | None:
    """LA2 (to v2.5) -> reference to the bed, room or ward; a facility alone is only shown."""
    if not (v.text(1) or v.text(2) or v.text(3)):
        return _display(v, v.text(4) or v.text(4, 2))
    return location(Repetition(v.run, v.separator.join(v.parts[:4]), v.path, v.separator))


def place_identifier(v: Repetition, to: str) -> Made | None:
    """PL -> Identifier: that of the place, the same by which visits refer to it."""
    _, above, place = _whole(v)
    if not place:
        return None
    system = v.authority(11, "location")
    value = f"{above}:{place}" if above else place
    v.run.row(f"{to}.value", v.path, "PL", value)
    return {"system": system, "value": value}


def device(v: Repetition) -> Made | None:
    """EI, CWE -> the device, only shown: a number of the sender's inventory is no identity."""
    return _display(v, v.text(2) or v.text(1))


def shown(v: Repetition) -> Made | None:
    """XPN, ST -> somebody of whom only the name is known."""
    parts = (5, 2, 3, 1, 4) if len(v.parts) > 1 else (1,)
    return _display(v, " ".join(filter(None, map(v.text, parts))))


def location_by_code(v: Repetition) -> Made | None:
    """DLD.1, CWE -> a place known by a code of the sender; only shown, it is somebody else's."""
    return _display(v, v.text(2) or v.text(1))


def _place(value: str, system: str, v: Repetition, ward: str, room: str, bed: str) -> Made:
    kind = "bd" if bed else "ro" if room else "wa"
    values: Made = {
        "identifier": [{"system": system, "value": value}],
        "name": " ".join(filter(None, (ward, room, bed))),
        "mode": "instance",
        "physicalType": {"coding": [{"system": _PHYSICAL, "code": kind}]},
    }
    v.run.note(("Location.identifier[0].value", v.path, "PL", value))
    return values


def _person(texts: list[str]) -> Made | None:
    made: Made = {}
    if family := texts[2]:
        made["family"] = family
    if given := list(filter(None, texts[3:5])):
        made["given"] = given
    if prefix := texts[6]:
        made["prefix"] = [prefix]
    if suffix := list(filter(None, (texts[5], texts[7], texts[21]))):
        made["suffix"] = suffix
    return made or None


def _type(v: Repetition, kind: str) -> Made:
    found = v.run.lookup("IdentifierType", kind)
    if found is None:
        v.run.no_row("IdentifierType", kind, "Identifier.type", v.path)
        return {"text": kind}
    return {"coding": [{"system": found.system, "code": found.code}]}


def _named_organization(v: Repetition, identifier: Made, name: str) -> Made:
    values: Made = {"identifier": [identifier]}
    if name:
        values["name"] = name
    return _reference(v, "Organization", values, name)


def _reference(v: Repetition, type_: str, values: Made, shown: str) -> Made:
    """Return the reference, with the name beside it: a reader sees who without another read."""
    made: Made = dict(v.run.make(type_, values, v.path))
    if shown:
        made["display"] = shown
    return made


def _display(v: Repetition, shown: str) -> Made | None:
    if not shown:
        return None
    v.run.row("Reference.display", v.path, "no identifier: shown only", shown)
    return {"display": shown}


Make = Callable[[Repetition], Made | None]

# (type of the field, resource) -> how; NDL holds its person in the first component.
MAKES: dict[tuple[str, str], Make] = {
    ("XCN", "Practitioner"): practitioner,
    ("NDL", "Practitioner"): lambda v: practitioner(v.component(1)),
    ("XON", "Organization"): organization,
    ("CWE", "Organization"): organization_by_code,
    ("HD", "Organization"): organization_by_code,
    ("CX", "Organization"): organization_by_identifier,
    ("PL", "Location"): location,
    ("DLD", "Location"): lambda v: location_by_code(v.component(1)),
    ("CWE", "Location"): location_by_code,
    ("XON", "Location"): location_by_code,
    ("LA2", "Location"): administered_at,
    ("LA1", "Location"): administered_at,
    ("EI", "Device"): device,
    ("CWE", "Device"): device,
    ("XPN", "Practitioner"): shown,
    ("ST", "Practitioner"): shown,
    ("CWE", "Practitioner"): location_by_code,
}
