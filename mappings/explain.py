"""The whole explanation of a message: what was noted while it was mapped, and what need not be.

Mapping notes what only it knows.  Constants, references, the places of what was shown or made, and
fields in whose place another was taken follow from message, map and plan: they are worked out here,
when somebody asks.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from mappings.language import Entries
from mappings.parse import NULL, Message, Segment
from mappings.plan import ExplainRow, Plan, PlannedResource
from mappings.rules import RULES
from mappings.stated import Stated, stated
from server.fhir.definitions import children

Leaf = tuple[str, Any]

_INDEX = re.compile(r"\[\d+\]")
_FIELD = re.compile(r"([A-Z][A-Z0-9]{2})((?:\[\d+\])?)-(\d+)")
_TO_PLAN = "plan:"
_MOST_TOLD = 3  # elements that a field could have been


def whole(plan: Plan, tree: Entries, message: Message) -> list[ExplainRow]:
    """Return all rows: the noted ones at their places, constants and references, unused fields.

    ``tree`` is the map that made the plan, as written.
    """
    leaves = [leaf for one in plan.resources for leaf in _leaves(one.label, one.values)]
    said = stated(tree)
    rows = _Places(plan, leaves, said).placed()
    rows += list(_constants(leaves, said, {row.target for row in rows}))
    rows += list(_references(plan, leaves, said, rows, message))
    return rows + list(_unused(plan, rows, said, message))


def _leaves(path: str, value: Any) -> Iterator[Leaf]:
    """Yield the values of a resource that are no object and no list, each with its path."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name != "resourceType":
                yield from _leaves(f"{path}.{name}", one)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _leaves(f"{path}[{at}]", one)
    else:
        yield path, value


def _fields(source: str) -> Iterator[tuple[str, str, int]]:
    """Yield the fields that a row names: segment, which of them (``[2]``), number."""
    for name, which, number in _FIELD.findall(source):
        yield name, which, int(number)


def _speaks_of(field: str, source: str) -> bool:
    """Whether a row's source is (inside) a field of the map: ``AIG-3`` and ``AIG[2]-3[1].2``."""
    wanted = [(name, number) for name, _, number in _fields(field)]
    return any((name, number) in wanted for name, _, number in _fields(source))


# -- places of what was noted without one --------------------------------------------------------


class _Places:
    """Gives rows of made resources, and of those that are only shown, the elements they are in."""

    def __init__(self, plan: Plan, leaves: list[Leaf], said: Stated) -> None:
        self._rows = plan.explain
        self._labels = {
            (one.type, str(number.get("value"))): one.label
            for one in plan.resources
            if one.shared
            for number in one.values.get("identifier", ())
        }
        self._shown = [
            (path, str(value), said.makes.get(_INDEX.sub("", path).removesuffix(".display"), []))
            for path, value in leaves
            if path.endswith(".display")
        ]

    def placed(self) -> list[ExplainRow]:
        return [row._replace(target=self._place(row)) for row in self._rows]

    def _place(self, row: ExplainRow) -> str:
        if row.target == "Reference.display":
            return self._display(row)
        type_, dot, rest = row.target.partition(".")
        if rest == "identifier[0].value" and (found := self._labels.get((type_, row.value))):
            return f"{found}{dot}{rest}"
        return row.target

    def _display(self, row: ExplainRow) -> str:
        for at, (path, value, fields) in enumerate(self._shown):
            if value == row.value and any(_speaks_of(one, row.source) for one in fields):
                del self._shown[at]
                return path
        return row.target


# -- what was not noted --------------------------------------------------------------------------


def _constants(leaves: list[Leaf], said: Stated, noted: set[str]) -> Iterator[ExplainRow]:
    for path, value in leaves:
        if str(value) in said.constants.get(_bare(path), ()) and noted.isdisjoint(_around(path)):
            yield ExplainRow(path, "", "constant", str(value))


def _around(path: str) -> Iterator[str]:
    """Yield an element and those that it is inside of, not the resource."""
    while "." in path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["))]


@lru_cache(maxsize=4096)
def _bare(path: str) -> str:
    return _INDEX.sub("", path)


def _references(
    plan: Plan, leaves: list[Leaf], said: Stated, rows: list[ExplainRow], message: Message
) -> Iterator[ExplainRow]:
    made = {one.label: _numbers(one) for one in plan.resources if one.shared}
    sources: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        sources[row.target.removesuffix(".identifier[0].value")].append(row.source)
    for path, value in leaves:
        if not (path.endswith(".reference") and str(value).startswith(_TO_PLAN)):
            continue
        element, label = path.removesuffix(".reference"), str(value).removeprefix(_TO_PLAN)
        source = ""
        if label in made:
            fields = said.makes.get(_bare(element), [])
            known = sources.get(label, [])
            found = [one for one in known if any(_speaks_of(field, one) for field in fields)]
            # The same doctor stands in another field as well, from which he was made.
            found = found or [one for one in fields if _holds(message, one, made[label])]
            source = " or ".join(dict.fromkeys(found or known[:1]))
        yield ExplainRow(element, source, "reference", label)


def _numbers(resource: PlannedResource) -> set[str]:
    """Return the parts of a made resource's identifiers, as fields hold them."""
    numbers = [str(one.get("value")) for one in resource.values.get("identifier", ())]
    return {part for number in numbers for part in re.split("[:/]", number)}


def _holds(message: Message, field: str, parts: set[str]) -> bool:
    """Whether any segment has one of the texts as a component of the field."""
    separators = f"[{re.escape(message.delimiters[1:])}]"
    return any(
        segment.name == name and not parts.isdisjoint(re.split(separators, segment.raw(number)))
        for segment in message.segments
        for name, _, number in _fields(field)
    )


# -- fields that were read, and gave nothing -----------------------------------------------------

# Rules in Python look at these beside what they note: nothing is known of each.
_QUIETLY_READ = frozenset(
    (name, number)
    for rule in RULES.values()
    for text in rule.reads
    for name, _, number in _fields(text)
)


def _unused(
    plan: Plan, rows: list[ExplainRow], said: Stated, message: Message
) -> Iterator[ExplainRow]:
    """Yield the fields that could have been an element, and another was, or nothing."""
    named = {found for row in rows for found in _fields(row.source)}
    labels: dict[str, set[str]] = defaultdict(set)  # by segment: the resources that it tells of
    for row in rows:
        for name, which, _ in _fields(row.source):
            labels[name + which].add(row.target.partition(".")[0])
    reached: dict[tuple[str, int], set[str]] = defaultdict(set)
    for source, elements in said.whole.items():
        for name, _, number in _fields(source):
            reached[name, number] |= elements
    sources = _sources(rows)
    for segment in message.segments:
        for number, raw in _read(segment, reached):
            which = segment.label.removeprefix(segment.name)
            if named.isdisjoint({(segment.name, which, number), (segment.name, "", number)}):
                field = f"{segment.name}-{number}"
                wanted = reached[segment.name, number]
                how = _why(plan, field, wanted, labels[segment.label], sources)
                if how:
                    yield ExplainRow("", f"{segment.label}-{number}", how, raw)


def _read(segment: Segment, reached: Collection[tuple[str, int]]) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(segment.fields):
        at = segment.name, number
        if raw and raw != NULL and at in reached and at not in _QUIETLY_READ:
            yield number, raw


def _sources(rows: list[ExplainRow]) -> dict[str, list[str]]:
    """Return by element (``Appointment[2].reasonCode``) the fields that its values came from."""
    made: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        label, _, rest = row.target.partition(".")
        element = f"{label}.{re.split('[.[]', rest)[0]}"
        made[element] += [f"{name}-{number}" for name, _, number in _fields(row.source)]
    return made


def _why(
    plan: Plan, field: str, wanted: set[str], labels: set[str], sources: Mapping[str, list[str]]
) -> str:
    """Return what stands in the place of a field's value; ``""`` when that is not known."""
    others: dict[str, None] = {}
    empty: dict[str, None] = {}
    for type_, _, top in (element.partition(".") for element in sorted(wanted)):
        names = _choices(type_, top)
        for one in [one for one in plan.resources if one.type == type_ and one.label in labels]:
            there = names & one.values.keys()
            found = [source for name in there for source in sources.get(f"{one.label}.{name}", ())]
            if there and (not found or field in found):
                return ""
            if there:
                others[f"{one.label}.{min(there)} is from {', '.join(dict.fromkeys(found))}"] = None
            else:
                empty[f"{one.label}.{top} has no value"] = None
    told = others or empty
    return f"not taken: {'; '.join([*told][:_MOST_TOLD])}" if told else ""


@lru_cache(maxsize=4096)
def _choices(type_: str, name: str) -> frozenset[str]:
    """Return the name of an element, and of a choice those of all its types."""
    known = children(type_)
    choice = known[name].choice if name in known else None
    if choice is None:
        return frozenset({name})
    return frozenset(one for one, child in known.items() if child.choice == choice)
