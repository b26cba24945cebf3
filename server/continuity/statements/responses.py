"""QuestionnaireResponse -> statements: each answer.  R4 questionnaireresponse.html.

An answer that was filled in by a machine and left as it was (``information-origin`` ``auto``) is a
copy and no statement: nobody said it again, and it must not outlive what it was copied from.
Where somebody confirmed it, it is their word (docs/extract.md).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.form import Form, Item
from server.continuity.statement import About, Code, Says, Standing, Statement
from server.continuity.statements.conditions import Conditions, changed_at
from server.continuity.statements.read import (
    NO,
    Reading,
    Resource,
    codes,
    is_unknown,
    moment,
    source,
)
from server.continuity.validity import UNLISTED, Topic, Validity

ORIGIN: Final = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
KNOWN: Final = "https://tellonce.org/fhir/StructureDefinition/known"
LINK: Final = "urn:tellonce:link-id "
"""Beginning of the system of codes that are a ``linkId``; the form's address follows."""

_SAID: Final = frozenset(("completed", "amended"))
MAX_DEPTH: Final = 32
WORDS: Final = "It was said in words only, and may say that there is none."


CHANGED: Final = "The form was changed since this was answered."
DOUBT: Final = "It cannot be told whether the form asked this after its other answers."
SCALE: Final = "The number was given in another form, which may count otherwise."


def link(form: str, link_id: str) -> frozenset[Code]:
    """Return the code that stands for a question of a form; none of a form without a name."""
    url = form.partition("|")[0]
    return frozenset(((f"{LINK}{url}", link_id),)) if url else frozenset()


def about_others(form: Form | None, policy: Validity) -> dict[str, Topic]:
    """Return the topic of each item below a group about somebody else, the family say (C5)."""
    found: dict[str, Topic] = {}
    for group in form.walk() if form is not None else ():
        topic = policy.of_codes(group.codes)
        if group.items and topic is not None and topic.about != "patient":
            found |= {item.link_id: topic for item in group.walk() if item is not group}
    return found


@dataclass(frozen=True, slots=True)
class _Meant:
    """What an item means: codes, element, topic, its words, and the unit of its numbers."""

    codes: frozenset[Code]
    element: str
    topic: Topic
    text: str = ""
    unit: str = ""


class Meanings:
    """What the items of an answered form mean, by ``linkId``; of one that is not there, nothing.

    A ``linkId`` means the same in the form that is asked now only when that is the same form, or
    when the item has the same text, type and codes in both versions.
    """

    def __init__(self, policy: Validity, canonical: str, form: Form | None, now: Form) -> None:
        self._policy, self._canonical = policy, canonical
        self._items = _items(form)
        self._same = canonical == now.canonical
        known = canonical.partition("|")[0] == now.canonical.partition("|")[0]
        self._now = _items(now) if known else {}
        self._others = about_others(form, policy)
        self._known: dict[str, _Meant] = {}
        self.changed_at = changed_at(form)  # in microseconds

    def of(self, link_id: str) -> _Meant:
        """Return what an item means."""
        if link_id not in self._known:
            self._known[link_id] = self._meant(link_id, self._items.get(link_id))
        return self._known[link_id]

    def _meant(self, link_id: str, item: Item | None) -> _Meant:
        shared = self._same or _alike(item, self._now.get(link_id))
        place = link(self._canonical, link_id) if shared else frozenset()
        if item is None:
            return _Meant(place, "", UNLISTED)
        element = item.definition.partition("#")[2] if item.definition else ""
        topic = self._policy.of_codes(item.codes) or self._policy.of_element(element) or UNLISTED
        units = item.units
        unit = str(units[0].get("code", "")) if len(units) == 1 else ""
        topic = self._others.get(link_id, topic)
        return _Meant(item.codes | place, element, topic, item.text, unit)


@dataclass(frozen=True, slots=True)
class Answered:
    """A form that was answered: what its items mean, and which of them it asked."""

    meanings: Meanings
    conditions: Conditions


def _items(form: Form | None) -> dict[str, Item]:
    return {item.link_id: item for item in form.walk()} if form is not None else {}


def _alike(one: Item | None, other: Item | None) -> bool:
    if one is None or other is None:
        return False
    return (one.text, one.type, one.codes) == (other.text, other.type, other.codes)


def statements(
    resource: Resource, version: int, reading: Reading, forms: Mapping[str, Answered]
) -> Iterator[Statement]:
    """Yield each answer that was asked for; ``forms`` by the canonical that names them."""
    form = forms[str(resource.get("questionnaire", ""))]
    asked, conditions = form.meanings, form.conditions.of(resource)
    said_at, until = moment(resource.get("authored"))
    standing: Standing = "current" if resource.get("status") in _SAID else "withdrawn"
    who = reading.author(resource.get("source"), resource.get("author"))
    about: About = reading.about(resource.get("subject"))
    for item, answer, path in _answers(resource, "QuestionnaireResponse", MAX_DEPTH):
        if _is_in(path, conditions.not_asked):
            continue
        value = {k: v for k, v in answer.items() if k.startswith("value")}
        meant = asked.of(item.get("linkId", ""))
        topic = meant.topic
        note = WORDS if topic.many and "valueString" in value else ""
        if asked.changed_at is not None and (said_at is None or said_at < asked.changed_at):
            if item.get("text", meant.text) != meant.text:
                continue  # it was another question
            note = note or ("" if "text" in item else CHANGED)
        if not meant.unit and not any(system.startswith(LINK) for system, _ in meant.codes):
            note = note or (SCALE if value.keys() & _NUMBERS else "")
        if _is_in(path, conditions.doubt):
            note = note or DOUBT
        yield Statement(
            topic=topic.name,
            codes=meant.codes,
            value=value,
            says=_says(value, topic.none | topic.partly),
            said_at=said_at,
            author=who,
            source=source(resource, version, path),
            encounter=reading.local(resource.get("encounter")),
            element=meant.element,
            about=_about(about, topic.about),
            standing=standing,
            said_until=until,
            note=note,
            unit=meant.unit,
        )


def _is_in(path: str, paths: Collection[str]) -> bool:
    """Tell whether an element, or one that it is inside of, is among those at the paths."""
    return any(path[:end] in paths for end in _ends(path)) if paths else False


def _ends(path: str) -> Iterator[int]:
    """Yield where each element that a path goes through ends."""
    yield from (place for place, letter in enumerate(path) if letter == ".")
    yield len(path)


_NUMBERS: Final = frozenset(("valueDecimal", "valueInteger"))


def _about(own: About, asked: About) -> About:
    """What a patient's form asks about the family is said of the family."""
    return asked if own == "patient" else own


def _says(value: dict[str, Any], none: frozenset[Code]) -> Says:
    if value.get("valueBoolean") is False:
        return "absent"
    said = codes(value.get("valueCoding"))
    if said & NO:
        return "absent"
    if any(map(is_unknown, said)):
        return "unknown"
    return "none-known" if said & none else "present"


def _answers(parent: Resource, path: str, depth: int) -> Iterator[tuple[Resource, Resource, str]]:
    """Yield (item, answer, where) of every answer that somebody gave."""
    if depth == 0:
        return
    for index, item in enumerate(parent.get("item", ())):
        here = f"{path}.item[{index}]"
        for number, answer in enumerate(item.get("answer", ())):
            place = f"{here}.answer[{number}]"
            if _is_said(item, answer) and any(k[:5] == "value" for k in answer):
                yield item, answer, place
            yield from _answers(answer, place, depth - 1)
        yield from _answers(item, here, depth - 1)


def _is_said(item: Resource, answer: Resource) -> bool:
    if _has(item, KNOWN, "confirmed", True) or _has(answer, KNOWN, "confirmed", True):
        return True
    return not (_has(item, ORIGIN, "source", "auto") or _has(answer, ORIGIN, "source", "auto"))


def _has(element: Resource, url: str, name: str, wanted: str | bool) -> bool:
    """Tell whether an extension has a part of the name with the value."""
    return any(
        part.get("url") == name and wanted in (part.get("valueCode"), part.get("valueBoolean"))
        for one in element.get("extension", ())
        if one.get("url") == url
        for part in one.get("extension", ())
    )
