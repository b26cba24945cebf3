"""The answers of a QuestionnaireResponse beside the items of its form.  Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.form import Form, Item
from server.fhir.errors import Issue

SDC: Final = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its JSON, its FHIRPath, and the key that tells it from the item's others."""

    raw: dict[str, Any]
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class Given:
    """One item of the response with the item of the form that it answers.

    ``path`` is its FHIRPath.  ``key`` tells it from all others of the response, and stays the same
    when the response is amended: the ``linkId`` with, where it repeats, its own ``id`` or its
    number, behind the key of what it is inside of.
    """

    item: Item
    raw: dict[str, Any]
    path: str
    key: str
    answers: tuple[Answer, ...] = ()
    items: tuple["Given", ...] = ()

    def walk(self) -> Iterator["Given"]:
        """Yield this item and all below it, in the order of the response."""
        yield self
        for one in self.items:
            yield from one.walk()


def given(form: Form, response: dict[str, Any]) -> tuple[tuple[Given, ...], list[Issue]]:
    """Return the answered items at the top, and an issue for each that the form does not have."""
    issues: list[Issue] = []
    return _items(form.items, response, "QuestionnaireResponse", "", issues), issues


def extensions(element: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the extensions of SDC with the name (``observationExtract``)."""
    return [one for one in element.get("extension") or () if one.get("url") == SDC + name]


def part(extension: dict[str, Any], name: str) -> Any:
    """Return the value of a part of a complex extension, ``None`` without it."""
    for one in extension.get("extension") or ():
        if one.get("url") == name:
            return value_of(one)
    return None


def value_of(extension: dict[str, Any]) -> Any:
    """Return the value of an extension, whatever its type."""
    return next((value for name, value in extension.items() if name.startswith("value")), None)


def _items(
    items: tuple[Item, ...], holder: dict[str, Any], path: str, key: str, issues: list[Issue]
) -> tuple[Given, ...]:
    by_link = {item.link_id: item for item in items}
    listed = holder.get("item") or ()
    times = [one.get("linkId") for one in listed]
    seen: dict[str, int] = {}
    made = []
    for number, raw in enumerate(listed):
        place, link = f"{path}.item[{number}]", str(raw.get("linkId"))
        item = by_link.get(link)
        if item is None:
            told = f"the form has no item {link[:80]!r} here; nothing is made of it"
            issues.append(Issue("warning", "not-found", told, (place,)))
            continue
        seen[link] = seen.get(link, 0) + 1
        many = times.count(link) > 1 or (item.repeats and item.type == "group")
        own = _key(key, link, raw, seen[link] if many else None)
        made.append(_given(item, raw, place, own, issues))
    return tuple(made)


def _given(item: Item, raw: dict[str, Any], path: str, key: str, issues: list[Issue]) -> Given:
    answers: list[Answer] = []
    below = list(_items(item.items, raw, path, key, issues))
    listed = raw.get("answer") or ()
    for number, answer in enumerate(listed):
        place = f"{path}.answer[{number}]"
        many = len(listed) > 1 or item.repeats
        own = _key("", key, answer, number + 1 if many else None)
        answers.append(Answer(answer, place, own))
        below += _items(item.items, answer, place, own, issues)
    return Given(item, raw, path, key, tuple(answers), tuple(below))


def _key(above: str, link: str, raw: dict[str, Any], number: int | None) -> str:
    """Return the key of an element; an ``id`` survives when others before it are taken away."""
    own = f"{link}.{raw.get('id') or number}" if number is not None else link
    return f"{above}/{own}" if above else own
