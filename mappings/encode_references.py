"""Reference -> person, organization, place or number in a field; the other way of ``makes``.

What was gathered is written with its identifier and name; what was not, with what the reference
itself says: its identifier, its display.
"""

from collections.abc import Callable
from typing import Any

from mappings.emit_run import Run
from mappings.encode import Repetition
from mappings.encode_types import CX, EI, XPN, authority, identifier_type

_LEVELS = {"bd": 3, "ro": 2, "wa": 1, "wi": 1, "bu": 7, "lvl": 8, "si": 4}  # PL components
_MOST_PARENTS = 5


def XCN(run: Run, reference: Any) -> Repetition | None:  # noqa: N802
    """Reference to a person -> extended composite id and name."""
    person = _target(run, reference)
    if person.get("resourceType") == "PractitionerRole":
        person = _target(run, person.get("practitioner", {}))
    identifier = _identifier(reference, person)
    names = person.get("name") or ()
    name = XPN(run, names[0]) if isinstance(names, list) and names else None
    if name is None and reference.get("display"):
        name = [str(reference["display"])]
    if not identifier.get("value") and name is None:
        return None
    name = [*(name or []), *[""] * 7][:7]
    made: Repetition = [identifier.get("value", ""), name[0], name[1], name[2], name[3], name[4]]
    made += [name[5], "", authority(run, identifier) if identifier.get("value") else "", name[6]]
    if kind := identifier_type(run, identifier):
        made += ["", "", kind]
    return made


def XON(run: Run, reference: Any) -> Repetition | None:  # noqa: N802
    """Reference to an organization -> extended composite name and id."""
    organization = _target(run, reference)
    identifier = _identifier(reference, organization)
    name = organization.get("name") or reference.get("display", "")
    value = identifier.get("value", "")
    if not value:
        return [name] if name else None
    made: Repetition = [name, "", "", "", "", authority(run, identifier)]
    made += [identifier_type(run, identifier), "", ""]
    if run.version < (2, 5):
        made[2] = value  # XON.10 is of v2.5; a number alone fits XON.3
        return made
    return [*made, value]


def PL(run: Run, reference: Any) -> Repetition | None:  # noqa: N802
    """Reference to a place -> person location: ward, room, bed and what is above them.

    A place that came by HL7v2 has all of it in its identifier (``HOSPITAL:WARD/ROOM/BED``); of any
    other the names of the places that it is part of are taken, by their physical type.
    """
    place = _target(run, reference)
    if not place:
        shown = reference.get("display", "")
        return [*[""] * 8, shown] if shown else None
    identifier = _identifier(reference, place)
    value = identifier.get("value", "")
    if value and _kind(place) in ("bd", "ro", "wa") and _named_by(place, value):
        made = _whole(value)
    else:
        made = _levels(run, place, value)
    if description := place.get("description"):
        made[8] = str(description)
    system = authority(run, identifier) if value else ""
    if system and run.version >= (2, 5):
        made += ["", system]
    return made if any(made) else None


def _whole(value: str) -> Repetition:
    above, _, place = value.rpartition(":")
    parts = [*place.split("/"), "", ""][:3]
    upper = [*above.split(":"), "", ""][:3] if above else ["", "", ""]
    return [*parts, upper[0], "", "", upper[1], upper[2], ""]


def _named_by(place: Any, value: str) -> bool:
    """Tell whether the identifier is the whole place: then its parts make the name."""
    parts = value.rpartition(":")[2].split("/")
    return bool(place.get("name") == " ".join(filter(None, parts)))


def _levels(run: Run, place: Any, value: str) -> Repetition:
    made: Repetition = [""] * 9
    here, own = place, value
    for _ in range(_MOST_PARENTS):
        level = _LEVELS.get(_kind(here), 0)
        name = own or str(here.get("name", ""))
        if level and not made[level - 1]:
            made[level - 1] = name
        elif here is place:
            made[0], made[8] = name, str(here.get("name", ""))
        here = _target(run, here.get("partOf", {}))
        if not here:
            break
        own = _identifier({}, here).get("value", "")
    return made


def _kind(place: Any) -> str:
    codings = place.get("physicalType", {}).get("coding") or [{}]
    return str(codings[0].get("code", ""))


def number(encode: Callable[[Run, Any], Repetition | None]) -> Callable[..., Repetition | None]:
    """Return how a reference becomes a number: an identifier of what it points to."""

    def made(run: Run, reference: Any) -> Repetition | None:
        identifier = _identifier(reference, _target(run, reference))
        return encode(run, identifier) if identifier.get("value") else None

    return made


def shown(run: Run, reference: Any) -> Repetition | None:
    """Reference -> its display, else the name of what it points to."""
    target = _target(run, reference)
    name = target.get("name")
    words = reference.get("display") or (name if isinstance(name, str) else "")
    return [str(words)] if words else None


def organization_code(run: Run, reference: Any) -> Repetition | None:
    """Reference to an organization -> CWE: its number and its name."""
    organization = _target(run, reference)
    identifier = _identifier(reference, organization)
    name = organization.get("name") or reference.get("display", "")
    value = identifier.get("value", "")
    return [value, name if name != value else ""] if value or name else None


def _target(run: Run, reference: Any) -> Any:
    return run.resolve(reference) or {}


def _identifier(reference: Any, target: Any) -> Any:
    """Return the identifier to name somebody by: the first that has a value."""
    found = target.get("identifier") or ()
    if isinstance(found, dict):
        found = [found]
    for one in found:
        if one.get("value"):
            return one
    return reference.get("identifier") or {}


def NDL(run: Run, reference: Any) -> Repetition | None:  # noqa: N802
    """Reference to a person -> name with date and location: the person alone, as CNN."""
    made = XCN(run, reference)
    if made is None:
        return None
    parts = [one if isinstance(one, str) else one[0] for one in made[:8]]
    return [[*parts, *run.reverse.authority(_system_of(run, reference))]]


def _system_of(run: Run, reference: Any) -> str:
    return str(_identifier(reference, _target(run, reference)).get("system", ""))


REFERENCES: dict[str, Callable[[Run, Any], Repetition | None]] = {
    "XCN": XCN,
    "XON": XON,
    "PL": PL,
    "NDL": NDL,
    "CX": number(CX),
    "EI": number(EI),
    "CWE": organization_code,
    "ST": shown,
    "TX": shown,
}
