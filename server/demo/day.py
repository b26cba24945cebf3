"""One day of the hospital as its old systems tell it: HL7v2 messages, in the order of sending.

Pure and deterministic: the same bytes every time, so sending the day again changes nothing.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from server.demo import adt, oru
from server.demo.hospital import SYSTEMS, System, SystemName
from server.demo.patients import patients
from server.demo.results import panels, reports
from server.demo.segments import moment, msh
from server.demo.visits import Step, Visit, clock, visits

_BEDSIDE = ("vitals", "glucose")  # measured on the ward, not in the laboratory
_DELAY = timedelta(seconds=20)  # between what happens and its message


@dataclass(frozen=True, slots=True)
class DemoMessage:
    """One message: when it is sent (with zone), by which system, for which department.

    ``kind`` is ``ADT^A01`` or ``ORU^R01``; ``patient`` is a number of patients.yaml, ``None`` when
    the message does not say; ``expected`` is what the server makes of it.
    """

    time: datetime
    source: SystemName
    department: str
    kind: str
    patient: int | None
    content: bytes
    expected: Literal["applied", "quarantined"] = "applied"


def messages() -> list[DemoMessage]:
    """Return the messages of the day, oldest first; two of them belong in quarantine.

    >>> first = messages()[0]
    >>> first.time.isoformat(), first.source, first.kind
    ('2026-03-16T02:15:20+01:00', 'MEDIREG', 'ADT^A01')
    """
    steps = [(step, visit) for visit in visits() for step in visit.steps]
    steps.sort(key=lambda pair: (pair[0].at, pair[1].number))
    sent: Counter[str] = Counter()
    made = [_message(step, visit, sent) for step, visit in steps]
    return sorted([*made, _without_patient(), _broken()], key=lambda message: message.time)


def _message(step: Step, visit: Visit, sent: Counter[str]) -> DemoMessage:
    system = SYSTEMS[_source(step, visit)]
    person = patients()[visit.patient]
    sent[system.name] += 1
    is_adt = step.what in adt.EVENTS
    kind = adt.kind(step.what, system) if is_adt else oru.KIND
    segments = (adt if is_adt else oru).body(step, visit, person, system)
    at = step.at + _DELAY
    header = msh(system, kind, f"{system.name}{sent[system.name]:05d}", at)
    content = _encode([header, *segments], system)
    short = "^".join(kind.split("^")[:2])
    return DemoMessage(at, system.name, visit.department.code, short, person.number, content)


def _source(step: Step, visit: Visit) -> SystemName:
    if step.what in adt.EVENTS:
        return visit.department.register
    if step.what in _BEDSIDE:
        return "WARDNET"
    section = (panels().get(step.what) or reports()[step.what]).order.section
    return "RADIS" if section == "RAD" else "LABSTAR"


def _encode(segments: list[str], system: System) -> bytes:
    end = system.line_end
    return (end.join(segments) + end).encode(system.codec)


def _without_patient() -> DemoMessage:
    """A result from the intensive care monitor that nobody had admitted: PID-3 is empty."""
    system, at = SYSTEMS["WARDNET"], clock("13:42")
    segments = [
        msh(system, oru.KIND, "WARDNET90001", at),
        "PID|1||||Unknown^Bed 7",
        f"OBR|1||26900001^WBGNRS|85353-1^Vital signs^LN|||{moment(at, system)}||||||||||||||||||F",
        "OBX|1|NM|8867-4^Heart rate^LN||96|/min^^UCUM|||||F",
    ]
    content = _encode(segments, system)
    return DemoMessage(at, "WARDNET", "EMER", "ORU^R01", None, content, "quarantined")


def _broken() -> DemoMessage:
    """A message cut off on its way: the header ends before it says what it is."""
    at = clock("15:07")
    content = b"MSH|^~\\&|RADIS|RADIOLOGY|TELLONCE|WBG|202603161507"
    return DemoMessage(at, "RADIS", "RAD", "", None, content, "quarantined")
