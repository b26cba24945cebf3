"""What the rules of a map say of elements: which constants, makes and fields they are filled with.

Read from the map as it is written, when somebody asks; mapping itself has no need of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mappings.language import Entries, Items, Node, Text

_NO_ELEMENTS = frozenset(
    ["when", "each", "default", "note", "sep", "table", "join", "event", "fn", "ref", "make"]
)
_SAME_ELEMENT = ("set", "first", "from")


@dataclass(slots=True)
class Stated:
    """By element path without indexes (``Appointment.participant.actor``): what may stand there.

    ``constants`` are the texts that rules write, ``makes`` the fields from whose values resources
    are made.  ``whole`` are the elements (``Appointment.reasonCode``) that a field may be all of.
    """

    constants: dict[str, set[str]] = field(default_factory=dict)
    makes: dict[str, list[str]] = field(default_factory=dict)
    whole: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _At:
    path: str
    each: str = ""  # the field that "." speaks of

    def inner(self, name: str) -> "_At":
        return replace(self, path=f"{self.path}.{name}")


def stated(tree: Entries) -> Stated:
    """Return what the resource rules of a map state, those inside others (``emit``) too."""
    made = Stated()
    for rule in _rules(tree.get("resources")):
        elements = rule.get("set")
        if isinstance(elements, Entries):
            _elements(elements, _At(str(rule["make"])), made)
    return made


def _rules(node: Node | None) -> Iterator[Entries]:
    for rule in node if isinstance(node, Items) else ():
        if isinstance(rule, Entries):
            yield rule
            yield from _rules(rule.get("emit"))


def _elements(node: Entries, at: _At, made: Stated) -> None:
    for name, rule in node.items():
        _rule(rule, at.inner(name), made)


def _rule(node: Node, at: _At, made: Stated) -> None:
    if isinstance(node, Items):
        for one in node:
            _rule(one, at, made)
    if not isinstance(node, Entries):
        if isinstance(node, Text):
            _field(node, at, made)
        return
    if "const" in node:
        _constant(node["const"], at.path, made)
        return
    each = node.get("each")
    if isinstance(each, Text) and "-" in each:
        at = replace(at, each=str(each))
    if "make" in node:
        _make(node, at, made)
        return
    for key in _SAME_ELEMENT:
        inner = node.get(key)
        if isinstance(inner, Entries):
            _elements(inner, at, made)
        elif inner is not None:
            _rule(inner, at, made)
    if isinstance(more := node.get("also"), Entries):
        _elements(more, at, made)
    for name in node.keys() - _NO_ELEMENTS - {*_SAME_ELEMENT, "also"}:
        _rule(node[name], at.inner(name), made)


def _make(node: Entries, at: _At, made: Stated) -> None:
    source = str(node.get("from", ""))
    fields = made.makes.setdefault(at.path, [])
    fields.append(at.each if source.startswith(".") or not source else source)
    _field(fields[-1], at, made)
    if isinstance(more := node.get("also"), Entries):
        _elements(more, _At(str(node["make"]), at.each), made)


def _field(source: str, at: _At, made: Stated) -> None:
    if "-" in source and at.path.count(".") == 1:
        made.whole.setdefault(source, set()).add(at.path)


def _constant(node: Node, path: str, made: Stated) -> None:
    if isinstance(node, Entries):
        for name, one in node.items():
            _constant(one, f"{path}.{name}", made)
    elif isinstance(node, Items):
        for one in node:
            _constant(one, path, made)
    else:
        made.constants.setdefault(path, set()).add(str(node))
