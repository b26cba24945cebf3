"""How a mapped resource is found again: the ``identity`` of a resource rule.

Alternatives are tried in order, the first that the message can fill wins:

    identity:
      - identifier: PV1-19            # every identifier of the field; any of them finds it
      - search: [patient, code]       # all of these search parameters, from the resource itself
      - key: [PV1-44]                 # a derived identifier: a hash of these values,
        with: [subject]               #   together with these search parameters

Nothing here may depend on MSH-7 or MSH-10: the same content sent again must find what it made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any

from mappings.compile import Compiler
from mappings.conditions import Condition
from mappings.datatypes import converter
from mappings.feed import NAMESPACE, urn
from mappings.identifiers import BARE, Bare
from mappings.language import Entries, Items, Node, Text, texts
from mappings.paths import Path, Reader
from mappings.repetition import MOST_COMPONENTS
from mappings.source import Scope, tokens
from mappings.spelling import hint
from server.fhir.definitions import children, search_parameters

Alternatives = tuple[tuple[tuple[str, str], ...], ...]

_KEYS = frozenset({"identifier", "search", "key", "with", "when", "prefer", "note"})
MOST_IDENTIFIERS = 100  # a resource is looked for by each of them
_FORBIDDEN = frozenset({("MSH", 7), ("MSH", 10)})
_SUBJECTS = ("patient", "subject", "beneficiary")


@dataclass(slots=True)
class Found:
    """An identity.  ``derived`` is the identifier to add to the resource, when one was made."""

    any_of: Alternatives
    derived: dict[str, str] | None = None


# (scope, values of the resource, number of the same key in this message) -> identity, or nothing
Finder = Callable[[Scope, dict[str, Any], int], Found | None]


def identity(node: Node | None, type_: str, compiler: Compiler) -> Finder:
    """Compile ``identity``; what is wrong goes to the compiler's problems."""
    if node is None:
        return lambda _scope, _values, _number: None
    nodes = node if isinstance(node, Items) else [node]
    finders = [_alternative(one, type_, compiler) for one in nodes]

    def first(scope: Scope, values: dict[str, Any], number: int) -> Found | None:
        for finder in finders:
            if found := finder(scope, values, number):
                return found
        return None

    return first


def _alternative(node: Node, type_: str, compiler: Compiler) -> Finder:
    if not isinstance(node, Entries) or not {"identifier", "search", "key"} & node.keys():
        compiler.problem(node, "an identity has 'identifier:', 'search:' or 'key:'")
        return lambda _scope, _values, _number: None
    for key in node.keys() - _KEYS:
        compiler.problem(node, f"an identity has no key {key!r}{hint(key, _KEYS)}")
    test = compiler.condition(node)
    if "identifier" in node:
        finder = _by_identifier(node, compiler)
    elif "search" in node:
        finder = _by_search(_params(node["search"], type_, compiler))
    else:
        finder = _by_key(node, type_, compiler)
    return _when(test, finder) if test else finder


def _when(test: Condition, finder: Finder) -> Finder:
    return lambda scope, values, number: finder(scope, values, number) if test(scope) else None


def _by_identifier(node: Entries, compiler: Compiler) -> Finder:
    paths = _paths(node["identifier"], compiler)
    prefer = [str(text) for text in texts(node["prefer"])] if "prefer" in node else []
    converters = [(path.reader(), converter(path.type(""), "Identifier")) for path in paths]
    sources = [(read, convert) for read, convert in converters if convert is not None]
    known = [(read, BARE[convert]) for read, convert in sources if convert in BARE]
    if len(known) == len(sources):
        return _by_number(known, prefer)

    def find(scope: Scope, _values: dict[str, Any], _number: int) -> Found | None:
        made: list[dict[str, Any]] = []
        rows = scope.run.rows
        noted = len(rows)  # the values are explained where they are set
        for read, convert in sources:
            for one in read(scope):
                value = convert(one, "")
                made += value if isinstance(value, list) else [value] if value else []
        del rows[noted:]
        if prefer and len(made) > 1:
            made.sort(key=lambda identifier: _rank(identifier, prefer))
        found = tokens(made)[:MOST_IDENTIFIERS]
        return Found(tuple((("identifier", token),) for token in found)) if found else None

    return find


def _by_number(sources: list[tuple[Reader, Bare]], prefer: Sequence[str]) -> Finder:
    """The same for identifiers that need no conversion to be known."""

    def find(scope: Scope, _values: dict[str, Any], _number: int) -> Found | None:
        made: list[tuple[str, str]] = []  # token, code of its type
        for read, bare in sources:
            for one in read(scope):
                token, kind = bare(one)
                if token:
                    made.append((token, kind))
        if not made:
            return None
        if prefer and len(made) > 1:
            ranks = {code: at for at, code in enumerate(prefer)}
            made.sort(key=lambda one: ranks.get(_code_of_type(scope, one[1]), len(ranks)))
        found = list(dict.fromkeys([token for token, _ in made]))[:MOST_IDENTIFIERS]
        return Found(tuple([(("identifier", token),) for token in found]))

    return find


def _code_of_type(scope: Scope, kind: str) -> str:
    found = scope.run.lookup("IdentifierType", kind) if kind else None
    return found.code if found is not None else ""


def _rank(identifier: dict[str, Any], prefer: Sequence[str]) -> int:
    codes = [one.get("code") for one in identifier.get("type", {}).get("coding", ())]
    return min((prefer.index(code) for code in codes if code in prefer), default=len(prefer))


def _by_search(params: Sequence[str]) -> Finder:
    def find(scope: Scope, values: dict[str, Any], _number: int) -> Found | None:
        each = [
            [(param, value) for value in search_values(scope, values, param)] for param in params
        ]
        return Found(tuple(product(*each))) if all(each) else None

    return find


def _by_key(node: Entries, type_: str, compiler: Compiler) -> Finder:
    parts = [
        _part(one, compiler) for one in (node["key"] if isinstance(node["key"], Items) else [])
    ]
    if not parts:
        compiler.problem(node["key"], "key: needs a list of fields")
    params = _params(node["with"], type_, compiler) if "with" in node else []
    if "identifier" not in children(type_):
        compiler.problem(node, f"{type_} has no identifier to hold a key")

    def find(scope: Scope, values: dict[str, Any], number: int) -> Found | None:
        texts_ = [part(scope) for part in parts]
        if not any(texts_):
            return None
        with_ = [search_values(scope, values, param) for param in params]
        if not all(with_):
            return None
        if number > 1:
            texts_.append(f"#{number}")
        digest = sha256("\x1f".join([type_, *texts_]).encode()).hexdigest()[:32]
        system = f"{NAMESPACE}:key:{urn(scope.run.feed.name)}"
        pairs = tuple((param, found[0]) for param, found in zip(params, with_, strict=True))
        return Found(
            ((*pairs, ("identifier", f"{system}|{digest}")),),
            {"system": system, "value": digest},
        )

    return find


def _part(node: Node, compiler: Compiler) -> Callable[[Scope], str]:
    """A field with all its components, or the first of several that was sent."""
    options = node.get("first") if isinstance(node, Entries) else None
    if isinstance(options, Items):
        parts = [_part(one, compiler) for one in options]
        return lambda scope: next((text for part in parts if (text := part(scope))), "")
    path = compiler.path(node)
    if path is None:
        return lambda _scope: ""
    if (path.segment, path.field) in _FORBIDDEN:
        compiler.problem(node, f"{path.source} changes when a message is sent again")

    read = path.reader()
    component = 0 if path.repeat or path.sub else path.component
    if not path.segment or component > MOST_COMPONENTS:
        component = 0
    around = Path(path.source, path.segment, path.field, 0, 0, 0).reader() if component else read

    def text(scope: Scope) -> str:
        if component and scope.run.plain:  # a component is one text
            sent = [v for v in around(scope) if v.texts[component]]
            return "~".join([v.parts[component - 1].rstrip("^") for v in sent]) if sent else ""
        below = scope.run.sub_separator
        made = [
            "^".join([part.replace(below, "&") for part in v.parts]).rstrip("^")
            for v in read(scope)
            if v.texts[1] or v.whole()
        ]
        return "~".join(made) if made else ""

    return text


def search_values(scope: Scope, values: dict[str, Any], param: str) -> list[str]:
    """Return what a search parameter would find in the resource: tokens, or a reference."""
    element = values.get(param)
    if element is None and param in _SUBJECTS:
        element = next((values[name] for name in _SUBJECTS if name in values), None)
    if not isinstance(element, dict):
        return []
    if "reference" in element:
        gone = element["reference"].removeprefix("plan:") in scope.run.dropped
        return [] if gone else [element["reference"]]
    return [
        f"{coding['system']}|{coding['code']}"
        for coding in element.get("coding", ())
        if "system" in coding and "code" in coding
    ]


def _params(node: Node, type_: str, compiler: Compiler) -> list[str]:
    found = [str(text) for text in texts(node)]
    known = search_parameters(type_)
    for name in found:
        if name not in known:
            compiler.problem(node, f"{type_} has no search parameter {name!r}{hint(name, known)}")
    return found


def _paths(node: Node, compiler: Compiler) -> list[Path]:
    nodes: list[Text] = list(texts(node))
    return [path for one in nodes if (path := compiler.path(one)) is not None]
