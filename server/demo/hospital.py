"""Westbruck General, a fictional hospital: its departments, people, insurers and old systems.

The four systems are of different ages on purpose: each speaks its own HL7 version, character set
and way to write a time, as in every real hospital.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

NAME = "Westbruck General Hospital"
AUTHORITY = "WBG"  # PID-3.4 of the medical record numbers
MRN_SYSTEM = "https://westbruck.example/mrn"  # what maps/westbruck.yaml makes of it
VISIT_AUTHORITY = "WBGVISIT"  # PID-18, PV1-19
STAFF_AUTHORITY = "WBGSTAFF"  # XCN.9
INSURANCE_AUTHORITY = "SVNR"  # PID-3.4 of the social insurance numbers
ZONE = ZoneInfo("Europe/Vienna")
DAY = date(2026, 3, 16)

SystemName = Literal["MEDIREG", "CLINIX", "LABSTAR", "WARDNET", "RADIS"]


@dataclass(frozen=True, slots=True)
class System:
    """One sending application: MSH-3, MSH-4, MSH-12, MSH-18 and how it writes times and ACKs.

    ``charset`` is the name of HL7 table 0211, ``codec`` Python's; ``offset``: times end with
    ``+0100``; ``enhanced``: asks for a commit ACK (MSH-15/16); ``line_end`` ends its segments.
    """

    name: SystemName
    facility: str
    version: str
    charset: str
    codec: str
    offset: bool = False
    enhanced: bool = False
    line_end: str = "\r"


SYSTEMS: dict[SystemName, System] = {
    s.name: s
    for s in (
        # 1998, sends Latin-1 and local times without a zone
        System("MEDIREG", "REGISTRATION", "2.3", "8859/1", "latin-1"),
        # the outpatient clinic's, new: Unicode, zones, commit ACKs
        System("CLINIX", "OUTPATIENT", "2.7", "UNICODE UTF-8", "utf-8", offset=True, enhanced=True),
        System("LABSTAR", "LABORATORY", "2.5.1", "UNICODE UTF-8", "utf-8", offset=True),
        # the wards' gateway ends lines as Windows does
        System("WARDNET", "WARDS", "2.5.1", "8859/1", "latin-1", line_end="\r\n"),
        System("RADIS", "RADIOLOGY", "2.5.1", "UNICODE UTF-8", "utf-8", offset=True),
    )
}


@dataclass(frozen=True, slots=True)
class Clinician:
    """A member of staff, as in XCN: number, family and given name, prefix."""

    number: str
    family: str
    given: str
    prefix: str = "Dr."


@dataclass(frozen=True, slots=True)
class Department:
    """A place where patients are: PV1-3 point of care, PV1-10 service, who is in charge."""

    code: str
    name: str
    service: str
    attending: Clinician
    rooms: int
    register: SystemName = "MEDIREG"


_DEPARTMENTS = (
    Department("REG", "Registration", "ADM", Clinician("1001", "Holzer", "Greta", ""), 2),
    Department("EMER", "Emergency", "EMR", Clinician("2001", "Adeyemi", "Folake"), 12),
    Department("MED3", "Internal medicine", "MED", Clinician("3001", "Köhler", "Jörg"), 14),
    Department("SURG", "Surgery", "SUR", Clinician("4001", "Marchetti", "Chiara"), 10),
    Department("MATY", "Maternity", "OBG", Clinician("5001", "Lindqvist", "Åsa"), 8),
    Department("OUTP", "Outpatients", "AMB", Clinician("6001", "Ivić", "Željka"), 9, "CLINIX"),
    Department("LAB", "Laboratory", "LAB", Clinician("7001", "Brûlé", "Noël"), 1),
    Department("RAD", "Radiology", "RAD", Clinician("8001", "Tanaka", "Haruki"), 4),
)
DEPARTMENTS: dict[str, Department] = {made.code: made for made in _DEPARTMENTS}

GENERAL_PRACTITIONERS = (
    Clinician("GP11", "Ferreira", "Ana"),
    Clinician("GP12", "O'Rourke", "Declan"),
    Clinician("GP13", "Kaya", "Deniz"),
)


@dataclass(frozen=True, slots=True)
class Insurer:
    """IN1-3..5, 7: who pays."""

    code: str
    name: str
    street: str
    city: str
    postcode: str
    telephone: str
    plan: str


_INSURERS = (
    Insurer("ALP", "Alpenkasse", "Kassenplatz 1", "Westbruck", "6900", "+43 5555 100", "PUBLIC"),
    Insurer("NOR", "Nordlicht & Co.", "Am Kai 9", "Nordhaven", "2450", "+43 5555 200", "PRIVATE"),
    Insurer("HEL", "Helix Mutual", "12 Orchard Row", "Eastmere", "3310", "+43 5555 300", "PUBLIC"),
    Insurer("SEA", "Seafarers' Fund", "Pier 4", "Nordhaven", "2451", "+43 5555 400", "SPECIAL"),
)
INSURERS: dict[str, Insurer] = {made.code: made for made in _INSURERS}
