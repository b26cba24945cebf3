"""``fn:`` rules: the few things that a table and a path cannot say, each a named function.

A rule gets the scope, where its value will stand, and the values of ``from``.  To add one, write it
here (or beside its subject) and name it in ``RULES``; docs/hl7v2.md lists them from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings.observation import attachment, observation_value, reference_range
from mappings.source import Repetition, Scope

Function = Callable[[Scope, str, list[Repetition]], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it does in a sentence, and the FHIR types (or choice) that it can fill."""

    function: Function
    fills: tuple[str, ...]
    says: str
    reads: tuple[str, ...] = ()


def lines(scope: Scope, to: str, values: list[Repetition]) -> str | None:
    """Return all repetitions as lines of one text."""
    text = "\n".join(v.whole() for v in values).strip()
    if not text:
        return None
    scope.run.row(to, values[0].path, "lines", text)
    return text


RULES: dict[str, Rule] = {
    "lines": Rule(lines, ("string", "markdown"), "all repetitions as the lines of one text"),
    "observation_value": Rule(
        observation_value,
        ("value",),
        "value[x] by the type in OBX-2; several values become components",
        ("OBX-2", "OBX-3", "OBX-6"),
    ),
    "reference_range": Rule(
        reference_range,
        ("Observation.referenceRange",),
        "the words, and low and high where they are numbers",
        ("OBX-2", "OBX-6"),
    ),
    "attachment": Rule(
        attachment, ("Attachment",), "the data of an ED, the address of an RP", ("OBX-2", "OBX-3")
    ),
}
