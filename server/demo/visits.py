"""What happens on the day, read from ``day.yaml``: visits and their steps."""

from dataclasses import dataclass
from datetime import datetime, time
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from server.demo.hospital import DAY, DEPARTMENTS, ZONE, Department


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a system reports: ``what`` happened ``at``, and ``how`` (see day.yaml)."""

    at: datetime
    what: str
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One encounter.  ``patient_class`` is of HL7 table 0004, "" when there is no encounter."""

    number: str
    patient: int
    department: Department
    patient_class: str
    reason: str
    diagnosis: tuple[str, str] | None
    steps: tuple[Step, ...]

    @property
    def start(self) -> datetime:
        """When the visit begins: its A01 or A04, else (planned) its first step."""
        arrivals = [step.at for step in self.steps if step.what in ("A01", "A04")]
        return arrivals[0] if arrivals else self.steps[0].at


@cache
def visits() -> tuple[Visit, ...]:
    """Return the visits of the day, in the order of the file."""
    text = (files("server.demo") / "day.yaml").read_text("utf-8")
    rows = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes strings, never objects
    return tuple(_visit(row, number) for number, row in enumerate(rows["visits"], start=1))


def clock(text: str) -> datetime:
    """Return ``HH:MM`` of the day, in the hospital's zone.

    >>> clock("07:05").isoformat()
    '2026-03-16T07:05:00+01:00'
    """
    return datetime.combine(DAY, time.fromisoformat(text), tzinfo=ZONE)


def _visit(row: dict[str, Any], number: int) -> Visit:
    code = tuple(row["diagnosis"])
    return Visit(
        number=f"V26{number:05d}",
        patient=int(row["patient"]),
        department=DEPARTMENTS[row["department"]],
        patient_class=row["class"],
        reason=row["reason"],
        diagnosis=(code[0], code[1]) if code else None,
        steps=tuple(_step(text) for text in row["steps"]),
    )


def _step(text: str) -> Step:
    at, what, *how = text.split()
    return Step(clock(at), what, tuple(how))
