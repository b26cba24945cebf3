"""The XHTML of a narrative, from an XML tree to the text that JSON holds.  R4 json.html#narrative.

Written out here because the document around it leaves marks that must not be in the text: its
prefixes, its namespace declarations, its entities.
"""

from typing import Any, Final

XHTML: Final = "http://www.w3.org/1999/xhtml"

_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_IN_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


class NotXhtml(Exception):
    """``element`` cannot be in a narrative; ``why`` tells the reason."""

    def __init__(self, why: str, element: Any) -> None:
        super().__init__(why)
        self.why, self.element = why, element


def text(div: Any, max_depth: int) -> str:
    """Return the text of an lxml element ``div``, without what follows it.

    Raises ``NotXhtml`` for elements of other namespaces, and for more levels than ``max_depth``.
    What of XHTML is allowed is for ``server.validation.xhtml`` to say.
    """
    made: list[str] = []
    _write(div, f' xmlns="{XHTML}"', max_depth, made)
    return "".join(made)


def _write(element: Any, declaration: str, depth: int, made: list[str]) -> None:
    if depth == 0:
        raise NotXhtml("too many elements inside each other", element)
    name = _name(element)
    made.append(f"<{name}{declaration}")
    for attribute, value in element.attrib.items():
        made.append(f' {_attribute(attribute, element)}="{value.translate(_IN_ATTRIBUTE)}"')
    if not len(element) and not element.text:
        made.append("/>")
        return
    made.append(">")
    made.append((element.text or "").translate(_IN_TEXT))
    for child in element:
        _write(child, "", depth - 1, made)
        made.append((child.tail or "").translate(_IN_TEXT))
    made.append(f"</{name}>")


def _name(element: Any) -> str:
    tag = element.tag
    if isinstance(tag, str) and tag.startswith(f"{{{XHTML}}}"):
        return tag[len(XHTML) + 2 :]
    raise NotXhtml(f"an element that is not in {XHTML}", element)


def _attribute(name: str, element: Any) -> str:
    if name.startswith(_XML):
        return f"xml:{name[len(_XML) :]}"
    if name.startswith("{"):
        raise NotXhtml("an attribute of another namespace", element)
    return name
