"""``extends``: a map made of others, with ``remove``, ``set`` and further ``resources`` applied.

A map may be made of several; their rules follow each other.  Files are read in any order.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from mappings.language import Entries, Items, Node, Text, texts
from mappings.spelling import hint


class Trees:
    """The maps as written, each with what it extends; resolved when first asked for."""

    def __init__(self, written: Mapping[str, Entries], problems: list[str]) -> None:
        self.written = written
        self.problems = problems
        self.resolved: dict[str, Entries | None] = {}
        self._types: dict[str, frozenset[str]] = {}
        self._parts: frozenset[str] | None = None

    def tree(self, name: str) -> Entries | None:
        """Return a map with what it extends; ``None``, with a problem, when that cannot be."""
        if name not in self.resolved:
            self.resolved[name] = None  # while it is being resolved: a circle finds nothing
            self.resolved[name] = self._tree(name, self.written[name])
        return self.resolved[name]

    def bases(self, name: str) -> Sequence[str]:
        """Return the names of the maps that a map extends, of those that can be."""
        named = [str(base) for base in texts(self.written[name].get("extends", Items()))]
        return [base for base in named if self.tree(base) is not None]

    def made(self, name: str) -> frozenset[str]:
        """Return the resource types that the references of a map may name.

        A type that a site removed may still be referred to: such a reference then gives nothing.
        So may one that another part makes: parts are written for several maps.
        """
        own = self._made(name)
        if "extends" not in self.written[name]:
            return own
        return own.union(self._of_parts(), *map(self._made, self.bases(name)))

    def _made(self, name: str) -> frozenset[str]:
        if name not in self._types:
            tree = self.tree(name)
            self._types[name] = made_types(tree) if tree is not None else frozenset()
        return self._types[name]

    def _of_parts(self) -> frozenset[str]:
        if self._parts is None:
            parts = [made_types(node) for node in self.written.values() if "part" in node]
            self._parts = frozenset().union(*parts)
        return self._parts

    def _tree(self, name: str, node: Entries) -> Entries | None:
        if "extends" not in node:
            return node
        made = Entries()
        made.place, made.places = node.place, {}
        resources = none(node)
        for text in texts(node["extends"]):
            base = self._base(name, text)
            if base is None:
                return None
            made.update({key: value for key, value in base.items() if key != "part"})
            made.places.update(base.places)
            found = base.get("resources")
            resources += found if isinstance(found, Items) else ()
        made["resources"] = resources
        for key in ("on", "precedence", "part"):
            if key in node:
                made[key] = node[key]
                made.places[key] = node.places[key]
        _apply(resources, node, self.problems)
        return made

    def _base(self, name: str, text: Text) -> Entries | None:
        if str(text) == name or str(text) not in self.written:
            known = self.written.keys() - {name}
            self.problems.append(f"{text.place}: there is no map {str(text)!r}{hint(text, known)}")
            return None
        base = self.tree(str(text))
        if base is None:
            self.problems.append(f"{text.place}: {str(text)!r} cannot be extended")
        return None if base is None else _unshared(base)


def _apply(resources: Items, node: Entries, problems: list[str]) -> None:
    for target in filter(None, texts(node.get("remove", none(node)))):  # "remove:" and no more
        _remove(resources, target, problems)
    changes = node.get("set", Entries())
    for path, rule in changes.items() if isinstance(changes, Entries) else ():
        _change(resources, path, rule, problems)
    more = node.get("resources")
    if isinstance(more, Items):
        resources += more


def _find(resources: Items, name: str, place: str, problems: list[str]) -> Entries | None:
    """Return the rule ``Patient`` or, when a type is made twice, ``RelatedPerson@GT1``."""
    type_, _, segment = name.partition("@")
    found = [
        rule
        for rule in resources
        if isinstance(rule, Entries)
        and rule.get("make") == type_
        and (not segment or segment in (rule.get("from"), rule.get("each")))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        known = {str(rule.get("make")) for rule in resources if isinstance(rule, Entries)}
        problems.append(f"{place}: the map makes no {name}{hint(type_, known)}")
    else:
        problems.append(f"{place}: the map makes {type_} {len(found)} times: say {type_}@SEGMENT")
    return None


def _remove(resources: Items, target: Text, problems: list[str]) -> None:
    name, _, element = target.partition(".")
    rule = _find(resources, name, target.place, problems)
    if rule is None:
        return
    if not element:
        resources.remove(rule)
        return
    elements = rule.get("set")
    if not isinstance(elements, Entries) or element not in elements:
        near = hint(element, elements if isinstance(elements, Entries) else ())
        problems.append(f"{target.place}: {name} has no element {element!r} to remove{near}")
        return
    del elements[element]


def _change(resources: Items, path: str, node: Node, problems: list[str]) -> None:
    """Replace ``Patient.gender``, or a key of the rule itself: ``Patient/update``."""
    name, sign, element = path.partition("/")
    if sign:
        rule = _find(resources, name, node.place, problems)
        if rule is not None:
            rule[element] = node
            rule.places[element] = node.place
        return
    name, _, element = path.partition(".")
    rule = _find(resources, name, node.place, problems)
    if rule is None:
        return
    elements = rule.setdefault("set", Entries())
    if not element or not isinstance(elements, Entries):
        problems.append(f"{node.place}: say which element of {name} to set")
        return
    for known in [key for key in elements if key == element or key.startswith(f"{element}.")]:
        del elements[known]
    elements[element] = node
    elements.places[element] = node.place


def _unshared(tree: Entries) -> Entries:
    """Return a copy as deep as an overlay changes anything: to the elements that a rule sets."""
    made = _shallow(tree)
    if isinstance(rules := tree.get("resources"), Items):
        items = Items(_rule(one) if isinstance(one, Entries) else one for one in rules)
        items.place = rules.place
        made["resources"] = items
    return made


def _rule(rule: Entries) -> Entries:
    made = _shallow(rule)
    if isinstance(elements := rule.get("set"), Entries):
        made["set"] = _shallow(elements)
    return made


def _shallow(node: Entries) -> Entries:
    made = Entries(node)
    made.place, made.places = node.place, dict(node.places)
    return made


def copied(node: Any) -> Any:
    """Return a copy of all of it, of which everything may be changed."""
    if isinstance(node, Entries):
        made = Entries({key: copied(value) for key, value in node.items()})
        made.place, made.places = node.place, copy(node.places)
        return made
    if isinstance(node, Items):
        items = Items(copied(one) for one in node)
        items.place = node.place
        return items
    return node


def none(node: Entries) -> Items:
    """Return an empty list that stands where ``node`` does."""
    made = Items()
    made.place = node.place
    return made


def made_types(tree: Entries) -> frozenset[str]:
    """Return the types that a map makes, those inside ``emit`` and in values included."""
    found: set[str] = set()

    def walk(node: Node) -> None:
        if isinstance(node, Entries):
            if isinstance(make := node.get("make"), Text):
                found.add(str(make))
            for value in node.values():
                walk(value)
        elif isinstance(node, Items):
            for value in node:
                walk(value)

    walk(tree)
    return frozenset(found)
