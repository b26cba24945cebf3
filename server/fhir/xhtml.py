"""Narrative: which XHTML ``Narrative.div`` may hold.  R4 narrative.html#xhtml, rule txt-1.

Expat reads it; a DOCTYPE is refused before it can define an entity.  What is allowed is listed,
so that what is not known here (scripts, forms, frames, event attributes) is refused.
"""

import re
from typing import Any, Final
from xml.parsers import expat

NAMESPACE: Final = "http://www.w3.org/1999/xhtml"
MAX_FAULTS: Final = 5


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS: Final = _words(
    """a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div
    dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup table
    tbody td tfoot th thead tr tt ul var"""
)
_ATTRIBUTES: Final = _words(
    """abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign
    char charoff charset cite class colspan compact coords dir frame headers height href hreflang
    hspace id lang longdesc name nowrap rel rev rowspan rules scope shape span src start style
    summary tabindex title type usemap valign value vspace width xml:lang"""
)
_LINKS: Final = frozenset({"href", "src", "cite", "longdesc"})
_SCHEMES: Final = frozenset({"http", "https", "mailto", "tel", "urn", "ftp", "cid"})
_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):").match
_data_image = re.compile(r"data:image/(?:png|jpeg|gif|webp|bmp)[;,]", re.IGNORECASE).match
# Browsers ignore these inside of a scheme: "java\nscript:".
_ignored = re.compile(r"[\x00-\x20\x7f-\xa0]").sub
_style = re.compile(
    r"expression\s*\(|@import|javascript:|behaviou?r\s*:|-moz-binding|\\", re.IGNORECASE
).search
_style_urls = re.compile(r"url\s*\(\s*[\"']?([^)]*)", re.IGNORECASE).findall


class _RefusedError(Exception):
    """Reading on would be of no use, or unsafe."""


def faults(div: str) -> list[str]:
    """Return what is wrong with a narrative, at most ``MAX_FAULTS``; an empty list when nothing is.

    >>> faults('<div xmlns="http://www.w3.org/1999/xhtml"><p onclick="x()">a</p></div>')
    ['attribute onclick on <p> is not allowed']
    """
    reader = _Reader()
    try:
        reader.parser.Parse(div.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        reader.found.append(f"not XHTML: {reason} (line {error.lineno}, column {error.offset + 1})")
    except _RefusedError as refused:
        reader.found.append(str(refused))
    return reader.found


class _Reader:
    """One pass of expat over one narrative."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._root = True
        self.parser = expat.ParserCreate("utf-8")
        self.parser.ordered_attributes = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.ProcessingInstructionHandler = self._instruction
        self.parser.StartElementHandler = self._start

    def _doctype(self, *_: Any) -> None:
        raise _RefusedError("a DOCTYPE is not allowed")

    def _instruction(self, *_: Any) -> None:
        raise _RefusedError("a processing instruction is not allowed")

    def _start(self, name: str, attributes: list[str]) -> None:
        if self._root:
            self._root = False
            if name != "div":
                raise _RefusedError("the outermost element must be <div>")
            if ("xmlns", NAMESPACE) not in zip(attributes[::2], attributes[1::2], strict=True):
                self._add(f'<div> must have xmlns="{NAMESPACE}"')
        elif name not in _ELEMENTS:
            self._add(f"element <{name[:40]}> is not allowed")
        if attributes:
            for attribute, value in zip(attributes[::2], attributes[1::2], strict=True):
                self._attribute(name, attribute, value)

    def _attribute(self, name: str, attribute: str, value: str) -> None:
        if attribute == "xmlns":
            if value != NAMESPACE:
                self._add(f"<{name[:40]}> is in another namespace")
        elif attribute not in _ATTRIBUTES:
            self._add(f"attribute {attribute[:40]} on <{name[:40]}> is not allowed")
        elif attribute in _LINKS and not _is_safe(name, value):
            self._add(f"{attribute} of <{name[:40]}> has a scheme that is not allowed")
        elif attribute == "style" and not _is_safe_style(value):
            self._add(f"style of <{name[:40]}> does more than style")

    def _add(self, fault: str) -> None:
        self.found.append(fault)
        if len(self.found) >= MAX_FAULTS:
            raise _RefusedError("and possibly more")


def _is_safe_style(style: str) -> bool:
    return _style(style) is None and all(_is_safe("img", link) for link in _style_urls(style))


def _is_safe(name: str, link: str) -> bool:
    link = _ignored("", link)
    scheme = _scheme(link)
    if scheme is None or scheme.group(1).lower() in _SCHEMES:
        return True
    return name == "img" and _data_image(link) is not None
