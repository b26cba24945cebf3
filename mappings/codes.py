"""HL7v2 coded types -> Coding and CodeableConcept, with or without a table.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps CWE, ID, IS.  A code without a row in its table
stays as it was sent, with its words, and is counted.
"""

from typing import Any

from mappings.primitives import code, noted
from mappings.repetition import Repetition

UCUM = "http://unitsofmeasure.org"


def CWE(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Coded with exceptions -> CodeableConcept: every coding, and the words."""
    made: dict[str, Any] = {}
    texts = v.texts
    codings = [
        one
        for n, at in enumerate([at for at in (1, 4, 10) if texts[at]])
        if (one := _coding(v, f"{to}.coding[{n}]", at)) is not None
    ]
    if codings:
        made["coding"] = codings
    text = texts[9] or texts[2] or texts[5]
    if text:
        made["text"] = text
        if not codings or texts[9]:
            v.run.row(f"{to}.text", f"{v.path}.{9 if texts[9] else 2}", "CWE", text)
    return made or None


def coding(v: Repetition, to: str) -> dict[str, Any] | None:
    """CWE -> Coding: the first."""
    return _coding(v, to, 1)


def coded_text(v: Repetition, to: str) -> dict[str, Any] | None:
    """ST -> CodeableConcept: words, not a code."""
    text = v.text()
    return {"text": noted(v, f"{to}.text", text, "copy")} if text else None


def own_code(v: Repetition, to: str) -> dict[str, Any] | None:
    """ID, IS -> CodeableConcept: a code of a table that the map does not name."""
    text = code(v, f"{to}.coding[0].code")
    return {"coding": [{"code": text}]} if text else None


def translated(v: Repetition, to: str, table: str, component: int = 1) -> dict[str, Any] | None:
    """CWE through a table -> Coding; a code without a row stays as it was sent.

    ``None`` when no code was sent.
    """
    texts = v.texts
    text = texts[component]
    if not text.isalnum():
        text = " ".join(text.split())
    if not text:
        return None
    path = f"{v.path}.{component}"
    found = v.run.lookup(table, text)
    if found is None:
        v.run.no_row(table, text, to, path)
        return _coding(v, to, component)
    made = {"system": found.system} if found.system else {}
    if found.code:
        made["code"] = found.code
    if found.display:
        made["display"] = found.display
    elif found.code == text and texts[component + 1]:
        made["display"] = texts[component + 1]
    v.run.note((to, path, f"table {table}", found.code))
    return made


def translated_concept(
    v: Repetition, to: str, table: str, *, bound: bool = False
) -> dict[str, Any] | None:
    """CWE through a table -> CodeableConcept: the row's code, then what the sender coded itself.

    A code of the v2 table itself is not repeated: the row says the same.  ``bound``: R4 requires a
    code of its own, so a code without a row gives nothing.
    """
    if bound and v.run.lookup(table, " ".join(v.text().split())) is None:
        if text := " ".join(v.text().split()):
            v.run.no_row(table, text, to, v.path)
        return None
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
    texts = v.texts
    text = texts[at]
    if not text.isalnum():
        text = " ".join(text.split())
    if not text:
        return None
    made = {}
    oid, version = _CODING_PARTS[at]
    name, number = texts[at + 2], texts[oid]
    if (name or number) and (system := v.run.code_system(name, number, to, f"{v.path}.{at + 2}")):
        made["system"] = system
    if texts[version]:
        made["version"] = texts[version]
    made["code"] = text
    if display := texts[at + 1]:
        made["display"] = display
    v.run.note((f"{to}.code", f"{v.path}.{at}", "CWE", text))
    return made


def identifier_type(v: Repetition, to: str, kind: str, component: int) -> dict[str, Any]:
    """Return Identifier.type of a code of table 0203, as words when it has no row."""
    path = f"{v.path}.{component}"
    found = v.run.lookup("IdentifierType", kind)
    if found is None:
        v.run.no_row("IdentifierType", kind, f"{to}.type", path)
        return {"text": kind}
    v.run.note((f"{to}.type", path, "table IdentifierType", found.code))
    return {"coding": [{"system": found.system, "code": found.code}]}


def unit(v: Repetition, to: str) -> dict[str, str]:
    """CWE of a unit -> the elements ``unit``, ``system`` and ``code`` of a Quantity.

    Without a declared coding system the text is a unit and no code (R4 invariant qty-3).
    """
    texts = v.texts
    text = texts[1]
    shown = texts[2] or text
    if not shown:
        return {}
    v.run.note((f"{to}.unit", v.path, "CWE", shown))
    made = {"unit": shown}
    name, oid = texts[3], texts[14]
    if text and (name or oid):
        found = v.run.code_system(name, oid, to, f"{v.path}.3")
        if found == UCUM:
            text = text.replace(" ", "")
        made |= {"system": found, "code": " ".join(text.split())}
    return made
