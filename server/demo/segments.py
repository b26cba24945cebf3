"""HL7v2 segments of the demo's systems, as text; fields are numbered as in HL7 v2.5.1.

Pure: people and places in, ``PID|1||...`` out, without the line end.
"""

from datetime import datetime

from server.demo.hospital import (
    AUTHORITY,
    GENERAL_PRACTITIONERS,
    INSURANCE_AUTHORITY,
    INSURERS,
    STAFF_AUTHORITY,
    VISIT_AUTHORITY,
    Clinician,
    Department,
    System,
)
from server.demo.patients import Person

NULL = '""'  # HL7's "delete what you have"; an empty field means "I say nothing"
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_WAYS_OUT = {"MEDIREG": "01", "CLINIX": "01"}  # table 0112: discharged home


def escape(text: str) -> str:
    r"""Return ``text`` with the delimiters escaped (HL7 v2.5.1, 2.7.1).

    >>> escape("heart & lungs | left^right")
    'heart \\T\\ lungs \\F\\ left\\S\\right'
    """
    return text.translate(_ESCAPES)


def segment(name: str, fields: dict[int, str]) -> str:
    """Return a segment with ``fields`` at their numbers and nothing elsewhere.

    >>> segment("PV1", {1: "1", 3: "MED3"})
    'PV1|1||MED3'
    """
    texts = [fields.get(number, "") for number in range(1, max(fields, default=0) + 1)]
    return "|".join([name, *texts]).rstrip("|")


def moment(at: datetime, system: System) -> str:
    """Return a time as the system writes it: with its offset, or without.

    >>> from server.demo.hospital import SYSTEMS, ZONE
    >>> moment(datetime(2026, 3, 16, 7, 5, tzinfo=ZONE), SYSTEMS["LABSTAR"])
    '20260316070500+0100'
    """
    return at.strftime("%Y%m%d%H%M%S%z" if system.offset else "%Y%m%d%H%M%S")


def msh(system: System, kind: str, control_id: str, at: datetime) -> str:
    """Return the header; ``kind`` is ``ADT^A01``."""
    accept, application = ("AL", "NE") if system.enhanced else ("", "")
    # MSH-1 is the delimiter itself, so a field stands one place before its number
    fields = {
        1: "^~\\&", 2: system.name, 3: system.facility, 4: "TELLONCE", 5: AUTHORITY,
        6: moment(at, system), 8: kind, 9: control_id, 10: "P", 11: system.version,
        14: accept, 15: application, 17: system.charset,
    }  # fmt: skip
    return segment("MSH", fields)


def evn(event: str, recorded: str, operator: Clinician, occurred: str = "") -> str:
    """Return the event segment; ``occurred`` is EVN-6."""
    return segment("EVN", {1: event, 2: recorded, 5: xcn(operator), 6: occurred})


def pid(
    person: Person, visit: str, *, brief: bool = False, changed: dict[int, str] | None = None
) -> str:
    """Return the identification of a patient; ``changed`` replaces fields by number.

    ``brief``: as results carry it, enough to recognise the patient and nothing more.
    """
    numbers = f"{person.mrn}^^^{AUTHORITY}^MR~{person.insurance_number}^^^{INSURANCE_AUTHORITY}^SS"
    legal = f"{name(person.family, person.given)}^^{person.title}^^L"
    fields = {
        1: "1", 3: numbers, 5: f"{legal}~{person.also}^^^^^A" if person.also else legal,
        7: person.birth, 8: person.sex, 11: address(person.street, person.city, person.postcode),
        13: telecom(person.telephone, person.email), 15: person.language, 16: person.marital,
    }  # fmt: skip
    if brief:
        fields = {number: fields[number] for number in (1, 3, 5, 7, 8)}
    if visit:
        fields[18] = f"{visit}^^^{VISIT_AUTHORITY}^VN"
    return segment("PID", {**fields, **(changed or {})})


def pd1(person: Person) -> str:
    """Return who the patient's own doctor is (PD1-4)."""
    doctor = GENERAL_PRACTITIONERS[person.number % len(GENERAL_PRACTITIONERS)]
    return segment("PD1", {4: xcn(doctor)})


def nk1(person: Person) -> list[str]:
    """Return one segment per relative; the first is whom to call."""
    return [
        segment(
            "NK1",
            {
                1: str(number),
                2: name(relative.family, relative.given),
                3: f"{relative.relationship}^{_RELATIONSHIPS[relative.relationship]}^HL70063",
                5: telecom(relative.telephone),
                7: "C^Emergency contact^HL70131" if number == 1 else "",
            },
        )
        for number, relative in enumerate(person.relatives, start=1)
    ]


def pv1(
    department: Department,
    person: Person,
    visit: str,
    *,
    patient_class: str,
    start: str,
    end: str = "",
) -> str:
    """Return the visit: where, in whose care, since when, until when."""
    room = 100 + person.number % department.rooms
    bed = str(person.number % 2 + 1) if patient_class == "I" else ""
    place = f"{department.code}^{room}^{bed}^{AUTHORITY}"
    doctor = xcn(department.attending)
    fields = {1: "1", 2: patient_class, 3: place, 7: doctor, 10: department.service, 17: doctor,
              19: f"{visit}^^^{VISIT_AUTHORITY}^VN", 44: start}  # fmt: skip
    if end:
        fields |= {36: _WAYS_OUT[department.register], 45: end}
    return segment("PV1", fields)


def pv2(reason: str) -> str:
    """Return why the patient comes, in words (PV2-3)."""
    return segment("PV2", {3: f"^{escape(reason)}"})


def al1(person: Person) -> list[str]:
    """Return one segment per allergy, reactions as repeats."""
    return [
        segment(
            "AL1",
            {
                1: str(number),
                2: allergy.type,
                3: f"{allergy.code}^{allergy.text}^{allergy.system}",
                4: allergy.severity,
                5: "~".join(escape(reaction) for reaction in allergy.reactions),
            },
        )
        for number, allergy in enumerate(person.allergies, start=1)
    ]


def dg1(diagnosis: tuple[str, str], kind: str, at: str) -> str:
    """Return a diagnosis in ICD-10; ``kind`` is of table 0052 (A admitting, W working, F final)."""
    code, text = diagnosis
    return segment("DG1", {1: "1", 2: "I10", 3: f"{code}^{escape(text)}^I10", 5: at, 6: kind})


def in1(person: Person) -> str:
    """Return the patient's insurance."""
    insurer = INSURERS[person.insurer]
    fields = {
        1: "1", 2: f"{insurer.plan}^{insurer.plan.title()} plan",
        3: f"{insurer.code}^^^{AUTHORITY}", 4: escape(insurer.name),
        5: address(insurer.street, insurer.city, insurer.postcode),
        7: telecom(insurer.telephone), 12: "20250101",
        16: name(person.family, person.given), 17: "SEL^Self^HL70063",
        18: person.birth, 36: f"P-{person.insurance_number.replace(' ', '')}",
    }  # fmt: skip
    return segment("IN1", fields)


def gt1(person: Person) -> str:
    """Return who pays what insurance does not: the first relative, else the patient."""
    payer = person.relatives[0] if person.relatives else None
    who = payer or person
    relation = payer.relationship if payer else "SEL"
    fields = {
        1: "1", 3: name(who.family, who.given),
        5: address(person.street, person.city, person.postcode), 6: telecom(who.telephone),
        11: f"{relation}^{_RELATIONSHIPS[relation]}^HL70063",
    }  # fmt: skip
    return segment("GT1", fields)


def name(family: str, given: str) -> str:
    """Return the first three components of XPN: family, first and second given name.

    >>> name("Brandão-Keller", "Inês Maria")
    'Brandão-Keller^Inês^Maria'
    """
    first, _, second = given.partition(" ")
    return f"{escape(family)}^{escape(first)}^{escape(second)}"


def xcn(clinician: Clinician) -> str:
    """Return a member of staff as XCN."""
    parts = (clinician.number, escape(clinician.family), escape(clinician.given))
    return f"{'^'.join(parts)}^^^{clinician.prefix}^^^{STAFF_AUTHORITY}"


def address(street: str, city: str, postcode: str) -> str:
    """Return a home address as XAD."""
    return f"{escape(street)}^^{escape(city)}^^{postcode}^AUT^H"


def telecom(telephone: str, email: str = "") -> str:
    """Return a telephone and an e-mail address as repeats of XTN."""
    phone = f"{telephone}^PRN^PH"
    return f"{phone}~^NET^Internet^{email}" if email else phone


_RELATIONSHIPS = {"SPO": "Spouse", "MTH": "Mother", "FTH": "Father", "CHD": "Child", "SEL": "Self"}
