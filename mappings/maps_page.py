"""The page docs/hl7v2-maps.md, made from the packaged maps: message -> resources."""

from collections.abc import Iterator

from mappings.language import Entries, Items, Node, Text, texts
from mappings.load import load
from mappings.tables import Table

_HEAD = """# HL7v2 messages -> FHIR resources

Made from `mappings/base` and `terminology/maps` by `scripts/gen_docs.py`; the language, identities
and defaults are explained in [hl7v2.md](hl7v2.md).
"""


def maps_page() -> str:
    """Return the page; deterministic, ends with a line end."""
    loaded = load([], [])
    parts = [name for name, tree in loaded.written.items() if "part" in tree]
    maps = [name for name in loaded.written if name not in parts]
    made = [_HEAD, _overview({name: loaded.trees[name] for name in maps})]
    made += [_map(name, loaded.written[name]) for name in [*maps, *parts]]
    made.append(_tables(loaded.tables))
    return "\n".join(made)


def _overview(trees: dict[str, Entries]) -> str:
    lines = ["## Messages", "", "| message | map | resources |", "|---|---|---|"]
    for name, tree in trees.items():
        made = ", ".join(dict.fromkeys(str(rule["make"]) for rule in _rules(tree)))
        lines += [f"| {_cell(str(event))} | {name} | {made} |" for event in texts(tree["on"])]
    return "\n".join([*lines, ""])


def _rules(tree: Entries) -> Iterator[Entries]:
    resources = tree.get("resources", Items())
    assert isinstance(resources, Items)
    for rule in resources:
        assert isinstance(rule, Entries)
        yield rule


def _map(name: str, tree: Entries) -> str:
    lines = [f"## {name}", ""]
    lines += [f"The rules of {tree['part']}.", ""] if "part" in tree else []
    if "extends" in tree:
        named = ", ".join(f"[{one}](#{_anchor(str(one))})" for one in texts(tree["extends"]))
        lines += [f"Made of {named}.", ""]
    changes = tree.get("set", Entries())
    assert isinstance(changes, Entries)
    lines += [f"- {path}: {_cell(_said(node))}" for path, node in changes.items()]
    lines += [f"- without {one}" for one in texts(tree.get("remove", Items()))]
    lines += [""] if len(changes) or "remove" in tree else []
    for rule in _rules(tree):
        lines += _rule(rule)
    return "\n".join(lines)


def _rule(rule: Entries) -> list[str]:
    segment = rule.get("each", rule.get("from"))
    lines = [f"### {rule['make']} from {'each ' if 'each' in rule else ''}{segment}", ""]
    told = ("when", "note", "update", "snapshot", "clear")
    lines += [f"- {key}: {_cell(_said(rule[key]))}" for key in told if key in rule]
    identity = rule.get("identity", Items())
    found = identity if isinstance(identity, Items) else [identity]
    lines += [f"- found by {_cell(_said(one))}" for one in found]
    lines += ["", "| element | from |", "|---|---|"]
    elements = rule.get("set", Entries())
    assert isinstance(elements, Entries)
    lines += [f"| {name} | {_cell(_said(value))} |" for name, value in elements.items()]
    return [*lines, ""]


def _said(node: Node) -> str:
    """Return a rule as a short text."""
    if isinstance(node, Text):
        return str(node)
    if isinstance(node, Items):
        return "; ".join(_said(one) for one in node)
    return ", ".join(_entry(key, value) for key, value in node.items() if key != "note")


def _entry(key: str, value: Node) -> str:
    if isinstance(value, Text):
        return f"{key} {value}"
    return f"{key} ({_said(value)})"


def _tables(tables: dict[str, Table]) -> str:
    lines = ["## Tables", "", "| table | codes | of | to |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {len(table.codes)} | {table.source or '-'} | {table.system or '-'} |"
        for name, table in sorted(tables.items())
    ]
    return "\n".join([*lines, ""])


def _anchor(name: str) -> str:
    return name.lower().replace("/", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
