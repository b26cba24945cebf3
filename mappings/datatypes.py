"""HL7v2 data type -> FHIR data type.  One function per pair, named as in HL7v2.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps; departures say why.  Input: one repetition, and
where its value will stand (``Patient.name[0]``) for the explanation.  ``None``: nothing was sent.
A list: several elements (an XTN that holds a number and an address).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from mappings.dates import fhir_date, fhir_date_time, fhir_instant, fhir_time
from mappings.numbers import decimal_of
from mappings.source import Repetition, Run
from server.fhir.dates import interval

Convert = Callable[[Repetition, str], Any]

UCUM = "http://unitsofmeasure.org"
_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"

# Identifiers without an authority: what the field numbers, so that a placer's 17 and a filler's 17
# are two orders.  Fields that are not here number patients.
_ROLES = {
    "OBR-2": "placer",
    "ORC-2": "placer",
    "OBR-3": "filler",
    "ORC-3": "filler",
    "PV1-19": "visit",
    "PV1-50": "visit",
    "PV1-5": "preadmit",
    "PID-18": "account",
    "OBX-21": "observation",
    "DG1-20": "diagnosis",
    "SPM-2": "specimen",
    "SPM-30": "accession",
    "SPM-31": "specimen",
    "NK1-33": "related",
    "NK1-12": "employee",
    "IN1-3": "payor",
    "IN1-49": "insured",
    "GT1-2": "guarantor",
    "GT1-19": "employee",
}


def role_of(path: str) -> str:
    """Return what an identifier in a field numbers, ``""`` for a patient.

    >>> role_of("OBR[2]-3")
    'filler'
    """
    segment, _, rest = path.partition("-")
    field = rest.partition(".")[0].partition("[")[0]
    return _ROLES.get(f"{segment[:3]}-{field}", "")


# -- texts, numbers, dates ----------------------------------------------------------------------


def string(v: Repetition, to: str) -> str | None:
    """Any type -> string: its first component."""
    return _noted(v, to, v.text(), "copy")


def code(v: Repetition, to: str) -> str | None:
    """Any type -> code: the first component, inner blanks made single (R4 datatypes.html#code)."""
    return _noted(v, to, " ".join(v.text().split()), "copy")


def uri(v: Repetition, to: str) -> str | None:
    """Any type -> uri: the first component, blanks escaped."""
    return _noted(v, to, quote(v.text(), safe=":/?#[]@!$&'()*+,;=%~"), "copy")


def boolean(v: Repetition, to: str) -> bool | None:
    """ID of table 0136 -> boolean."""
    text = v.text().upper()
    if not text:
        return None
    found = {"Y": True, "N": False, "YES": True, "NO": False}.get(text)
    if found is None:
        v.run.invalid(to, v.path, "boolean", text)
        return None
    v.run.row(to, v.path, "table 0136", str(found).lower())
    return found


def integer(v: Repetition, to: str) -> int | None:
    """NM -> integer."""
    return _whole(v, to, -(2**31), "integer")


def positive_int(v: Repetition, to: str) -> int | None:
    """NM -> positiveInt."""
    return _whole(v, to, 1, "positiveInt")


def unsigned_int(v: Repetition, to: str) -> int | None:
    """NM -> unsignedInt."""
    return _whole(v, to, 0, "unsignedInt")


def decimal(v: Repetition, to: str) -> Decimal | None:
    """NM -> decimal, its digits kept."""
    text = v.text()
    if not text:
        return None
    found = decimal_of(text)
    if found is None:
        v.run.invalid(to, v.path, "decimal", text)
        return None
    v.run.row(to, v.path, "NM", text)
    return found


def date(v: Repetition, to: str) -> str | None:
    """DT, DTM -> date; a time of day is left out."""
    return _dated(v, to, fhir_date(v.text()), "date")


def date_time(v: Repetition, to: str) -> str | None:
    """DT, DTM -> dateTime of the same precision."""
    return _dated(v, to, fhir_date_time(v.text(), v.run.feed.timezone), "dateTime")


def instant(v: Repetition, to: str) -> str | None:
    """DTM -> instant; a date alone is none."""
    return _dated(v, to, fhir_instant(v.text(), v.run.feed.timezone), "instant")


def time(v: Repetition, to: str) -> str | None:
    """TM -> time."""
    return _dated(v, to, fhir_time(v.text()), "time")


# -- people and places --------------------------------------------------------------------------


def XPN(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended person name -> HumanName."""
    made: dict[str, Any] = {}
    if use := v.run.code("NameType", v.text(7), f"{to}.use", f"{v.path}.7"):
        made["use"] = use
    _put(v, to, made, "family", 1)
    _list(v, to, made, "given", 2, 3)
    _list(v, to, made, "prefix", 5)
    _list(v, to, made, "suffix", 4, 6, 14)
    if not made.keys() - {"use"}:
        return None
    _period(v, to, made, v.text(12) or v.text(10, 1), v.text(13) or v.text(10, 2))
    return made


def XAD(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended address -> Address."""
    made: dict[str, Any] = {}
    kind = v.text(7)
    if kind in ("M", "SH"):
        made["type"] = v.run.code("AddressType", kind, f"{to}.type", f"{v.path}.7")
    elif use := v.run.code("AddressUse", kind, f"{to}.use", f"{v.path}.7"):
        made["use"] = use
    known = len(made)
    street = v.text(1) or " ".join(filter(None, (v.text(1, 3), v.text(1, 2))))
    lines = [text for text in (street, v.text(2), v.text(19)) if text]
    if lines:
        made["line"] = lines
        v.run.row(f"{to}.line", f"{v.path}.1", "XAD", "; ".join(lines))
    _put(v, to, made, "city", 3)
    _put(v, to, made, "district", 9)
    _put(v, to, made, "state", 4)
    _put(v, to, made, "postalCode", 5)
    _put(v, to, made, "country", 6)
    if len(made) == known:
        return None
    _period(v, to, made, v.text(13) or v.text(12, 1), v.text(14) or v.text(12, 2))
    return made


def XTN(v: Repetition, to: str) -> list[dict[str, Any]] | None:  # noqa: N802
    """Extended telecommunication number -> ContactPoint, one for a number and one for an address.

    Why: senders put an e-mail address beside the number, where the standard wants a repetition.
    """
    made = [*_number(v, to), *_mail(v, to)]
    rank = v.text(18)
    for one in made:
        if rank.isdigit() and int(rank) > 0:
            one["rank"] = int(rank)
        _period(v, to, one, v.text(13), v.text(14))
    return made or None


def _number(v: Repetition, to: str) -> list[dict[str, Any]]:
    kind = v.text(3)
    area = v.text(6)
    local = v.text(7)
    composed = ""
    if local:
        country = f"+{v.text(5).lstrip('+')}" if v.text(5) else ""
        extension = f"X{v.text(8)}" if v.text(8) else ""
        composed = " ".join(part for part in (country, area, local, extension) if part)
    text = v.text(12) or composed or v.text(1)
    if not text or kind in ("Internet", "X.400") or "@" in text:
        return []
    system = v.run.code("TelecomSystem", kind, f"{to}.system", f"{v.path}.3") or "phone"
    made = {"system": system, "value": text}
    source = 12 if v.text(12) else 7 if composed else 1
    v.run.row(f"{to}.value", f"{v.path}.{source}", "XTN", text)
    if kind == "CP":
        made["use"] = "mobile"
    elif use := v.run.code("TelecomUse", _use(v), f"{to}.use", f"{v.path}.2"):
        made["use"] = use
    return [made]


def _mail(v: Repetition, to: str) -> list[dict[str, Any]]:
    text, source = v.text(4), 4
    if not text:
        text, source = v.text(1), 1
        if "@" not in text and v.text(3) not in ("Internet", "X.400"):
            return []
    if not text:
        return []
    system = "email" if "@" in text else "url" if "://" in text else "other"
    v.run.row(f"{to}.value", f"{v.path}.{source}", "XTN", text)
    made = {"system": system, "value": text}
    if use := v.run.code("TelecomUse", _use(v), f"{to}.use", f"{v.path}.2"):
        made["use"] = use
    return [made]


def _use(v: Repetition) -> str:
    """XTN.2, without the codes that say "this is an e-mail address" and nothing about its use."""
    text = v.text(2)
    return "" if text in ("NET", "BPN") else text


# -- identifiers --------------------------------------------------------------------------------


def CX(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended composite id -> Identifier."""
    value = v.text(1)
    if not value:
        return None
    made: dict[str, Any] = {}
    if kind := v.text(5):
        made["type"] = _identifier_type(v, to, kind, 5)
    namespace = v.text(4)
    made["system"] = v.run.authority(namespace, v.text(4, 2), v.text(4, 3), role_of(v.path))
    made["value"] = value
    v.run.row(f"{to}.system", f"{v.path}.4", "authority", made["system"])
    v.run.row(f"{to}.value", f"{v.path}.1", "CX", value)
    _period(v, to, made, v.text(7), v.text(8))
    if namespace:
        made["assigner"] = {"display": namespace}
    return made


def EI(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Entity identifier -> Identifier."""
    value = v.text(1)
    if not value:
        return None
    system = v.run.authority(v.text(2), v.text(3), v.text(4), role_of(v.path))
    v.run.row(f"{to}.system", f"{v.path}.2", "authority", system)
    v.run.row(f"{to}.value", f"{v.path}.1", "EI", value)
    return {"system": system, "value": value}


def EIP(v: Repetition, to: str) -> list[dict[str, Any]] | None:  # noqa: N802
    """Entity identifier pair -> Identifier of the placer and of the filler."""
    made = []
    for component, kind in ((1, "PGN"), (2, "FGN")):
        if one := EI(v.component(component), to):
            made.append({"type": {"coding": [{"system": _V2_0203, "code": kind}]}, **one})
    return made or None


def DLN(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Driver's license number -> Identifier; the issuer is part of its system."""
    value = v.text(1)
    if not value:
        return None
    made: dict[str, Any] = {
        "type": {"coding": [{"system": _V2_0203, "code": "DL"}]},
        "system": v.run.authority(v.text(2), "", "", "license"),
        "value": value,
    }
    v.run.row(f"{to}.value", f"{v.path}.1", "DLN", value)
    _period(v, to, made, "", v.text(3))
    return made


def text_identifier(v: Repetition, to: str) -> dict[str, Any] | None:
    """ST -> Identifier with a value alone; the map says its system (``also``)."""
    value = v.text(1)
    return {"value": _noted(v, f"{to}.value", value, "copy")} if value else None


def plan_identifier(v: Repetition, to: str) -> dict[str, Any] | None:
    """CWE -> Identifier: the code in its coding system."""
    value = v.text(1)
    if not value:
        return None
    v.run.row(f"{to}.value", f"{v.path}.1", "CWE", value)
    system = v.run.code_system(v.text(3), v.text(14), to, f"{v.path}.3")
    return {"system": system, "value": value} if system else {"value": value}


def HD(v: Repetition, to: str) -> str | None:  # noqa: N802
    """Hierarchic designator -> uri."""
    if not (v.text(1) or v.text(2)):
        return None
    return _noted(v, to, v.run.authority(v.text(1), v.text(2), v.text(3)), "authority")


# -- codes --------------------------------------------------------------------------------------


def CWE(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Coded with exceptions -> CodeableConcept: every coding, and the words."""
    made: dict[str, Any] = {}
    codings: list[dict[str, Any]] = []
    for at in (1, 4, 10):
        if at > len(v.parts):
            break
        if (one := _coding(v, f"{to}.coding[{len(codings)}]", at)) is not None:
            codings.append(one)
    if codings:
        made["coding"] = codings
    text = v.text(9) or v.text(2) or v.text(5)
    if text:
        made["text"] = text
        if not codings or v.text(9):
            v.run.row(f"{to}.text", f"{v.path}.{9 if v.text(9) else 2}", "CWE", text)
    return made or None


def coding(v: Repetition, to: str) -> dict[str, Any] | None:
    """CWE -> Coding: the first."""
    return _coding(v, to, 1)


def coded_text(v: Repetition, to: str) -> dict[str, Any] | None:
    """ST -> CodeableConcept: words, not a code."""
    text = v.text()
    return {"text": _noted(v, f"{to}.text", text, "copy")} if text else None


def own_code(v: Repetition, to: str) -> dict[str, Any] | None:
    """ID, IS -> CodeableConcept: a code of a table that the map does not name."""
    text = code(v, f"{to}.coding[0].code")
    return {"coding": [{"code": text}]} if text else None


def translated(v: Repetition, to: str, table: str, component: int = 1) -> dict[str, Any] | None:
    """CWE through a table -> Coding; a code without a row stays as it was sent.

    ``None`` when no code was sent.
    """
    text = " ".join(v.text(component).split())
    if not text:
        return None
    path = f"{v.path}.{component}"
    found = v.run.lookup(table, text)
    if found is None:
        v.run.no_row(table, text, to, path)
        return _coding(v, to, component)
    made = {"system": found.system, "code": found.code}
    if found.display:
        made["display"] = found.display
    elif found.code == text and v.text(component + 1):
        made["display"] = v.text(component + 1)
    v.run.row(to, path, f"table {table}", found.code)
    return {key: value for key, value in made.items() if value}


def translated_concept(v: Repetition, to: str, table: str) -> dict[str, Any] | None:
    """CWE through a table -> CodeableConcept: the row's code, then what the sender coded itself.

    A code of the v2 table itself is not repeated: the row says the same.
    """
    made = CWE(v, to)
    first = translated(v, f"{to}.coding[0]", table)
    if made is None or first is None:
        return made
    known = v.run.tables[table]
    sent = [one for one in made["coding"] if one.get("system") not in (None, known.source)]
    made["coding"] = [first, *(one for one in sent if one != first)]
    if not made.get("text"):
        made.pop("text", None)
    return made


# component of a code -> those of its OID and its version
_CODING_PARTS = {1: (14, 7), 4: (17, 8), 10: (20, 13)}


def _coding(v: Repetition, to: str, at: int) -> dict[str, Any] | None:
    text = " ".join(v.text(at).split())
    if not text:
        return None
    path = f"{v.path}.{at}"
    made = {}
    oid, version = _CODING_PARTS[at]
    if system := v.run.code_system(v.text(at + 2), v.text(oid), to, f"{v.path}.{at + 2}"):
        made["system"] = system
    if number := v.text(version):
        made["version"] = number
    made["code"] = text
    if display := v.text(at + 1):
        made["display"] = display
    v.run.row(f"{to}.code", path, "CWE", text)
    return made


def _identifier_type(v: Repetition, to: str, kind: str, component: int) -> dict[str, Any]:
    path = f"{v.path}.{component}"
    found = v.run.lookup("IdentifierType", kind)
    if found is None:
        v.run.no_row("IdentifierType", kind, f"{to}.type", path)
        return {"text": kind}
    v.run.row(f"{to}.type", path, "table IdentifierType", found.code)
    return {"coding": [{"system": found.system, "code": found.code}]}


# -- quantities and periods ---------------------------------------------------------------------


def DR(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Date range -> Period."""
    made: dict[str, Any] = {}
    _period(v, to, made, v.text(1), v.text(2))
    return made.get("period")


def NM(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Number -> Quantity without a unit."""
    value = decimal(v, f"{to}.value")
    return {"value": value} if value is not None else None


def CQ(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Composite quantity with units -> Quantity."""
    value = decimal(v, f"{to}.value")
    return None if value is None else {"value": value, **unit(v.component(2), to)}


def unit(v: Repetition, to: str) -> dict[str, str]:
    """CWE of a unit -> the elements ``unit``, ``system`` and ``code`` of a Quantity.

    Without a declared coding system the text is a unit and no code (R4 invariant qty-3).
    """
    text = v.text(1)
    shown = v.text(2) or text
    if not shown:
        return {}
    v.run.row(f"{to}.unit", v.path, "CWE", shown)
    made = {"unit": shown}
    name, oid = v.text(3), v.text(14)
    if text and (name or oid):
        found = v.run.code_system(name, oid, to, f"{v.path}.3")
        if found == UCUM:
            text = text.replace(" ", "")
        made |= {"system": found, "code": " ".join(text.split())}
    return made


# -- the table of pairs -------------------------------------------------------------------------

# Any HL7v2 type -> FHIR primitive.
PRIMITIVES: dict[str, Convert] = {
    "string": string,
    "markdown": string,
    "code": code,
    "id": code,
    "uri": uri,
    "url": uri,
    "canonical": uri,
    "oid": uri,
    "boolean": boolean,
    "integer": integer,
    "positiveInt": positive_int,
    "unsignedInt": unsigned_int,
    "decimal": decimal,
    "date": date,
    "dateTime": date_time,
    "instant": instant,
    "time": time,
    "base64Binary": string,
}

PAIRS: dict[tuple[str, str], Convert] = {
    ("XPN", "HumanName"): XPN,
    ("XAD", "Address"): XAD,
    ("XTN", "ContactPoint"): XTN,
    ("CX", "Identifier"): CX,
    ("EI", "Identifier"): EI,
    ("EIP", "Identifier"): EIP,
    ("DLN", "Identifier"): DLN,
    ("ST", "Identifier"): text_identifier,
    ("CWE", "Identifier"): plan_identifier,
    ("HD", "uri"): HD,
    ("CWE", "CodeableConcept"): CWE,
    ("ST", "CodeableConcept"): coded_text,
    ("TX", "CodeableConcept"): coded_text,
    ("FT", "CodeableConcept"): coded_text,
    ("ID", "CodeableConcept"): own_code,
    ("IS", "CodeableConcept"): own_code,
    ("CWE", "Coding"): coding,
    ("ID", "Coding"): coding,
    ("IS", "Coding"): coding,
    ("DR", "Period"): DR,
    ("NM", "Quantity"): NM,
    ("CQ", "Quantity"): CQ,
}

# A field whose type the standard does not say (a Z segment) is read as what its target needs.
NATURAL = {
    "HumanName": "XPN",
    "Address": "XAD",
    "ContactPoint": "XTN",
    "Identifier": "CX",
    "CodeableConcept": "CWE",
    "Coding": "CWE",
    "Period": "DR",
    "Quantity": "CQ",
    "Practitioner": "XCN",
    "Organization": "XON",
    "Location": "PL",
}


def converter(source: str, target: str) -> Convert | None:
    """Return how data type ``source`` becomes FHIR type ``target``; ``None``: there is no way."""
    if (found := PAIRS.get((source or NATURAL.get(target, ""), target))) is not None:
        return found
    return PRIMITIVES.get(target)


# -- shared by the functions above --------------------------------------------------------------


def _noted(v: Repetition, to: str, text: str, how: str) -> str | None:
    if not text:
        return None
    v.run.row(to, v.path, how, text)
    return text


def _put(v: Repetition, to: str, made: dict[str, Any], element: str, component: int) -> None:
    if text := v.text(component):
        made[element] = text
        v.run.row(f"{to}.{element}", f"{v.path}.{component}", "copy", text)


def _list(v: Repetition, to: str, made: dict[str, Any], element: str, *components: int) -> None:
    found: list[str] = []
    for component in components:
        if text := v.text(component):
            v.run.row(f"{to}.{element}[{len(found)}]", f"{v.path}.{component}", "copy", text)
            found.append(text)
    if found:
        made[element] = found


def _period(v: Repetition, to: str, made: dict[str, Any], start: str, end: str) -> None:
    if not start and not end:
        return
    zone = v.run.feed.timezone
    found: dict[str, str] = {}
    for name, text in (("start", start), ("end", end)):
        if not text:
            continue
        if (value := fhir_date_time(text, zone)) is None:
            v.run.invalid(f"{to}.period.{name}", v.path, "dateTime", text)
        else:
            found[name] = value
            v.run.row(f"{to}.period.{name}", v.path, "dateTime", value)
    if found:
        made["period"] = in_order(v.run, f"{to}.period", found)


def in_order(run: Run, to: str, period: dict[str, Any]) -> dict[str, Any]:
    """Return a Period without an end that is before its start (R4 invariant per-1)."""
    start, end = period.get("start"), period.get("end")
    if start and end and interval(start)[0] >= interval(end)[1]:
        run.invalid(f"{to}.end", "", "end of a period (it is before the start)", end)
        return {"start": start}
    return period


def _whole(v: Repetition, to: str, least: int, type_: str) -> int | None:
    text = v.text()
    if not text:
        return None
    digits = text.removeprefix("+")
    if not digits.removeprefix("-").isdecimal() or not least <= int(digits) < 2**31:
        v.run.invalid(to, v.path, type_, text)
        return None
    v.run.row(to, v.path, "NM", digits)
    return int(digits)


def _dated(v: Repetition, to: str, found: str | None, type_: str) -> str | None:
    if text := v.text():
        if found is None:
            v.run.invalid(to, v.path, type_, text)
        else:
            v.run.row(to, v.path, type_, found)
    return found
