"""FHIR XML in, as the JSON form that the server keeps.  R4 xml.html, level L0.

lxml reads it behind a guard: no DOCTYPE, so no entities; nothing is fetched; limits before the
tree is built.  The definitions say what repeats and what is a number.  Comments and processing
instructions are dropped.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple, NoReturn

from lxml import etree

from server.fhir import definitions, xhtml_text
from server.fhir import json as fhir_json
from server.fhir.definitions import Child
from server.fhir.errors import InvalidJson, InvalidXml, Issue
from server.fhir.json import MAX_DEPTH

NAMESPACE: Final = "http://hl7.org/fhir"
MAX_BYTES: Final = 50 * 1024 * 1024
MAX_NODES: Final = 2_000_000  # elements and attributes; each takes about 100 bytes as a tree

_NO_DOCTYPE: Final = "a DOCTYPE is not allowed (R4 xml.html)"
_FHIR: Final = f"{{{NAMESPACE}}}"
_DIV: Final = f"{{{xhtml_text.XHTML}}}div"
_SCHEMA_HINT: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# What may stand before the root element; what else is there, the parser refuses.
_prolog = re.compile(rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL).match
_encoding = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"'>]*)").match
_number = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch

_BOOLEANS: Final = {"true": True, "false": False}
_INTEGERS: Final = frozenset({"integer", "positiveInt", "unsignedInt"})


def loads(data: bytes) -> dict[str, Any]:
    """Return the resource in the JSON form: what ``json.loads`` gives for its JSON twin.

    Properties are in the order sent, which is not looked at: official examples break it.  Lists of
    primitives with ids or extensions are padded with ``None``.  Whether the resource is valid is
    level L1.

    Raises ``InvalidXml`` with the line, and where known the element, for anything that is not FHIR
    XML: syntax, another encoding than UTF-8, a DOCTYPE, other namespaces, elements and attributes
    that R4 does not have there, text between elements, and more than ``MAX_DEPTH`` levels of JSON.

    >>> loads(b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>')
    {'resourceType': 'Patient', 'active': True}
    """
    _guard(data)
    parser = etree.XMLParser(
        encoding="utf-8",  # or libxml2 would look for UTF-16 and others by itself
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        _refuse(f"not XML: {_words(error)}", line, column=column)
    if root.getroottree().docinfo.internalDTD is not None:
        _refuse(_NO_DOCTYPE, None)
    return _resource(root, _local(root, ""), 1)


def _guard(data: bytes) -> None:
    """Refuse what the parser must not see."""
    if len(data) > MAX_BYTES:
        _refuse(f"more than {MAX_BYTES} bytes of XML", None)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse("the body is not UTF-8 (R4 http.html#mime-type)", line)
    text = data.removeprefix(_BYTE_ORDER_MARK)
    declared = _encoding(text)
    if declared and declared.group(1).lower() not in (b"utf-8", b"us-ascii"):
        _refuse("another encoding than UTF-8 is declared (R4 http.html#mime-type)", 1)
    found = _prolog(text)
    start = found.end() if found else 0
    if text[start : start + 9].upper() == b"<!DOCTYPE":
        _refuse(_NO_DOCTYPE, text.count(b"\n", 0, start) + 1)
    if b"\0" in data:
        _refuse("a NUL character", data.count(b"\n", 0, data.index(b"\0")) + 1)
    if data.count(b"<") + data.count(b"=") > MAX_NODES:
        _refuse(f"more than {MAX_NODES} elements and attributes", None)


def _words(error: etree.XMLSyntaxError) -> str:
    """Return libxml2's words without the place, which is told apart."""
    return str(error.msg).rpartition(", line ")[0] or str(error.msg)


# ---------------------------------------------------------------- elements


class _Slot(NamedTuple):
    """What an XML element stands for in its parent; ``primitive`` is its type if it is one."""

    child: Child
    primitive: str | None


@cache
def _slots(content: str) -> Mapping[str, _Slot]:
    made: dict[str, _Slot] = {}
    for name, child in definitions.children(content).items():
        type_ = definitions.types().get(child.types[0]) if child.types else None
        primitive = type_.name if type_ and type_.kind == "primitive-type" else None
        made[name] = _Slot(child, primitive)
    return made


@cache
def _attributes(content: str) -> frozenset[str]:
    """Return the properties that are XML attributes.  R4 xml.html: Element.id, Extension.url."""
    return frozenset({"id", "url"} if content == "Extension" else {"id"})


def _resource(element: Any, path: str, depth: int) -> dict[str, Any]:
    type_ = _local(element, path)
    if type_ not in definitions.resource_types():
        _fault(f"<{_short(type_)}> is no resource type of R4", element, path)
    for name in element.attrib:
        if not name.startswith(_SCHEMA_HINT):
            _fault(f"a resource has no attribute {_short(name)}", element, path)
    made: dict[str, Any] = {"resourceType": type_}
    _fill(made, element, type_, frozenset(), path, depth)
    return made


def _object(element: Any, content: str, path: str, depth: int) -> dict[str, Any]:
    """Return a complex element, or what a primitive has besides its value."""
    made: dict[str, Any] = {}
    attributes = _attributes(content)
    for name, value in element.attrib.items():
        if name not in attributes:
            _fault(f"attribute {_short(name)} is not of R4 here", element, path)
        made[name] = value
    _fill(made, element, content, attributes, path, depth)
    return made


def _fill(
    made: dict[str, Any],
    element: Any,
    content: str,
    attributes: frozenset[str],
    path: str,
    depth: int,
) -> None:
    """Put the child elements into ``made``."""
    if depth > MAX_DEPTH:
        _fault(f"more than {MAX_DEPTH} levels inside each other", element, path)
    slots = _slots(content)
    _no_text(element.text, element, path)
    for each in element:
        _no_text(each.tail, element, path)
        name = _local(each, path)
        slot = slots.get(name)
        if slot is None or name in attributes:
            _fault(f"<{_short(name)}> is not an element of R4 here", each, path)
        _put(made, slot, each, path, depth)


def _put(made: dict[str, Any], slot: _Slot, element: Any, path: str, depth: int) -> None:
    name = slot.child.name
    here = f"{path}.{slot.child.choice or name}"
    many = slot.child.max != 1
    if many:
        here = f"{here}[{max(len(made.get(name, ())), len(made.get('_' + name, ())))}]"
        depth += 1
    elif name in made or f"_{name}" in made:
        _fault(f"<{name}> can be there only once", element, path)
    more: dict[str, Any] | None = None
    value: Any
    if slot.primitive == "xhtml":
        value = _narrative(element, here)
    elif slot.primitive:
        value, more = _primitive(element, slot.primitive, here, depth + 1)
    elif slot.child.types == ("Resource",):
        value = _resource(_only_child(element, here), here, depth + 1)
    else:
        value = _object(element, slot.child.content, here, depth + 1)
    if many:
        _append(made, name, value, more)
        return
    if value is not None:
        made[name] = value
    if more:
        made[f"_{name}"] = more


def _append(made: dict[str, Any], name: str, value: Any, more: dict[str, Any] | None) -> None:
    """Add to a list and, for primitives, to its twin of ids and extensions (json.html#primitive).

    Padding is made once, when a list begins: for each element it would take quadratic time.
    """
    values, extras = made.get(name), made.get(f"_{name}")
    count = max(len(values or ()), len(extras or ()))
    if value is not None and values is None:
        values = made[name] = [None] * count
    if more is not None and extras is None:
        extras = made[f"_{name}"] = [None] * count
    if values is not None:
        values.append(value)
    if extras is not None:
        extras.append(more)


# ---------------------------------------------------------------- values


def _primitive(
    element: Any, type_: str, path: str, depth: int
) -> tuple[Any, dict[str, Any] | None]:
    """Return the value, and ``id`` and ``extension`` if there are any."""
    text = element.attrib.pop("value", None)
    more = None
    if len(element) or element.attrib or element.text:
        more = _object(element, "Element", path, depth) or None
    if text is not None:
        return _typed(text, type_, element, path), more
    if more is None:
        _fault("an element has a value or children (R4 element.html, rule ele-1)", element, path)
    return None, more


def _typed(text: str, type_: str, element: Any, path: str) -> Any:
    """Return the value as JSON writes it: numbers and booleans are no strings there."""
    if type_ == "boolean":
        found = _BOOLEANS.get(text)
        if found is None:
            _fault("a boolean is true or false", element, path)
        return found
    if type_ not in _INTEGERS and type_ != "decimal":
        return text
    number = _number(text)
    if number is None or (type_ != "decimal" and (number.group(1) or number.group(2))):
        _fault(f"not a number that {type_} can be", element, path)
    try:
        return fhir_json.loads(text.encode())
    except InvalidJson as error:
        _fault(error.diagnostics.partition(" (line")[0], element, path)


def _narrative(element: Any, path: str) -> str:
    try:
        return xhtml_text.text(element, MAX_DEPTH)
    except xhtml_text.NotXhtml as error:
        _fault(error.why, error.element, path)


def _only_child(element: Any, path: str) -> Any:
    for name in element.attrib:
        _fault(f"attribute {_short(name)} is not of R4 here", element, path)
    if len(element) != 1:
        _fault("one resource is expected inside", element, path)
    _no_text(element.text, element, path)
    _no_text(element[0].tail, element, path)
    return element[0]


# ---------------------------------------------------------------- refusals


def _local(element: Any, path: str) -> str:
    """Return the name of an element of FHIR's namespace."""
    tag = element.tag
    if isinstance(tag, str) and tag.startswith(_FHIR):
        return tag[len(_FHIR) :]
    if tag == _DIV:  # the one place for it; anywhere else it is no element of R4
        return "div"
    found = etree.QName(tag).namespace if isinstance(tag, str) else None
    told = f"in the namespace {found[:80]!r}" if found else "in no namespace"
    _fault(f"an element {told}, not in {NAMESPACE}", element, path)
    raise AssertionError


def _no_text(text: str | None, element: Any, path: str) -> None:
    if text and not text.isspace():
        _fault("text between elements; values are attributes (R4 xml.html)", element, path)


def _short(name: str) -> str:
    return str(etree.QName(name).localname)[:60]


def _fault(why: str, element: Any, path: str) -> NoReturn:
    name = _short(element.tag) if isinstance(element.tag, str) else "?"
    _refuse(f"<{name}>: {why}", element.sourceline, path=path)


def _refuse(
    why: str, line: int | None, *, column: int | None = None, path: str | None = None
) -> NoReturn:
    place = "" if line is None else f" (line {line}{f', column {column}' if column else ''})"
    told = f"{why}{place}"
    where = (path,) if path else ()
    issue = Issue("error", InvalidXml.issue, told, where, line=line, column=column)
    raise InvalidXml(told, expression=where, issues=[issue]) from None
