"""Rules of fields: YAML -> a function that gives the repetitions of a field.

The type of the element is known from R4, that of the field from the segment tables, so
``PID-5: name`` means HumanName -> XPN for every name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mappings.emit_conditions import Condition, ConditionError, Reads, condition
from mappings.emit_functions import FUNCTIONS
from mappings.emit_paths import ElementError, ElementPath, element_path, here_path
from mappings.emit_run import Scope
from mappings.encode import Field, Repetition
from mappings.encode_references import REFERENCES
from mappings.encode_types import Encode, encoder, tabled
from mappings.language import Entries, Items, Node, Text
from mappings.spelling import hint
from mappings.tables import Table

Rule = Callable[[Scope], Field]
_KEYS = (
    "from", "const", "table", "default", "first", "join", "sep", "when", "each", "event", "fn",
    "to", "also",
)  # fmt: skip
_COMPONENT_KEYS = tuple(f".{n}" for n in range(1, 31))


@dataclass(slots=True)
class Compiler:
    """What rules are compiled with.  ``roots``: FHIR type of each resource that the map names."""

    tables: Mapping[str, Table]
    problems: list[str]
    roots: dict[str, str] = field(default_factory=dict)
    reads: Reads = field(default_factory=Reads)

    def problem(self, node: Node, text: str) -> None:
        """Note a fault at the place of ``node``."""
        self.problems.append(f"{node.place}: {text}")

    def path(self, node: Node, here: str) -> ElementPath | None:
        """Compile the element path that ``node`` is, ``.`` for the value at hand."""
        if not isinstance(node, Text):
            self.problem(node, "a path such as name.family stands here")
            return None
        if str(node) == ".":
            return here_path(here)
        try:
            return element_path(str(node), here, self.roots)
        except ElementError as wrong:
            self.problem(node, str(wrong))
            return None

    def condition(self, node: Node, here: str) -> Condition:
        """Compile a condition; one that is wrong is noted."""
        try:
            if not isinstance(node, Text):
                raise ConditionError("a condition is one text")
            return condition(str(node), here, self.roots, self.reads)
        except ConditionError as wrong:
            self.problem(node, str(wrong))
            return lambda _scope: False

    def rule(self, node: Node, here: str, target: str) -> Rule:
        """Compile a rule for a field or component of HL7v2 type ``target``."""
        if isinstance(node, Text):
            return self._from(node, here, target, None)
        if isinstance(node, Items):
            parts = [self.rule(one, here, target) for one in node]
            return lambda scope: [made for part in parts for made in part(scope)]
        if any(key.startswith(".") for key in node):
            return self._components(node, here)
        return self._entries(node, here, target)

    def _entries(self, node: Entries, here: str, target: str) -> Rule:
        for key in node.keys() - {*_KEYS, "note"}:
            self.problems.append(f"{node.places[key]}: a rule has no key {key!r}{hint(key, _KEYS)}")
        over: ElementPath | None = None
        outer = here
        if "each" in node:
            over = self.path(node["each"], here)
            here = over.type if over is not None else here
        made = self._source(node, here, str(node.get("to", target)))
        if "default" in node:
            made = _defaulted(made, str(node["default"]))
        if "also" in node:
            made = _also(made, self._parts(node["also"], here))
        if "when" in node:
            made = _only(made, self.condition(node["when"], outer if over is None else here))
        return made if over is None else _over(made, over)

    def _source(self, node: Entries, here: str, target: str) -> Rule:
        if "const" in node:
            value: Field = [_constant(str(node["const"]))]
            return lambda _scope: value
        if "first" in node:
            inner = node["first"]
            parts = (
                [self.rule(one, here, target) for one in inner] if isinstance(inner, Items) else []
            )
            if not parts:
                self.problem(node, "first is a list of rules")
            return _first(parts)
        if "join" in node:
            return self._join(node, here)
        if "event" in node:
            return self._event(node["event"])
        if "fn" in node:
            return self._function(node, here)
        if "from" in node:
            return self._from(node["from"], here, target, node.get("table"))
        self.problem(node, "a rule has one of from, const, first, join, event, fn")
        return lambda _scope: []

    def _from(self, node: Node, here: str, target: str, table: Node | None) -> Rule:
        path = self.path(node, here)
        if path is None:
            return lambda _scope: []
        write = self._encoder(node, path, target, table)
        if write is None:
            return lambda _scope: []

        def made(scope: Scope) -> Field:
            values = path.values(scope.here, scope.run)
            if not values:  # most elements of a resource are not there
                return []
            found = [write(scope.run, one) for one in values]
            return [one for one in found if one and any(one)]

        return made

    def _encoder(
        self, node: Node, path: ElementPath, target: str, table: Node | None
    ) -> Encode | None:
        if table is not None:
            known = self.tables.get(str(table))
            if known is None:
                self.problem(
                    table, f"there is no table {str(table)!r}{hint(str(table), self.tables)}"
                )
                return None
            found = tabled(path.type, target, known)
        elif path.type == "Reference":
            found = REFERENCES.get(target or "XCN")
        else:
            found = encoder(path.type, target)
        if found is None:
            way = f" through {table}" if table is not None else ""
            self.problem(node, f"{path.type} ({node}) cannot be written as {target or '?'}{way}")
        return found

    def _parts(self, node: Node, here: str) -> list[tuple[int, Rule]]:
        if not isinstance(node, Entries):
            self.problem(node, "components are {.1: rule}")
            return []
        parts: list[tuple[int, Rule]] = []
        for key, inner in node.items():
            if key in ("when", "note"):
                continue
            if key not in _COMPONENT_KEYS:
                self.problems.append(f"{node.places[key]}: {key!r} is no component such as .1")
            else:
                parts.append((int(key[1:]), self.rule(inner, here, "ST")))
        return parts

    def _components(self, node: Entries, here: str) -> Rule:
        parts = self._parts(node, here)
        when = self.condition(node["when"], here) if "when" in node else None

        def made(scope: Scope) -> Field:
            one: Repetition = []
            for number, rule in parts:
                if found := rule(scope):
                    one += [""] * (number - len(one))
                    first = found[0]
                    one[number - 1] = first[0] if len(first) == 1 else _sub(first)
            return [one] if any(one) else []

        return made if when is None else _only(made, when)

    def _join(self, node: Entries, here: str) -> Rule:
        inner = node["join"]
        parts = [self.rule(one, here, "ST") for one in inner] if isinstance(inner, Items) else []
        sep = str(node.get("sep", " "))

        def made(scope: Scope) -> Field:
            texts = [one[0] for part in parts for one in part(scope) if one]
            text = sep.join(one for one in texts if isinstance(one, str) and one)
            return [[text]] if text else []

        return made

    def _event(self, node: Node) -> Rule:
        if not isinstance(node, Entries) or not all(isinstance(v, Text) for v in node.values()):
            self.problem(node, "event is {A01: value, default: value}")
            return lambda _scope: []
        values: dict[str, Field] = {key: [_constant(str(value))] for key, value in node.items()}
        rest = values.pop("default", [])
        return lambda scope: values.get(scope.run.event, rest)

    def _function(self, node: Entries, here: str) -> Rule:
        name = str(node["fn"])
        found = FUNCTIONS.get(name)
        if found is None:
            self.problem(node["fn"], f"there is no rule {name!r}{hint(name, FUNCTIONS)}")
            return lambda _scope: []
        path = self.path(node["from"], here) if "from" in node else None
        function = found

        def made(scope: Scope) -> Field:
            values = path.values(scope.here, scope.run) if path is not None else []
            return function(scope, values)

        return made


def _constant(text: str) -> Repetition:
    """Return a constant: ``^`` parts its components, as an analyst writes it."""
    return list(text.split("^"))


def _sub(components: Repetition) -> list[str]:
    return [one if isinstance(one, str) else one[0] for one in components]


def _first(parts: Sequence[Rule]) -> Rule:
    def made(scope: Scope) -> Field:
        for part in parts:
            if found := part(scope):
                return found
        return []

    return made


def _defaulted(rule: Rule, text: str) -> Rule:
    return lambda scope: rule(scope) or [_constant(text)]


def _also(rule: Rule, parts: list[tuple[int, Rule]]) -> Rule:
    """Fill components of each repetition, where they are empty."""

    def made(scope: Scope) -> Field:
        found = [list(one) for one in rule(scope)]
        for one in found:
            for number, part in parts:
                value = part(scope)
                one += [""] * (number - len(one))
                if value and not one[number - 1]:
                    one[number - 1] = value[0][0]
        return found

    return made


def _only(rule: Rule, when: Condition) -> Rule:
    return lambda scope: rule(scope) if when(scope) else []


def _over(rule: Rule, path: ElementPath) -> Rule:
    def made(scope: Scope) -> Field:
        found = path.values(scope.here, scope.run)
        return [one for value in found for one in rule(scope.at(value))]

    return made
