"""What laboratory, wards and radiology report, read from ``results.yaml``, with plausible values.

Values are made from the patient's number, without randomness: the same day every time.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Order:
    """One OBR: LOINC code, name, section (table 0074) and specimen (table 0070)."""

    loinc: str
    name: str
    section: str
    specimen: str


@dataclass(frozen=True, slots=True)
class Analyte:
    """One OBX: LOINC code, name, the hospital's own code, UCUM unit, reference range, digits."""

    loinc: str
    name: str
    local: str
    unit: str
    low: float
    high: float
    digits: int


@dataclass(frozen=True, slots=True)
class Panel:
    """What is ordered and measured together."""

    order: Order
    analytes: tuple[Analyte, ...]


@dataclass(frozen=True, slots=True)
class TextReport:
    r"""A report in words: microbiology, imaging.  Its lines become one OBX with ``\.br\``."""

    order: Order
    lines: tuple[str, ...]


@cache
def panels() -> dict[str, Panel]:
    """Return the panels by name.

    >>> [analyte.local for analyte in panels()["lipid"].analytes]
    ['CHOL', 'TRIG', 'HDL', 'LDL']
    """
    return {
        name: Panel(Order(*row["order"]), tuple(_analyte(*a) for a in row["analytes"]))
        for name, row in _content()["panels"].items()
    }


@cache
def reports() -> dict[str, TextReport]:
    """Return the reports in words by name."""
    return {
        name: TextReport(Order(*row["order"]), tuple(row["lines"]))
        for name, row in _content()["reports"].items()
    }


def value(analyte: Analyte, patient: int, status: str, turn: int = 1) -> float:
    """Return a result: what the story tells for the first ``turn``, else near the reference range.

    >>> value(panels()["troponin"].analytes[0], 1, "C")
    132.0
    >>> value(panels()["cbc"].analytes[2], 7, "F"), value(panels()["cbc"].analytes[2], 7, "F", 2)
    (13.7, 14.0)
    """
    told = _told().get((patient, analyte.loinc, status))
    if told is not None and turn == 1:
        return told
    seed = patient * 37 + sum(map(ord, analyte.loinc)) * 13 + (turn - 1) * 7
    spread = seed % 100 / 100 * 1.2 - 0.1  # -0.10 .. 1.09 of the reference range
    made = analyte.low + (analyte.high - analyte.low) * spread
    return round(min(made, 100) if analyte.unit == "%" else made, analyte.digits)


def flag(analyte: Analyte, found: float) -> str:
    """Return HL7 table 0078: L, H, HH (more than twice the upper limit) or N."""
    if found < analyte.low:
        return "L"
    if found > analyte.high:
        return "HH" if found > 2 * analyte.high else "H"
    return "N"


def _analyte(
    loinc: str, name: str, local: str, unit: str, low: str, high: str, digits: str
) -> Analyte:
    return Analyte(loinc, name, local, unit, float(low), float(high), int(digits))


@cache
def _told() -> dict[tuple[int, str, str], float]:
    rows = _content()["told"]
    return {(int(patient), loinc, status): float(v) for patient, loinc, status, v in rows}


@cache
def _content() -> dict[str, Any]:
    text = (files("server.demo") / "results.yaml").read_text("utf-8")
    # every scalar a string, never an object
    return dict(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506
