"""A map as written -> a compiled map.  A rule that several maps share is compiled once."""

from collections.abc import Mapping

from mappings.compile import Compiler
from mappings.context import Reads
from mappings.engine import CompiledMap
from mappings.language import Entries, Items, Node, texts
from mappings.overlay import none
from mappings.parse import bit
from mappings.resource import ResourceRule, precedence, resource_rule
from mappings.segments import fields_of, type_of
from mappings.tables import Table

_MOST_KEPT = 4096  # rules; more come only from tests that write maps
_kept: dict[tuple[object, ...], tuple[ResourceRule, Reads]] = {}


def compiled_map(
    name: str,
    tree: Entries,
    made: frozenset[str],
    tables: Mapping[str, Table],
    problems: list[str],
    *,
    tables_state: int,
) -> CompiledMap:
    """Compile a map; ``made`` are the resource types that its references may name.

    ``tables_state``: :func:`state_of` the tables, made once for all the maps of a load.
    """
    resources = tree.get("resources", none(tree))
    rules = resources if isinstance(resources, Items) else none(tree)
    reads = Reads()
    state = (made, tables_state)
    compiled = [_rule(one, reads, state, made, tables, problems) for one in rules]
    last = Compiler(tables, problems, made)
    order = precedence(tree.get("precedence"), last)
    reads.add(last.reads)
    on = tuple(str(text) for text in texts(tree["on"])) if "on" in tree else ()
    if not on:
        problems.append(f"{tree.place}: on: names the messages of the map, such as ADT^A01")
    fields: dict[str, set[int]] = {}
    for segment, number in reads.fields:
        fields.setdefault(segment, set()).add(number)
    return CompiledMap(
        name=name,
        on=on,
        rules=tuple(rule for rule in compiled if rule is not None),
        precedence=order,
        segments=frozenset(reads.segments),
        reads={segment: frozenset(numbers) for segment, numbers in fields.items()},
        expected={name: _expected(name, fields.get(name, set())) for name in reads.segments},
        targets={at: frozenset(targets) for at, targets in reads.targets.items()},
    )


def _expected(segment: str, read: set[int]) -> int:
    """Return the bits of the fields that are read, of the name and of numbers of lines (SI)."""
    counts = {n for n in range(1, fields_of(segment) + 1) if type_of(segment, n) == "SI"}
    return sum(bit(n) for n in {0} | read | counts)


def _rule(
    node: Node,
    reads: Reads,
    state: tuple[object, ...],
    made: frozenset[str],
    tables: Mapping[str, Table],
    problems: list[str],
) -> ResourceRule | None:
    key = (node.place, repr(node), *state)
    if (kept := _kept.get(key)) is not None:
        reads.add(kept[1])
        return kept[0]
    found: list[str] = []
    compiler = Compiler(tables, found, made)
    rule = resource_rule(node, compiler)
    problems += found
    reads.add(compiler.reads)
    if rule is not None and not found:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[key] = rule, compiler.reads
    return rule


def state_of(tables: Mapping[str, Table]) -> int:
    """Return a number, equal for equal tables: rules are checked against them, and hold names."""
    return hash(frozenset((name, frozenset(one.codes.items())) for name, one in tables.items()))
