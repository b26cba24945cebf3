"""References between resources: what their text names, and rewriting them in a transaction.

R4 references.html#literal, http.html#trules.  Pure text work: nothing is looked up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_ID = r"[A-Za-z0-9\-.]{1,64}"
_LOCAL = re.compile(rf"([A-Z][A-Za-z]+)/({_ID})(?:/_history/({_ID}))?(?:#(.*))?", re.DOTALL)
_REST = re.compile(rf"(?:.*/)?([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?", re.DOTALL)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)


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


@lru_cache(maxsize=16384)
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
    found = _REST.fullmatch(text.partition("#")[0]) or _CONDITIONAL.fullmatch(text)
    return found[1] if found else None


def rewrite(resource: Any, mapping: Mapping[str, str]) -> Any:
    """Return the resource with every reference that ``mapping`` names replaced.

    ``mapping``: full URL or conditional reference as sent -> reference to write.  A fragment behind
    a mapped text is kept.  The argument is left as it was; unchanged parts are shared with it, and
    the very argument comes back when nothing changed.
    """
    if isinstance(resource, dict):
        return _rewrite_object(resource, mapping)
    if isinstance(resource, list):
        items = [rewrite(item, mapping) for item in resource]
        same = all(new is old for new, old in zip(items, resource, strict=True))
        return resource if same else items
    return resource


def _rewrite_object(element: dict[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in element.items():
        if isinstance(value, str):
            if name == "reference" and (new := _mapped(value, mapping)) is not None:
                changed[name] = new
        elif isinstance(value, dict | list) and (part := rewrite(value, mapping)) is not value:
            changed[name] = part
    return {**element, **changed} if changed else element


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
