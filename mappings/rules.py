"""``fn:`` rules: the few things that a table and a path cannot say, each a named function.

A rule gets the scope, where its value will stand, and the values of ``from``.  To add one, write it
here (or beside its subject) and name it in ``RULES``; docs/hl7v2.md lists them from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings import appointment
from mappings.document import document_text
from mappings.observation import attachment, observation_value, reference_range
from mappings.repetition import Repetition
from mappings.source import Scope
from mappings.timing import timing

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
    "timing": Rule(
        timing,
        ("Timing",),
        "TQ1: pattern, explicit times, start and end, how often in all",
        ("TQ1-3", "TQ1-4", "TQ1-7", "TQ1-8", "TQ1-11", "TQ1-14"),
    ),
    "appointment_start": Rule(
        appointment.appointment_start,
        ("instant",),
        "the first of SCH-11.4, TQ1-7 and the starts of the resources",
        appointment.READS,
    ),
    "appointment_end": Rule(
        appointment.appointment_end,
        ("instant",),
        "SCH-11.5 or TQ1-8, else the start and the stated duration, else the start",
        appointment.READS,
    ),
    "appointment_minutes": Rule(
        appointment.appointment_minutes,
        ("positiveInt",),
        "the duration in minutes, of SCH-9 or a resource",
        appointment.READS,
    ),
    "procedure_period": Rule(
        appointment.procedure_period,
        ("Period",),
        "PR1-5 and PR1-7, the minutes",
        ("PR1-5", "PR1-7"),
    ),
    "document_text": Rule(
        document_text,
        ("Attachment",),
        "all lines of OBX-5 that are no attachments of their own, as plain text",
        ("OBX-2", "OBX-5"),
    ),
}
