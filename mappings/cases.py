"""Golden cases beside the maps: a folder with ``in.hl7`` and ``expect.yaml`` is a test.

``expect.yaml`` holds what the plan must be, every scalar as text; its key ``feed`` names the feed
(``test`` without one).  ``tellonce map test`` runs them, and maps are reloaded only when they pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mappings.files import CASES
from mappings.language import Unreadable, plain, read
from mappings.maps import Maps
from mappings.parse import Unparsable, parse
from mappings.plan import Plan, PlannedResource

_LEFT_OUT = ("UNMAPPED", "INVALID", "DROPPED", "deleted", "not m", "the same")
_RIVALS = ("value", "effective", "collected", "occurrence", "performed", "onset", "abatement")


@dataclass(frozen=True, slots=True)
class Case:
    """One case; ``folder`` holds its files."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def plan(self, maps: Maps) -> Plan:
        """Return what the maps make of the message.

        Raises:
            Unparsable, OSError: there is no message that can be read.
        """
        message = parse((self.folder / "in.hl7").read_bytes())
        return maps.plan(message, maps.feed(self._feed()))

    def differences(self, maps: Maps) -> list[str]:
        """Return where the plan is not what is expected, a line each."""
        try:
            made = {"feed": self._feed(), **outcome(self.plan(maps))}
            expected = {"feed": self._feed(), **self._expected()}
        except (Unparsable, OSError, Unreadable) as wrong:
            return [f"{self.name}: {wrong}"]
        return [f"{self.name}: {line}" for line in differences(expected, made)]

    def record(self, maps: Maps, feed: str = "test") -> None:
        """Write what the maps make of a message of ``feed`` as what is expected from now on."""
        message = parse((self.folder / "in.hl7").read_bytes())
        named = {} if feed == "test" else {"feed": feed}
        made = outcome(maps.plan(message, maps.feed(feed)))
        text = yaml.safe_dump({**named, **made}, sort_keys=False, width=110)
        (self.folder / "expect.yaml").write_text(text, "utf-8")

    def _expected(self) -> dict[str, Any]:
        node = read(self.folder / "expect.yaml", f"{self.name}/expect.yaml")
        found = plain(node)
        return found if isinstance(found, dict) else {}

    def _feed(self) -> str:
        if not (self.folder / "expect.yaml").exists():
            return "test"
        return str(self._expected().get("feed", "test"))


def cases(folders: Sequence[Path]) -> list[Case]:
    """Return the cases of folders of maps: what stands in ``cases`` there, sorted."""
    return [
        Case(found.parent)
        for folder in folders
        for found in sorted((folder / CASES).glob("*/in.hl7"))
    ]


def outcome(plan: Plan) -> dict[str, Any]:
    """Return a plan as a case states it: identities, values, and what was left out."""
    made: dict[str, Any] = {}
    if plan.quarantine:
        made |= {"quarantine": plan.quarantine, "problem": plan.problem}
    made["lane"] = plan.lane
    made["resources"] = {resource.label: _planned(resource) for resource in plan.resources}
    if plan.warnings:
        made["warnings"] = list(plan.warnings)
    rows = [row for row in plan.explain if row.how.startswith(_LEFT_OUT)]
    if rows:
        made["explain"] = [f"{row.target} <- {row.source}: {row.how}" for row in rows]
    return made


def _planned(resource: PlannedResource) -> dict[str, Any]:
    values = {name: value for name, value in resource.values.items() if name != "resourceType"}
    made: dict[str, Any] = {
        "find": [[f"{k}={v}" for k, v in pairs] for pairs in resource.identity.any_of],
        "update": resource.update,
    }
    if untouched := sorted(values.keys() - resource.touched):
        made["untouched"] = untouched
    # the other types of a choice that was sent are deleted too: that goes without saying
    if deletes := [name for name in sorted(resource.deletes) if not name.startswith(_RIVALS)]:
        made["deletes"] = deletes
    return {**made, "values": _said(values)}


def _said(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items()}
    return [_said(one) for one in value] if isinstance(value, list) else str(value)


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield where two trees of texts differ: ``Patient.values.gender: female -> unknown``.

    >>> list(differences({"a": {"b": "1"}}, {"a": {"b": "2"}, "c": "x"}))
    ["a.b: '1' -> '2'", "c: nothing -> 'x'"]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else name
            yield from differences(before.get(name), after.get(name), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for n in range(max(len(before), len(after))):
            old = before[n] if n < len(before) else None
            new = after[n] if n < len(after) else None
            yield from differences(old, new, f"{path}[{n}]")
    elif before != after:
        old, new = ("nothing" if one is None else repr(one) for one in (before, after))
        yield f"{path}: {old} -> {new}"
