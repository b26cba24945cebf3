"""A resource on its way into the plan, and one where two turn out to be the same."""

from collections.abc import Mapping
from typing import Any

from mappings.identity import Alternatives
from mappings.resource import ResourceRule
from mappings.source import Instance, Run

_NONE: set[str] = set()  # shared; nobody adds to it


class Draft:
    """A resource on its way into the plan."""

    __slots__ = ("any_of", "filled", "instance", "label", "nulls", "rule")

    def __init__(self, instance: Instance, rule: ResourceRule | None) -> None:
        self.instance = instance
        self.rule = rule
        self.label = instance.label
        self.any_of: Alternatives = ()
        self.filled: set[str] = _NONE
        self.nulls: set[str] = _NONE

    def relink(self, dropped: set[str], same: Mapping[str, str]) -> None:
        """Refer to no dropped resource, and to others under the label that they have in the end."""
        self.instance.values = _relinked(self.instance.values, dropped, same)
        self.any_of = tuple(
            tuple((param, _renamed(value, same)) for param, value in pairs) for pairs in self.any_of
        )


def united(drafts: list[Draft], run: Run) -> tuple[list[Draft], dict[str, str]]:
    """Unite what is the same by identity; return what is left, and label -> label that it is."""
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Draft] = {}
    same: dict[str, str] = {}
    left: list[Draft] = []
    for draft in drafts:
        type_, any_of, first = draft.instance.type, draft.any_of, None
        if len(any_of) == 1 and (key := (type_, any_of[0])) not in known:  # most of them
            known[key] = draft
            left.append(draft)
            continue
        keys = [(type_, pairs) for pairs in any_of]
        for key in keys:
            if key in known:
                first = known[key]
                break
        if first is None:
            left.append(draft)
            first = draft
        else:
            same[draft.label] = first.label
            _unite(first, draft)
            run.row(draft.label, "", f"the same as {first.label}: united with it")
        for key in keys:
            known.setdefault(key, first)
    return left, same


def _unite(first: Draft, second: Draft) -> None:
    into = first.instance.values
    for name, value in second.instance.values.items():
        have = into.get(name)
        if have is None:
            into[name] = value
        elif isinstance(have, list):
            have += [one for one in value if one not in have]
    first.any_of += tuple(pairs for pairs in second.any_of if pairs not in first.any_of)
    first.nulls = first.nulls - into.keys()


def _relinked(value: Any, dropped: set[str], same: Mapping[str, str], depth: int = 0) -> Any:
    """Return a value without references to dropped resources, others under their last label.

    What stands inside a resource around a lost reference (a diagnosis around its Condition) is lost
    with it, unless the reference has a name to show.
    """
    if isinstance(value, list):
        return [one for item in value if (one := _relinked(item, dropped, same, depth)) is not None]
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    if isinstance(target, str) and target.startswith("plan:"):
        if target.removeprefix("plan:") in dropped:
            return {"display": value["display"]} if "display" in value else None
        return {**value, "reference": _renamed(target, same)}
    made = {name: _relinked(inner, dropped, same, depth + 1) for name, inner in value.items()}
    if depth and None in made.values():
        return None
    return {name: inner for name, inner in made.items() if inner is not None and inner != []}


def _renamed(text: str, same: Mapping[str, str]) -> str:
    label = text.removeprefix("plan:")
    return f"plan:{same[label]}" if text.startswith("plan:") and label in same else text
