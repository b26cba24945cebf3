"""ORU^R01 messages of laboratory, wards and radiology, without their headers."""

from server.demo.hospital import System
from server.demo.patients import Person
from server.demo.results import Analyte, Order, Panel, TextReport, flag, panels, reports, value
from server.demo.segments import escape, moment, pid, pv1, segment, xcn
from server.demo.visits import Step, Visit

KIND = "ORU^R01^ORU_R01"
LOCAL = "99WBG"  # the hospital's own codes
_LOCAL_ONLY = ("glucose",)  # the wards' glucometers know no LOINC
_NOTES = {
    "P": "Preliminary: repeated measurement under way.",
    "C": "Corrected result: the first specimen was haemolysed, measured again.",
}


def body(step: Step, visit: Visit, person: Person, system: System) -> list[str]:
    """Return the segments behind MSH of one result message."""
    status = step.how[0] if step.how else "F"
    at = moment(step.at, system)
    start = moment(visit.start, system)
    made = [
        pid(person, visit.number, brief=True),
        pv1(visit.department, person, visit.number, patient_class=visit.patient_class, start=start),
    ]
    found = panels().get(step.what) or reports()[step.what]
    made.append(_obr(found.order, step, visit, at, status))
    if isinstance(found, TextReport):
        return [*made, _text(found, at, status)]
    return [*made, *_panel(found, step, visit, at, status)]


def _panel(panel: Panel, step: Step, visit: Visit, at: str, status: str) -> list[str]:
    turn = _turn(step, visit)
    made = []
    for number, analyte in enumerate(panel.analytes, start=1):
        found = value(analyte, visit.patient, status, turn)
        fields = {
            1: str(number), 2: "NM", 3: _code(analyte, step.what in _LOCAL_ONLY),
            5: f"{found:.{analyte.digits}f}", 6: f"{analyte.unit}^^UCUM",
            7: f"{analyte.low:g}-{analyte.high:g}", 8: flag(analyte, found), 11: status, 14: at,
        }  # fmt: skip
        made.append(segment("OBX", fields))
    if note := _NOTES.get(status):
        made.append(segment("NTE", {1: "1", 2: "L", 3: note}))
    return made


def _code(analyte: Analyte, local_only: bool) -> str:
    local = f"{analyte.local}^{analyte.name}^{LOCAL}"
    return local if local_only else f"{analyte.loinc}^{analyte.name}^LN^{local}"


def _text(report: TextReport, at: str, status: str) -> str:
    text = "\\.br\\".join(escape(line) for line in report.lines)
    code = f"{report.order.loinc}^{report.order.name}^LN"
    return segment("OBX", {1: "1", 2: "FT", 3: code, 5: text, 11: status, 14: at})


def _obr(order: Order, step: Step, visit: Visit, at: str, status: str) -> str:
    number = f"{visit.number[1:]}{step.what[:4].upper()}{_turn(step, visit)}"
    fields = {
        1: "1", 2: f"{number}^WBGORD", 3: f"{number}^WBG{order.section}",
        4: f"{order.loinc}^{order.name}^LN", 7: at, 15: order.specimen,
        16: xcn(visit.department.attending), 22: at, 24: order.section, 25: status,
    }  # fmt: skip
    return segment("OBR", fields)


def _turn(step: Step, visit: Visit) -> int:
    """Return 1, 2 ... for panels measured again; every status of one order has the same turn."""
    if step.how:
        return 1
    return [s for s in visit.steps if s.what == step.what and not s.how].index(step) + 1
