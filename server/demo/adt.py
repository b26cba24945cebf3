"""ADT messages of the two registers, without their headers: lists of segments."""

from datetime import datetime

from server.demo.hospital import DEPARTMENTS, System
from server.demo.patients import Person
from server.demo.segments import (
    NULL,
    address,
    al1,
    dg1,
    evn,
    gt1,
    in1,
    moment,
    nk1,
    pd1,
    pid,
    pv1,
    pv2,
)
from server.demo.visits import Step, Visit, clock

EVENTS = ("A28", "A31", "A05", "A01", "A04", "A08", "A03")
_STRUCTURES = {"A28": "ADT_A05", "A31": "ADT_A05", "A05": "ADT_A05", "A03": "ADT_A03"}
_DIAGNOSIS = {"A03": "F", "A08": "W"}  # table 0052; admitting until then


def kind(event: str, system: System) -> str:
    """Return MSH-9; the structure is named since HL7 v2.3.1.

    >>> from server.demo.hospital import SYSTEMS
    >>> kind("A04", SYSTEMS["MEDIREG"]), kind("A28", SYSTEMS["CLINIX"])
    ('ADT^A04', 'ADT^A28^ADT_A05')
    """
    if system.version == "2.3":
        return f"ADT^{event}"
    return f"ADT^{event}^{_STRUCTURES.get(event, 'ADT_A01')}"


def body(step: Step, visit: Visit, person: Person, system: System) -> list[str]:
    """Return the segments behind MSH of one ADT event."""
    recorded = _recorded(step)
    clerk = DEPARTMENTS["REG"].attending
    occurred = moment(visit.start, system) if step.what in ("A01", "A04") else ""
    made = [evn(step.what, moment(recorded, system), clerk, occurred)]
    number = visit.number if visit.patient_class else ""
    made += [pid(person, number, changed=_changed(step)), pd1(person), *nk1(person)]
    if visit.patient_class:
        made += _visit(step, visit, person, system)
    made += al1(person)
    if visit.diagnosis:
        kind_of = _DIAGNOSIS.get(step.what, "A")
        made.append(dg1(visit.diagnosis, kind_of, moment(visit.start, system)))
    if step.what == "A03":  # who pays was said at admission
        return made
    return [*made, gt1(person), in1(person)]


def _visit(step: Step, visit: Visit, person: Person, system: System) -> list[str]:
    end = moment(step.at, system) if step.what == "A03" else ""
    start = moment(visit.start, system)
    place = pv1(
        visit.department, person, visit.number,
        patient_class=visit.patient_class, start=start, end=end,
    )  # fmt: skip
    return [place, pv2(visit.reason)]


def _recorded(step: Step) -> datetime:
    """EVN-2: for a late update the time at which it was true, not the time of sending."""
    if step.how[:1] != ("late",):
        return step.at
    return clock(step.how[1])


def _changed(step: Step) -> dict[int, str]:
    match step.how[:1]:
        case ("moved",):
            return {11: address("Neugasse 5/14", "Westbruck", "6904")}
        case ("no-phone",):
            return {13: NULL}
        case _:
            return {}
