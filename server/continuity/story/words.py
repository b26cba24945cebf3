"""The texts of the story: one file a language, two registers in each."""

from dataclasses import dataclass
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

    def say(self, key: str, **values: object) -> str:
        """Return a text with its names filled in; values are never read as templates."""
        return str(self.texts[key]).format_map(values)

    def by(self, kind: str, **values: object) -> str:
        """Return a sentence with who said it."""
        return str(self.texts["by"][kind]).format_map(values)

    def title(self, key: str, **values: object) -> str:
        """Return the heading of a section."""
        return str(self.texts["titles"][key]).format_map(values)

    def status(self, code: str) -> str:
        """Return a status in the words of the register; codes read as words where none are."""
        return str(self.texts["status"].get(code, code.replace("-", " ")))

    def visit(self, coding: Any) -> str | None:
        """Return what a class of visit (v3-ActCode) is called where its coding does not say."""
        if not isinstance(coding, dict) or coding.get("display"):
            return None
        found = self.texts["visits"].get(coding.get("code"))
        return str(found) if found else None

    def unit(self, *names: str | None) -> str:
        """Return a unit, spelled out where the register does that; the first name that is there."""
        known = [name for name in names if name]
        spelled = (self.texts["units"].get(name) for name in known)
        return str(next(filter(None, spelled), known[0] if known else ""))

    def several(self, type_: str) -> str:
        """Return what several resources of a type are called."""
        return str(self.texts["types"].get(type_, type_))


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
    return Words(register, spoken, read[register], months, None if there else language)


@cache
def _read(language: str) -> dict[str, Any] | None:
    file = files("server.continuity.story") / "words" / f"{language}.yaml"
    if not file.is_file():
        return None
    # Every scalar a text: "no" is a word here, and not false.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # ten times as fast, where it is built
    read: dict[str, Any] = yaml.load(file.read_text("utf-8"), Loader=loader)  # noqa: S506
    return read
