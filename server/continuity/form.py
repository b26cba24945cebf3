"""A Questionnaire as the rules see it.  R4 questionnaire.html, SDC 4.0."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.continuity.statement import Code


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    ``raw`` is its JSON with every extension, ``path`` where it stands
    (``Questionnaire.item[0].item[2]``), ``codes`` its ``code``, ``definition`` the element that it
    means (``http://hl7.org/fhir/StructureDefinition/Patient#Patient.birthDate``).
    """

    link_id: str
    type: str
    text: str
    path: str
    raw: dict[str, Any]
    codes: frozenset[Code] = frozenset()
    definition: str | None = None
    repeats: bool = False
    required: bool = False
    items: tuple["Item", ...] = ()

    def walk(self) -> Iterator["Item"]:
        """Yield this item and all below it, in the order of the form."""
        yield self
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True, slots=True)
class Form:
    """A Questionnaire; ``raw`` is its JSON, ``canonical`` is ``url|version`` or a reference."""

    canonical: str
    raw: dict[str, Any]
    items: tuple[Item, ...] = ()

    def walk(self) -> Iterator[Item]:
        """Yield every item, in the order of the form."""
        for item in self.items:
            yield from item.walk()
