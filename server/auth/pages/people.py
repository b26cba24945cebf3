"""People and visits of the record in words that tell one from another."""

from dataclasses import dataclass
from typing import Any

_MONTHS = "January February March April May June July August September October November December"
_NAMES_FIRST = ("official", "usual", "", "temp", "nickname", "anonymous", "maiden", "old")


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as a list shows it.  ``born`` and ``number`` tell two of one name apart."""

    id: str
    name: str
    born: str
    gender: str
    number: str

    @property
    def facts(self) -> str:
        """Return what stands beside the name."""
        return ", ".join(
            filter(None, (self.born and f"born {self.born}", self.gender, self.number))
        )


@dataclass(frozen=True, slots=True)
class Visited:
    """An Encounter as a list shows it."""

    id: str
    what: str
    when: str


def person(resource: dict[str, Any]) -> Person:
    """Return a Patient in words.

    >>> person({"id": "a", "name": [{"given": ["Ana", "B."], "family": "Roe"}],
    ...         "birthDate": "1980-02-01", "identifier": [{"value": "77"}]}).facts
    'born 1 February 1980, number 77'
    """
    return Person(
        id=str(resource.get("id", "")),
        name=name_of(resource.get("name") or []) or "Name not recorded",
        born=date_words(str(resource.get("birthDate", ""))),
        gender=str(resource.get("gender", "")),
        number=_number(resource.get("identifier") or []),
    )


def name_of(names: list[dict[str, Any]]) -> str:
    """Return the name to call a person by: official before usual, an old one last.

    >>> name_of([{"use": "old", "text": "Ana Doe"}, {"given": ["Ana"], "family": "Roe"}])
    'Ana Roe'
    """
    ranked = sorted(names, key=lambda one: _rank(str(one.get("use", ""))))
    for one in ranked:
        parts = [*one.get("given", []), one.get("family")]
        text = one.get("text") or " ".join(str(part) for part in parts if part)
        if text:
            return str(text)
    return ""


def visited(resource: dict[str, Any]) -> Visited:
    """Return an Encounter in words.

    >>> visited({"id": "e", "class": {"code": "AMB"}, "status": "finished",
    ...          "period": {"start": "2026-01-02T08:00:00Z"}})
    Visited(id='e', what='Outpatient visit', when='2 January 2026')
    """
    kind = resource.get("class") or {}
    plain = _CLASSES.get(str(kind.get("code", "")), str(kind.get("display", "")) or "Visit")
    types = [_text(one) for one in resource.get("type") or []]
    where = str((resource.get("serviceProvider") or {}).get("display", ""))
    period = resource.get("period") or {}
    start, end = (date_words(str(period.get(name, ""))[:10]) for name in ("start", "end"))
    when = f"{start} to {end}" if start and end and start != end else start or end
    if resource.get("status") in ("in-progress", "arrived", "triaged", "onleave"):
        when = f"{when}, now" if when else "now"
    what = ", ".join(filter(None, (plain, *types[:1], where)))
    return Visited(str(resource.get("id", "")), what, when or "date not recorded")


def date_words(text: str) -> str:
    """Return a FHIR date as people write it; empty for what is none.

    >>> date_words("1980-02-01"), date_words("1980-02"), date_words("1980"), date_words("x")
    ('1 February 1980', 'February 1980', '1980', '')
    """
    year, *rest = text.split("-")
    if not all(part.isascii() and part.isdigit() for part in (year, *rest)):
        return ""
    month = f"{_MONTHS.split()[(int(rest[0]) - 1) % 12]} " if rest else ""
    day = f"{int(rest[1])} " if len(rest) > 1 else ""
    return f"{day}{month}{year}"


def _rank(use: str) -> int:
    return _NAMES_FIRST.index(use) if use in _NAMES_FIRST else len(_NAMES_FIRST)


def _number(identifiers: list[dict[str, Any]]) -> str:
    """Return the identifier that a person knows: the medical record number, else the first."""
    valued = [one for one in identifiers if one.get("value")]
    records = [one for one in valued if "MR" in _codes(one.get("type") or {})]
    for one in (*records, *valued):
        return f"number {one['value']}"
    return ""


def _codes(concept: dict[str, Any]) -> list[str]:
    return [str(coding.get("code", "")) for coding in concept.get("coding") or []]


def _text(concept: dict[str, Any]) -> str:
    shown = [str(one.get("display", "")) for one in concept.get("coding") or []]
    return str(concept.get("text") or next(filter(None, shown), ""))


# http://terminology.hl7.org/CodeSystem/v3-ActCode, class of an encounter
_CLASSES = {
    "AMB": "Outpatient visit",
    "EMER": "Emergency visit",
    "FLD": "Visit in the field",
    "HH": "Home visit",
    "IMP": "Hospital stay",
    "ACUTE": "Hospital stay",
    "NONAC": "Hospital stay",
    "OBSENC": "Observation stay",
    "PRENC": "Pre-admission",
    "SS": "Day surgery",
    "VR": "Video or telephone visit",
}
