"""The texts of the story: one file a language, two registers in each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml

Register = Literal["clinician", "patient"]
FALLBACK: Final = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one register.  ``fallback``: a language that was asked for and is missing."""

    register: Register
    language: str
    texts: dict[str, Any]
    months: tuple[str, ...]
    fallback: str | None = None
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)

    def say(self, key: str, **values: object) -> str:
        """Return a text with its names filled in; values are never read as templates."""
        return str(self.texts[key]).format_map(values)

    def say_as(self, key: str, variant: str, **values: object) -> str:
        """Return the text for a variant (a status), or the one for all where it has none."""
        name = f"{key}-{variant}"
        return self.say(name if name in self.texts else key, **values)

    def counted(self, key: str, count: int, **values: object) -> str:
        """Return a text with a number: of one thing, or of several."""
        return self.say_as(key, "one" if count == 1 else "many", count=count, **values)

    def by(self, kind: str, **values: object) -> str:
        """Return a sentence with who said it."""
        return str(self.texts["by"][kind]).format_map(values)

    def title(self, key: str, **values: object) -> str:
        """Return the heading of a section."""
        return str(self.texts["titles"][key]).format_map(values)

    def status(self, code: str) -> str:
        """Return a status in the words of the register; codes read as words where none are."""
        return str(self.texts["status"].get(code, code.replace("-", " ")))

    def risk(self, criticality: str) -> str | None:
        """Return how dangerous an allergy is, ``None`` where that is not told."""
        found = self.texts["criticality"].get(criticality)
        return str(found) if found else None

    def code(self, coding: Any) -> str | None:
        """Return what the code of a Coding is called, of the few systems that are known here."""
        if not isinstance(coding, dict):
            return None
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            return None
        return self.codes.get(system, {}).get(code)

    def document(self, code: str) -> str | None:
        """Return what a kind of document is called by HL7v2's table 0270."""
        return self.documents.get(code)

    def visit(self, coding: Any) -> str | None:
        """Return what a class of visit (v3-ActCode) is called where its coding does not say."""
        if not isinstance(coding, dict) or coding.get("display"):
            return None
        found = self.texts["visits"].get(coding.get("code"))
        return str(found) if found else None

    def unit(self, *names: str | None, one: bool = False) -> str:
        """Return a unit, spelled out where the register does that; the first name that is there.

        ``one``: of exactly one of it.
        """
        known = [name for name in names if name]
        spelled = next(filter(None, (self.texts["units"].get(name) for name in known)), None)
        if spelled is None:
            return known[0] if known else ""
        several, _, single = str(spelled).partition(" | ")
        return single or several if one else several

    def several(self, type_: str, count: int = 2) -> str:
        """Return what so many resources of a type are called."""
        several, _, single = str(self.texts["types"].get(type_, type_)).partition(" | ")
        return single or several if count == 1 else several


def words(register: Register, language: str | None = None) -> Words:
    """Return the texts in a language, or in English where there are none in it.

    >>> words("patient", "tlh").fallback
    'tlh'
    """
    short = (language or FALLBACK).partition("-")[0].lower()
    there = _read(short) if short.isalpha() else None
    read = there or _read(FALLBACK)
    assert read is not None
    months = tuple(read["months"])
    spoken = FALLBACK if there is None else short
    missing = None if there else language
    return Words(register, spoken, read[register], months, missing, read["codes"],
                 read["documents"])  # fmt: skip


@cache
def _read(language: str) -> dict[str, Any] | None:
    file = files("server.continuity.story") / "words" / f"{language}.yaml"
    if not file.is_file():
        return None
    # Every scalar a text: "no" is a word here, and not false.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # ten times as fast, where it is built
    read: dict[str, Any] = yaml.load(file.read_text("utf-8"), Loader=loader)  # noqa: S506
    return read
