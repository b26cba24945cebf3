"""HL7v2 identifier types -> Identifier, and whose numbers they are.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps CX, EI, EIP, DLN, HD.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mappings.codes import identifier_type
from mappings.primitives import Convert, noted, put_period
from mappings.repetition import Repetition

_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"

# Identifiers without an authority: what the field numbers, so that a placer's 17 and a filler's 17
# are two orders, and document 17 is no patient.  Fields that are not here number patients.
_ROLES = {
    "DG1-20": "diagnosis",
    "DG1-22": "diagnosis",
    "GOL-4": "goal",
    "GT1-19": "employee",
    "GT1-2": "guarantor",
    "IAM-7": "allergy",
    "IN1-3": "payor",
    "IN1-49": "insured",
    "IN2-61": "insured",
    "MRG-3": "account",
    "MRG-5": "visit",
    "MRG-6": "visit",
    "NK1-12": "employee",
    "NK1-33": "related",
    "OBR-2": "placer",
    "OBR-29.1": "placer",
    "OBR-29.2": "filler",
    "OBR-3": "filler",
    "OBR-53": "placer",
    "OBX-18": "device",
    "OBX-21": "observation",
    "OBX-33": "specimen",
    "ORC-2": "placer",
    "ORC-3": "filler",
    "ORC-33": "placer",
    "ORC-38": "filler",
    "ORC-4": "group",
    "ORC-8.1": "placer",
    "ORC-8.2": "filler",
    "PID-18": "account",
    "PR1-19": "procedure",
    "PR1-25": "procedure",
    "PRB-4": "problem",
    "PRT-10": "device",
    "PV1-19": "visit",
    "PV1-5": "preadmit",
    "PV1-50": "visit",
    "PV1-54": "episode",
    "RF1-11": "external-referral",
    "RF1-6": "referral",
    "SCH-1": "placer-appointment",
    "SCH-2": "filler-appointment",
    "SCH-26": "placer",
    "SCH-27": "filler",
    "SPM-2": "specimen",
    "SPM-3": "specimen",
    "SPM-30": "accession",
    "SPM-31": "specimen",
    "SPM-32": "specimen",
    "STF-2": "practitioner",
    "TXA-12": "document",
    "TXA-13": "document",
    "TXA-14": "placer",
    "TXA-15": "filler",
}


@lru_cache(maxsize=4096)
def role_of(path: str) -> str:
    """Return what an identifier in a field numbers, ``""`` for a patient.

    >>> role_of("OBR[2]-3"), role_of("ORC-8.2"), role_of("SPM-2.1"), role_of("PID-3[2]")
    ('filler', 'filler', 'specimen', '')
    """
    segment, _, rest = path.partition("-")
    field, _, component = rest.partition(".")
    name = f"{segment[:3]}-{field.partition('[')[0]}"
    return _ROLES.get(name) or _ROLES.get(f"{name}.{component[:1]}", "")


def CX(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended composite id -> Identifier."""
    texts = v.texts
    value = texts[1]
    if not value:
        return None
    made: dict[str, Any] = {}
    if kind := texts[5]:
        made["type"] = identifier_type(v, to, kind, 5)
    made["system"] = system = v.authority(4, role_of(v.path))
    made["value"] = value
    v.run.note((f"{to}.system", f"{v.path}.4", "authority", system))
    v.run.note((f"{to}.value", f"{v.path}.1", "CX", value))
    if texts[7] or texts[8]:
        put_period(v, to, made, texts[7], texts[8])
    if namespace := texts[4]:
        made["assigner"] = {"display": namespace}
    return made


def _bare_cx(v: Repetition) -> tuple[str, str]:
    value = v.texts[1]
    return (f"{v.authority(4, role_of(v.path))}|{value}", v.texts[5]) if value else ("", "")


def EI(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Entity identifier -> Identifier."""
    _, value, name, universal, kind, *_ = v.texts
    if not value:
        return None
    system = v.run.authority(name, universal, kind, role_of(v.path))
    v.run.note((f"{to}.system", f"{v.path}.2", "authority", system))
    v.run.note((f"{to}.value", f"{v.path}.1", "EI", value))
    return {"system": system, "value": value}


def _bare_ei(v: Repetition) -> tuple[str, str]:
    _, value, name, universal, kind, *_ = v.texts
    system = v.run.authority(name, universal, kind, role_of(v.path)) if value else ""
    return f"{system}|{value}" if value else "", ""


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
    put_period(v, to, made, "", v.text(3))
    return made


def text_identifier(v: Repetition, to: str) -> dict[str, Any] | None:
    """ST -> Identifier with a value alone; the map says its system (``also``)."""
    value = v.text(1)
    return {"value": noted(v, f"{to}.value", value, "copy")} if value else None


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
    return noted(v, to, v.run.authority(v.text(1), v.text(2), v.text(3)), "authority")


Bare = Callable[[Repetition], tuple[str, str]]

# What finds a resource again: ``system|value`` and the code of its type (table 0203) alone.
BARE: dict[Convert, Bare] = {CX: _bare_cx, EI: _bare_ei}
