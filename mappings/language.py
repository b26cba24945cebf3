"""Maps as text -> nodes that know their file and line.

Every scalar is read as a string: ``NO``, ``01``, ``1.10`` and ``on`` mean what they say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Union

import yaml


class Text(str):
    """A scalar."""

    __slots__ = ("place",)
    place: str


class Items(list["Node"]):
    """A list."""

    place: str


class Entries(dict[str, "Node"]):
    """A mapping, in the order of the file.  ``places`` are those of its keys."""

    place: str
    places: dict[str, str]


Node = Union[Text, Items, Entries]  # noqa: UP007 - the classes name each other


class Unreadable(ValueError):
    """The file is no YAML, or a key stands twice; the text starts with ``file:line``."""


# What those who do not know YAML's own words have mostly done.
_INDENTED = "; the line is indented otherwise than those around it, or the line above has a value"
_MEANT: dict[str | None, str] = {
    "did not find expected key": _INDENTED,
    "mapping values are not allowed in this context": _INDENTED,
    "found character that cannot start any token": "; a tab is no blank here, @ and ` need quotes",
    "found unexpected ':'": "; a text with ': ' needs quotes",
}


def read(path: Path, name: str) -> Node:
    """Return the nodes of a YAML file; ``name`` is what its places are called by.

    Raises:
        Unreadable: it cannot be read.
    """
    try:
        found = yaml.compose(path.read_text("utf-8"), Loader=yaml.CBaseLoader)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise Unreadable(
            f"{name}:{line}: {wrong.problem}{_MEANT.get(wrong.problem, '')}"
        ) from wrong
    except UnicodeDecodeError as wrong:
        raise Unreadable(f"{name}:1: the file is not UTF-8") from wrong
    if found is None:
        raise Unreadable(f"{name}:1: the file is empty")
    return _node(found, name)


def _node(found: yaml.Node, name: str) -> Node:
    place = f"{name}:{found.start_mark.line + 1}"
    if isinstance(found, yaml.ScalarNode):
        text = Text(found.value)
        text.place = place
        return text
    if isinstance(found, yaml.SequenceNode):
        items = Items(_node(item, name) for item in found.value)
        items.place = place
        return items
    entries = Entries()
    entries.place, entries.places = place, {}
    for key, value in found.value:
        at = f"{name}:{key.start_mark.line + 1}"
        if key.value in entries:
            raise Unreadable(f"{at}: {key.value!r} stands twice")
        entries[str(key.value)] = _node(value, name)
        entries.places[str(key.value)] = at
    return entries


def texts(node: Node) -> Iterator[Text]:
    """Yield a scalar, or the scalars of a list; nested nodes are skipped."""
    if isinstance(node, Text):
        yield node
    elif isinstance(node, Items):
        yield from (item for item in node if isinstance(item, Text))


def plain(node: Node) -> object:
    """Return a node as ordinary dicts, lists and strings."""
    if isinstance(node, Text):
        return str(node)
    if isinstance(node, Items):
        return [plain(item) for item in node]
    return {key: plain(value) for key, value in node.items()}
