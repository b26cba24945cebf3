"""References between resources: what their text names, and rewriting them in a transaction.

R4 references.html#literal, http.html#trules.  Pure text work: nothing is looked up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import Child

_ID = r"[A-Za-z0-9\-.]{1,64}"
_LOCAL = re.compile(rf"([A-Z][A-Za-z]+)/({_ID})(?:/_history/({_ID}))?(?:#(.*))?", re.DOTALL)
_REST = re.compile(rf"(?:.*/)?([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?", re.DOTALL)
_LONGEST_KEPT = 256  # characters
_LINK_TYPES = frozenset(("uri", "url", "oid", "uuid"))
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference text names.

    Either ``type`` and ``id`` (a resource of this server, ``version`` when it names one), or
    ``url`` (anything elsewhere: absolute addresses, ``urn:uuid:``, canonicals, with the
    ``version`` behind ``|`` or ``/_history/``), or ``type`` and ``query`` (a conditional
    reference), or ``fragment`` alone (a contained resource; ``""`` is the container itself).
    """

    type: str | None = None
    id: str | None = None
    version: str | None = None
    url: str | None = None
    fragment: str | None = None
    query: str | None = None

    @property
    def local(self) -> str | None:
        """``Type/id`` of a resource of this server, else ``None``."""
        return f"{self.type}/{self.id}" if self.id is not None else None


def split_reference(text: str, base_url: str = "") -> Reference:
    """Return what ``text`` names; an absolute address below ``base_url`` is a local one.

    Never raises: what follows no form of the standard is kept whole as ``url``.

    >>> split_reference("http://me/fhir/Patient/a/_history/2", "http://me/fhir")
    Reference(type='Patient', id='a', version='2', url=None, fragment=None, query=None)
    >>> split_reference("http://other/fhir/Patient/a", "http://me/fhir").url
    'http://other/fhir/Patient/a'
    >>> split_reference("Patient?identifier=s|1").query
    'identifier=s|1'
    """
    # Long ones are not kept at hand: they would fill the memory.
    return (_split if len(text) <= _LONGEST_KEPT else _split.__wrapped__)(text, base_url)


@lru_cache(maxsize=16384)
def _split(text: str, base_url: str) -> Reference:
    base = base_url.rstrip("/") + "/"
    relative = text[len(base) :] if base_url and text.startswith(base) else text
    if found := _LOCAL.fullmatch(relative):
        return Reference(found[1], found[2], found[3], None, found[4])
    if text.startswith("#"):
        return Reference(fragment=text[1:])
    if found := _CONDITIONAL.fullmatch(relative):
        return Reference(found[1], query=found[2])
    return _elsewhere(text)


def reference_type(text: str) -> str | None:
    """Return the resource type that a reference text states, local or not; ``None`` if it is mute.

    >>> reference_type("http://other/fhir/Patient/a"), reference_type("urn:uuid:1")
    ('Patient', None)
    """
    return (_typed if len(text) <= _LONGEST_KEPT else _typed.__wrapped__)(text)


@lru_cache(maxsize=16384)
def _typed(text: str) -> str | None:
    found = _REST.fullmatch(text.partition("#")[0]) or _CONDITIONAL.fullmatch(text)
    return found[1] if found else None


def rewrite(resource: Any, mapping: Mapping[str, str]) -> Any:
    """Return the resource with every link that ``mapping`` names replaced.

    ``mapping``: full URL or conditional reference as sent -> reference to write.  Links are
    ``Reference.reference``, with or without a fragment, and values of type uri, url, oid and uuid
    that are a ``urn:`` of the mapping; the resource's own ``url`` is its name, no link.
    The argument is left as it was; unchanged parts are shared with it, and the very argument comes
    back when nothing changed.
    """
    urns: list[str] = []
    made = _with_references(resource, mapping, urns)
    if urns and isinstance(made, dict):
        return _with_uris(made, definitions.children(made.get("resourceType", "")), mapping)
    return made


def _with_references(value: Any, mapping: Mapping[str, str], urns: list[str]) -> Any:
    """Return the value with references replaced; add other texts that may be links to ``urns``.

    Long, because a call for each list would take half as much time again.
    """
    if type(value) is list:
        return _with_references({"": value}, mapping, urns)[""]
    if type(value) is not dict:
        return value
    changed: dict[str, Any] = {}
    for name, part in value.items():
        kind = type(part)
        if kind is str:
            if name == "reference":
                if (new := _mapped(part, mapping)) is not None:
                    changed[name] = new
            elif part.startswith("urn:") and part in mapping:
                urns.append(part)
        elif kind is dict:
            new = _with_references(part, mapping, urns)
            if new is not part:
                changed[name] = new
        elif kind is list:
            items = part
            for at, item in enumerate(part):
                inner = type(item)
                if inner is dict or inner is list:
                    new = _with_references(item, mapping, urns)
                    if new is not item:
                        items = items if items is not part else list(part)
                        items[at] = new
                elif inner is str and item.startswith("urn:") and item in mapping:
                    urns.append(item)
            if items is not part:
                changed[name] = items
    return {**value, **changed} if changed else value


def _with_uris(
    element: dict[str, Any], children: Mapping[str, Child], mapping: Mapping[str, str]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in element.items():
        child = children.get(name)
        if child is None or (name == "url" and "resourceType" in element):
            made[name] = value
        elif isinstance(value, list):
            made[name] = [_with_uri(part, child, mapping) for part in value]
        else:
            made[name] = _with_uri(value, child, mapping)
    return made


def _with_uri(value: Any, child: Child, mapping: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        content = value.get("resourceType", child.content)
        return _with_uris(value, definitions.children(content), mapping)
    if (
        isinstance(value, str)
        and value.startswith("urn:")
        and _LINK_TYPES.intersection(child.types)
    ):
        return mapping.get(value, value)
    return value


def _mapped(text: str, mapping: Mapping[str, str]) -> str | None:
    new = mapping.get(text)
    if new is None and "#" in text:
        whole, _, fragment = text.partition("#")
        if (new := mapping.get(whole)) is not None:
            return f"{new}#{fragment}"
    return new


def _elsewhere(text: str) -> Reference:
    whole, hash_, fragment = text.partition("#")
    url, bar, version = whole.partition("|")
    if not bar and "/_history/" in url and _REST.fullmatch(url):
        url, _, version = url.rpartition("/_history/")
    return Reference(version=version or None, url=url, fragment=fragment if hash_ else None)
