"""Observation-based extraction.  SDC 4.0 extraction.html#observation-based-extraction.

An item with a code becomes an Observation, one for each answer; ``member`` and ``component`` items
belong to the Observation of the group above them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.extract.expressions import Asking
from server.continuity.extract.facts import Fact, Said
from server.continuity.extract.items import Answer, Given, extensions, value_of
from server.continuity.form import Form
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import Issue

UNIT: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
_PERFORMERS: Final = (
    "Practitioner/",
    "PractitionerRole/",
    "Organization/",
    "CareTeam/",
    "Patient/",
    "RelatedPerson/",
)

Kept = Callable[[Given, Answer], str | None]
"""Tells which Observation already says an answer, so that none is made; ``None``: none does."""


@dataclass(frozen=True, slots=True)
class _Within:
    """What an item has from those above it: whether it is extracted, and its categories."""

    flag: Any = None
    categories: tuple[Any, ...] = ()


@dataclass(slots=True)
class Observations:
    """Makes the Observations of one response."""

    form: Form
    said: Said
    asking: Asking
    kept: Kept

    def of(self, items: tuple[Given, ...]) -> list[Fact]:
        """Return the Observations of the items and of all below them."""
        within = _inherited(_Within(), self.form.raw)
        return [fact for item in items for fact in self._item(item, within)]

    def _item(self, item: Given, above: _Within) -> list[Fact]:
        within = _inherited(above, item.item.raw)
        if within.flag is False:
            return []
        coding = _codes(item, within.flag)
        if not coding:
            return self._below(item, within)
        if item.item.type == "group":
            return self._panel(item, coding, within)
        made = [
            fact
            for answer in item.answers
            if self.kept(item, answer) is None
            and (fact := self._observation(item, answer, coding, within)) is not None
        ]
        return [*made, *self._below(item, within)]

    def _below(self, item: Given, within: _Within) -> list[Fact]:
        return [fact for one in item.items for fact in self._item(one, within)]

    def _panel(self, item: Given, coding: list[Any], within: _Within) -> list[Fact]:
        """Return the Observation of a group with its members or components behind it."""
        members: list[Fact] = []
        components: list[dict[str, Any]] = []
        links: list[str] = []
        there: list[str] = []
        for one in item.items:
            if _inherited(within, one.item.raw).flag == "component":
                made = self._components(one, within)
                components += made
                links += [one.item.link_id] * bool(made)
                continue
            members += self._item(one, within)
            kept = (self.kept(one, answer) for answer in one.answers)
            there += [reference for reference in kept if reference]  # "": it has none
        if not components and not members:
            return []
        resource = self._resource(item, coding, within)
        if components:
            resource["component"] = components
        named = [{"reference": one} for one in (*there, *(fact.full_url for fact in members))]
        if named:
            resource["hasMember"] = named
        return [self._fact(item, item.key, resource, tuple(links)), *members]

    def _components(self, item: Given, within: _Within) -> list[dict[str, Any]]:
        coding = _codes(item, "component")
        found = []
        for answer in item.answers:
            value = self._value(item, answer)
            if value is not None and coding:
                found.append({"code": _concept(item, coding), **value})
        return found

    def _observation(
        self, item: Given, answer: Answer, coding: list[Any], within: _Within
    ) -> Fact | None:
        value = self._value(item, answer)
        if value is None:
            return None
        resource = {**self._resource(item, coding, within), **value}
        return self._fact(item, answer.key, resource, (item.item.link_id,))

    def _fact(
        self, item: Given, key: str, resource: dict[str, Any], links: tuple[str, ...]
    ) -> Fact:
        full_url = self.asking.allocated(key, "observation")
        return Fact(f"{key}~observation", resource, full_url, item.item.path, links)

    def _resource(self, item: Given, coding: list[Any], within: _Within) -> dict[str, Any]:
        said = self.said
        made: dict[str, Any] = {"resourceType": "Observation"}
        if said.based_on:
            made["basedOn"] = list(said.based_on)
        if said.part_of:
            made["partOf"] = list(said.part_of)
        made["status"] = "final"
        if within.categories:
            made["category"] = list(within.categories)
        made["code"] = _concept(item, coding)
        if said.subject is not None:
            made["subject"] = said.subject
        if said.encounter is not None:
            made["encounter"] = said.encounter
        if said.at is not None:
            made["effectiveDateTime"] = said.at
            if "T" in said.at:
                made["issued"] = said.at
        who = str((said.who or {}).get("reference", ""))
        if who.startswith(_PERFORMERS):
            made["performer"] = [said.who]
        elif who.startswith("Device/"):
            made["device"] = said.who
        return made

    def _value(self, item: Given, answer: Answer) -> dict[str, Any] | None:
        """Return ``value[x]`` of an answer, ``None`` with an issue when an Observation has none."""
        found = next(((k, v) for k, v in answer.raw.items() if k.startswith("value")), None)
        if found is None:
            return None
        name, value = found
        unit = next((u["valueCoding"] for u in _units(item) if "valueCoding" in u), None)
        match name:
            case "valueInteger" | "valueDecimal" if unit is not None or name == "valueDecimal":
                return {"valueQuantity": {"value": value, **_unit(unit)}}
            case "valueQuantity" if unit is not None and not value.keys() & {"code", "unit"}:
                return {"valueQuantity": {**value, **_unit(unit)}}
            case "valueCoding":
                return {"valueCodeableConcept": {"coding": [_named(item, value)]}}
            case "valueDate" | "valueDateTime":
                return {"valueDateTime": value} if _is_date(value) else None
            case "valueUri":
                return {"valueString": value}
            case "valueBoolean" | "valueInteger" | "valueQuantity" | "valueString" | "valueTime":
                return {name: value}
        told = f"an Observation cannot have a {name.removeprefix('value')}; nothing is made of it"
        self.asking.issues.append(Issue("warning", "not-supported", told, (answer.path,)))
        return None


def _inherited(above: _Within, element: dict[str, Any]) -> _Within:
    flags = [value_of(one) for one in extensions(element, "observationExtract")]
    categories = [value_of(one) for one in extensions(element, "observation-extract-category")]
    flag = flags[0] if flags else above.flag
    if above.flag is False:  # what is below an item that is left out is left out, too
        flag = False
    elif not flags and above.flag in ("member", "component"):
        flag = True
    return _Within(flag, tuple(categories) or above.categories)


def _codes(item: Given, flag: Any) -> list[Any]:
    """Return the codes that go into the Observation: those that are marked, else all."""
    listed = [one for one in item.item.raw.get("code") or () if isinstance(one, dict)]
    marked = [
        one
        for one in listed
        if any(value_of(x) is not False for x in extensions(one, "observationExtract"))
    ]
    if not marked and (flag is None or flag is False):
        return []
    return [{k: v for k, v in one.items() if k != "extension"} for one in marked or listed]


def _concept(item: Given, coding: list[Any]) -> dict[str, Any]:
    """Return what was asked as a concept: where no code has a name, with the words of the item."""
    asked = item.item.text
    if not asked or any(one.get("display") for one in coding):
        return {"coding": coding}
    return {"coding": coding, "text": asked}


def _named(item: Given, value: Any) -> Any:
    """Return what was chosen, with the name that the form shows for it."""
    if not isinstance(value, dict) or value.get("display"):
        return value
    for option in item.item.raw.get("answerOption") or ():
        one = option.get("valueCoding") or {}
        same = (one.get("system"), one.get("code")) == (value.get("system"), value.get("code"))
        if same and one.get("display"):
            return {**value, "display": one["display"]}
    return value


def _units(item: Given) -> list[dict[str, Any]]:
    return [one for one in item.item.raw.get("extension") or () if one.get("url") == UNIT]


def _unit(coding: dict[str, Any] | None) -> dict[str, Any]:
    if coding is None:
        return {}
    made = {"unit": coding.get("display", coding.get("code"))}
    return {**made, **{k: coding[k] for k in ("system", "code") if k in coding}}


def _is_date(text: Any) -> bool:
    try:
        interval(str(text))
    except InvalidDate:
        return False
    return True
