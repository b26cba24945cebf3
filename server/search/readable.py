"""The words of a resource that people read: of its narrative, and of all its texts.

Texts are strings, markdown and the narrative, displays and names among them, in the order in which
the resource has them, those of contained resources too.  No text for people are codes, dates,
addresses of systems and what identifies something: ids, versions, references, identifiers.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from html import unescape
from types import MappingProxyType
from typing import Any, Final

from server.fhir import definitions
from server.search.rows import LONGEST_KEPT
from server.search.words import fold

LONGEST = 100_000  # characters of the words of one resource; what comes later is not searched
_LONGEST_MARKUP = 4 * LONGEST

_TEXT_TYPES = frozenset(("string", "markdown"))
_FOR_MACHINES = frozenset(("expression", "id", "linkId", "path", "reference", "unit", "version"))
_IDENTIFYING = frozenset(("Identifier.value",))
_MARKUP = re.compile(
    r"""<!--.*?-->|<(/?)([A-Za-z0-9]*)(?:[^<>"']++|"[^"]*+"|'[^']*+')*+>""", re.DOTALL
)
_WITHIN_WORDS = frozenset(
    ("a", "abbr", "acronym", "b", "big", "em", "font", "i", "small", "span", "strong", "sub", "sup")
)

TEXT: Final = "text"
XHTML: Final = "xhtml"
RESOURCE: Final = "Resource"
Plan = Mapping[str, str]
"""What to do with a property: take its text, its markup, or go on with the content named."""


def narrative(resource: dict[str, Any]) -> str:
    """Return the folded words of a resource's narrative, ``""`` if it has none."""
    div = resource.get("text", {}).get("div")
    return _cut(fold(plain(div))) if isinstance(div, str) else ""


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
    for name, value in element.items():
        to_do = plan.get(name)
        if to_do is None:
            continue
        for part in value if type(value) is list else (value,):
            if room <= 0:
                return 0
            if type(part) is dict:
                inner = part.get("resourceType", "") if to_do is RESOURCE else to_do
                room = _collect(part, _plan(inner), found, room)
            elif type(part) is str:
                found.append(_folded(part) if to_do is TEXT else fold(plain(part)))
                room -= len(part)
    return room


@lru_cache(maxsize=4096)
def _plan(name: str) -> Plan:
    made: dict[str, str] = {}
    for child in definitions.children(name).values():
        fhir_type = child.types[0] if child.types else ""
        owner = name if name in definitions.types() else ""
        if child.name in _FOR_MACHINES or f"{owner}.{child.name}" in _IDENTIFYING:
            continue
        if fhir_type == "xhtml":
            made[child.name] = XHTML
        elif fhir_type in _TEXT_TYPES:
            made[child.name] = TEXT
        elif fhir_type == RESOURCE:
            made[child.name] = RESOURCE
        elif child.content != "Meta" and not _is_primitive(child.content):
            made[child.name] = child.content
    return MappingProxyType(made)


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


def _cut(words: str) -> str:
    """Return the first words, whole, that are as long as can be searched."""
    return words if len(words) <= LONGEST else words[:LONGEST].rpartition(" ")[0]
