"""The words of a resource that people read: of its narrative, and of all its texts.

Texts are strings, markdown and the narrative, displays and names among them, in the order in which
the resource has them, those of contained resources too.  No text for people are codes, dates,
addresses of systems and what identifies something: ids, versions, references, identifiers.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import Any, Final

from server.fhir import definitions
from server.search.rows import LONGEST_KEPT
from server.search.words import fold

LONGEST = 100_000  # characters of the words of one resource; what comes later is not searched
_LONGEST_MARKUP = 4 * LONGEST

_TEXT_TYPES = frozenset(("string", "markdown"))
_FOR_MACHINES = frozenset(("expression", "id", "linkId", "path", "reference", "unit", "version"))
_IDENTIFYING = frozenset(("AuditEvent.agent.network.address", "Identifier.value"))
_MARKUP = re.compile(
    r"""<!--.*?-->|<(/?)([A-Za-z0-9]*)(?:[^<>"']++|"[^"]*+"|'[^']*+')*+>""", re.DOTALL
)
_WITHIN_WORDS = frozenset(
    ("a", "abbr", "acronym", "b", "big", "em", "font", "i", "small", "span", "strong", "sub", "sup")
)

TEXT: Final = "text"
XHTML: Final = "xhtml"
RESOURCE: Final = "Resource"


@dataclass(slots=True, eq=False)
class Plan:
    """What to do with the properties of an element: take text, or markup, or go on.

    ``names``: those properties.  ``has_texts``: whether there can be any but in extensions.
    """

    parts: dict[str, "str | Plan"] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    has_texts: bool = False


def narrative(resource: dict[str, Any]) -> str:
    """Return the folded words of a resource's narrative, ``""`` if it has none."""
    div = resource.get("text", {}).get("div")
    return _cut(_markup(div)) if isinstance(div, str) else ""


def content(resource: dict[str, Any]) -> str:
    """Return the folded words of all texts of a resource."""
    found: list[str] = []
    _collect(resource, _plan(resource["resourceType"]), found, LONGEST)
    return _cut(" ".join(filter(None, found)))


def plain(div: str) -> str:
    """Return the text of an XHTML fragment.

    >>> plain('<div title="a>b"><p>S<sub>p</sub>O</p><p>2 &lt; 3</p></div>')
    '  SpO  2 < 3  '
    """
    return unescape(_MARKUP.sub(_between, div[:_LONGEST_MARKUP]))


def _between(found: re.Match[str]) -> str:
    return "" if found[2] in _WITHIN_WORDS else " "


def _collect(element: dict[str, Any], plan: Plan, found: list[str], room: int) -> int:
    """Add folded texts to ``found`` while there is room for them; return what room is left."""
    parts = plan.parts
    for name, value in element.items():
        to_do = parts.get(name)
        if to_do is None:
            continue
        for part in value if type(value) is list else (value,):
            if room <= 0:
                return 0
            if type(part) is dict:
                inner = _plan(part.get("resourceType", "")) if to_do is RESOURCE else to_do
                if (
                    type(inner) is Plan
                    and (inner.has_texts or "extension" in part)
                    and not inner.names.isdisjoint(part)
                ):
                    room = _collect(part, inner, found, room)
            elif type(part) is str:
                found.append(_folded(part) if to_do is TEXT else _markup(part))
                room -= len(part)
    return room


def _plan(name: str) -> Plan:
    """Return the plan of a type or backbone element; plans lead to each other in circles."""
    if name not in _PLANS:
        fresh: dict[str, Plan] = {}
        _draft(name, fresh)
        while any(_find_texts(plan) for plan in fresh.values()):
            pass
        _PLANS.update(fresh)
    return _PLANS[name]


def _draft(name: str, fresh: dict[str, Plan]) -> Plan:
    """Return a plan, and add it to ``fresh`` with all that it leads to."""
    if (known := _PLANS.get(name) or fresh.get(name)) is not None:
        return known
    plan = fresh[name] = Plan()
    for child in definitions.children(name).values():
        fhir_type = child.types[0] if child.types else ""
        if child.name in _FOR_MACHINES or f"{name}.{child.name}" in _IDENTIFYING:
            continue
        if fhir_type in _TEXT_TYPES:
            plan.parts[child.name] = TEXT
        elif fhir_type in (XHTML, RESOURCE):
            # The very objects: to compare with what may be a plan costs more than all the rest.
            plan.parts[child.name] = XHTML if fhir_type == XHTML else RESOURCE
        elif child.content != "Meta" and not _is_primitive(child.content):
            plan.parts[child.name] = _draft(child.content, fresh)
    plan.names = frozenset(plan.parts)
    return plan


def _find_texts(plan: Plan) -> bool:
    """Note whether a plan leads to a text; return whether that is news."""
    before = plan.has_texts
    plan.has_texts = any(
        part.has_texts and name != "extension" if isinstance(part, Plan) else True
        for name, part in plan.parts.items()
    )
    return plan.has_texts is not before


_PLANS: dict[str, Plan] = {}


def _is_primitive(content: str) -> bool:
    known = definitions.types().get(content)
    return known is not None and known.kind == "primitive-type"


def _folded(text: str) -> str:
    if len(text) <= LONGEST_KEPT:
        return _kept(text)
    return fold(text[:LONGEST])


@lru_cache(maxsize=16384)
def _kept(text: str) -> str:
    return fold(text)


@lru_cache(maxsize=2)  # the narrative is part of the content, which is made next
def _markup(div: str) -> str:
    return fold(plain(div))


def _cut(words: str) -> str:
    """Return the first words, whole, that are as long as can be searched."""
    return words if len(words) <= LONGEST else words[:LONGEST].rpartition(" ")[0]
