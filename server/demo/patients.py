"""The patients of the demo, read from ``patients.yaml``: people who do not exist."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

SHOWN = 1  # the patient whose day crosses most departments


@dataclass(frozen=True, slots=True)
class Relative:
    """NK1: name, HL7 table 0063 relationship, telephone."""

    family: str
    given: str
    relationship: str
    telephone: str


@dataclass(frozen=True, slots=True)
class Allergy:
    """AL1: table 0127 type, code, text, coding system, table 0128 severity, reactions."""

    type: str
    code: str
    text: str
    system: str
    severity: str
    reactions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One patient.  ``also`` is a second name, as ``family^given``; texts are "" when unknown."""

    number: int
    family: str
    given: str
    also: str
    title: str
    birth: str
    sex: str
    language: str
    marital: str
    insurer: str
    street: str
    city: str
    postcode: str
    email: str
    relatives: tuple[Relative, ...] = ()
    allergies: tuple[Allergy, ...] = ()

    @property
    def mrn(self) -> str:
        """The medical record number, ``W100001`` for number 1."""
        return f"W{100000 + self.number}"

    @property
    def insurance_number(self) -> str:
        """An invented social insurance number: four digits, then day, month and year of birth."""
        return f"{4000 + self.number * 37} {self.birth[6:8]}{self.birth[4:6]}{self.birth[2:4]}"

    @property
    def telephone(self) -> str:
        """A number of a prefix that nobody has."""
        return f"+43 5555 77{self.number:03d}"


@cache
def patients() -> dict[int, Person]:
    """Return the patients by number, in order.

    >>> patients()[SHOWN].mrn, patients()[SHOWN].family
    ('W100001', 'Brandão-Keller')
    """
    text = (files("server.demo") / "patients.yaml").read_text("utf-8")
    # every scalar a string: 0012 and NO are texts here
    content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes strings, never objects
    known = {name: _allergy(row) for name, row in content["allergies"].items()}
    people = (_person(row, known) for row in content["patients"])
    return {person.number: person for person in people}


def _allergy(row: dict[str, Any]) -> Allergy:
    return Allergy(**{**row, "reactions": tuple(row["reactions"])})


def _person(row: dict[str, Any], known: dict[str, Allergy]) -> Person:
    return Person(
        number=int(row["number"]),
        **row["name"],
        **row["who"],
        **row["home"],
        relatives=tuple(Relative(*relative) for relative in row.get("relatives", ())),
        allergies=tuple(known[name] for name in row.get("allergies", ())),
    )
