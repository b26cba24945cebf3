"""An item of a form as a question to the record: what it is about, and which answers it takes.

By ``item.definition`` (an element), by ``item.code`` and what the stored ConceptMaps say is the
same, and by its place in the form (the same ``linkId`` answered before).  SDC 4.0.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.continuity import narrowed
from server.continuity.form import Form, Item
from server.continuity.statement import Code
from server.continuity.statements.responses import about_others, link
from server.continuity.statements.things import ELEMENTS
from server.continuity.validity import UNLISTED, Topic, Validity, stricter
from server.fhir import definitions

ANSWERLESS: Final = frozenset(("group", "display"))
OF_ELEMENTS: Final = frozenset(("Patient", "RelatedPerson", "Coverage"))
"""Types of which an item's definition names one element, not a list of things."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an item asks.

    ``codes`` are those of the item and what means the same; ``kinds`` those of what is one of it,
    too (amoxicillin is a penicillin): that it is there says "yes", that it is not says nothing;
    ``element`` is the element that it
    names, ``only`` what the form says of that element's siblings, ``uses`` what its words say of
    the use of an address or a number (:mod:`.narrowed`).  ``whole``: it asks for all of its topic
    (which allergies, whether any), else for one thing.  ``options``: the codings that it takes,
    ``None``: any; ``texts`` those that are words; ``listed`` is false while its value set
    is not (:mod:`.choices`), ``mapped`` where nobody knows what means the same.
    """

    item: Item
    topic: Topic = UNLISTED
    codes: frozenset[Code] = frozenset()
    kinds: frozenset[Code] = frozenset()
    element: str = ""
    only: tuple[tuple[str, str], ...] = ()
    uses: frozenset[str] = frozenset()
    whole: bool = False
    options: Mapping[Code, dict[str, Any]] | None = None
    texts: frozenset[str] = frozenset()
    listed: bool = True
    units: tuple[dict[str, Any], ...] = ()
    synonyms: Mapping[Code, frozenset[Code]] = field(default_factory=dict)
    mapped: bool = True

    def same(self, codes: Collection[Code]) -> frozenset[Code]:
        """Return the codes and what means exactly the same."""
        known = self.synonyms
        return frozenset(codes).union(*(known.get(code, frozenset()) for code in codes))


def questions(form: Form, policy: Validity) -> list[Question]:
    """Return the question of each item that can have an answer, in the order of the form."""
    others = about_others(form, policy)
    return [
        _of_others(_question(form, item, siblings, policy), others.get(item.link_id))
        for item, siblings in _walk(form.items)
        if item.type not in ANSWERLESS
    ]


def _walk(items: tuple[Item, ...]) -> Iterator[tuple[Item, tuple[Item, ...]]]:
    """Yield every item with its siblings."""
    for item in items:
        yield item, items
        yield from _walk(item.items)


def _of_others(question: Question, topic: Topic | None) -> Question:
    """Return a question of a group that asks about the family as one about the family (C5)."""
    if topic is None or question.topic.about == topic.about:
        return question
    return replace(question, topic=topic, element="", whole=False)


def _question(form: Form, item: Item, siblings: tuple[Item, ...], policy: Validity) -> Question:
    element = _element(item)
    if _is_aside(element):  # what else is said of it is not what it is, or how much
        item_codes: frozenset[Code] = frozenset()
    else:
        item_codes = item.codes
    only = _only(element, siblings)
    if ".telecom" in element and "system" not in dict(only):
        only = tuple(sorted((*only, *narrowed.system(item.text))))
    by_code = policy.of_codes(item_codes)
    by_element = policy.of_element(element, only) if element else None
    member = policy.of_member(item_codes)
    topic = by_code or by_element or member or UNLISTED
    for other in (by_element, member):
        topic = stricter(topic, other) if other is not None and by_code is not None else topic
    if not element and by_code is not None and by_code.elements:
        element = by_code.elements[0] if "." in by_code.elements[0] else ""
        only = by_code.only
    type_ = element.partition(".")[0]
    named = type_ in topic.types and element in (type_, ELEMENTS.get(type_))
    whole = topic.many and (by_code is topic or (by_element is topic and named))
    options, texts, listed = _options(item)
    return Question(
        item,
        topic,
        item_codes | link(form.canonical, item.link_id),
        policy.kinds(item_codes),
        element if type_ in OF_ELEMENTS else "",
        only,
        narrowed.uses(item.text) if element else frozenset(),
        whole,
        options,
        texts,
        listed,
        item.units,
    )


def _element(item: Item) -> str:
    """Return the element of ``item.definition``, without ``[x]``.

    A slice (``Patient.identifier:mrn``) has no element: what the slice means is not known here.
    """
    url, _, path = (item.definition or "").partition("#")
    path = path or url.rpartition("/")[2]
    type_ = path.partition(".")[0]
    if ":" in path or type_ not in definitions.resource_types():
        return ""
    return path.removesuffix("[x]")


def _is_aside(element: str) -> bool:
    """Tell whether an item asks for what else is said of a measurement or a thing: its note, its
    date, its dose; ``item.code`` then says of what."""
    type_ = element.partition(".")[0]
    if type_ == "Observation":
        return element != type_ and not element.startswith(_VALUES)
    named = ELEMENTS.get(type_)
    return named is not None and element != type_ and not element.startswith(named)


_VALUES: Final = ("Observation.value", "Observation.component.value", "Observation.code")


def _only(element: str, siblings: tuple[Item, ...]) -> tuple[tuple[str, str], ...]:
    """Return what the siblings of an item fix: hidden ones with an initial value."""
    parent, _, _ = element.rpartition(".")
    found = []
    for one in siblings:
        if parent and (fixed := _initial(one)):
            path, _, name = _element(one).rpartition(".")
            if path == parent:
                found.append((name, fixed))
    return tuple(sorted(found))


def _initial(item: Item) -> str:
    if not item.raw.get("readOnly") and not _hidden(item):
        return ""
    for one in item.raw.get("initial", ()):
        coding = one.get("valueCoding")
        text = coding.get("code") if isinstance(coding, dict) else one.get("valueString")
        if isinstance(text, str):
            return text
    return ""


def _hidden(item: Item) -> bool:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-hidden"
    return any(
        one.get("url") == url and one.get("valueBoolean") is True
        for one in item.raw.get("extension", ())
    )


def _options(
    item: Item,
) -> tuple[Mapping[Code, dict[str, Any]] | None, frozenset[str], bool]:
    """Return the codings and texts that an item lists, and whether it names no value set."""
    codings: dict[Code, dict[str, Any]] = {}
    texts: set[str] = set()
    for option in item.raw.get("answerOption", ()):
        coding = option.get("valueCoding")
        if isinstance(coding, dict) and coding.get("code"):
            codings[coding.get("system", ""), coding["code"]] = coding
        if isinstance(text := option.get("valueString"), str):
            texts.add(text)
    named = item.raw.get("answerValueSet")
    listed = not (isinstance(named, str) and named)
    return (codings if codings or texts else None), frozenset(texts), listed
