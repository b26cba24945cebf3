"""HL7v2 data type -> FHIR data type.  One function per pair, named as in HL7v2.

Source: HL7 v2-to-FHIR guide 1.0.0, data type maps; departures say why.  Input: one repetition, and
where its value will stand (``Patient.name[0]``) for the explanation.  ``None``: nothing was sent.
A list: several elements (an XTN that holds a number and an address).
"""

from typing import Any

from mappings.codes import CWE, coded_text, coding, own_code, unit
from mappings.identifiers import CX, DLN, EI, EIP, HD, plan_identifier, text_identifier
from mappings.makes import place_identifier
from mappings.primitives import PRIMITIVES, Convert, decimal, noted, put_period
from mappings.repetition import Repetition
from mappings.timing import TQ


def XPN(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended person name -> HumanName."""
    made: dict[str, Any] = {}
    texts = v.texts
    if texts[7] and (use := v.run.code("NameType", texts[7], f"{to}.use", f"{v.path}.7")):
        made["use"] = use
    known = len(made)
    if texts[1]:
        _put(v, to, made, "family", 1)
    if texts[2] or texts[3]:
        _list(v, to, made, "given", (2, 3))
    if texts[5]:
        _list(v, to, made, "prefix", (5,))
    if texts[4] or texts[6] or texts[14]:
        _list(v, to, made, "suffix", (4, 6, 14))
    if len(made) == known:
        return None
    _put_validity(v, to, made, 12, 13, 10)
    return made


def XAD(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Extended address -> Address."""
    made: dict[str, Any] = {}
    texts = v.texts
    kind = texts[7]
    if kind in ("M", "SH"):
        made["type"] = v.run.code("AddressType", kind, f"{to}.type", f"{v.path}.7")
    elif kind and (use := v.run.code("AddressUse", kind, f"{to}.use", f"{v.path}.7")):
        made["use"] = use
    known = len(made)
    street = texts[1] or " ".join(filter(None, (v.text(1, 3), v.text(1, 2))))
    lines = [text for text in (street, texts[2], texts[19]) if text]
    if lines:
        made["line"] = lines
        v.run.note((f"{to}.line", f"{v.path}.1", "XAD", "; ".join(lines)))
    note, path = v.run.note, v.path
    for element, component in _PLACE:
        if text := texts[component]:
            made[element] = text
            note((f"{to}.{element}", f"{path}.{component}", "copy", text))
    if len(made) == known:
        return None
    _put_validity(v, to, made, 13, 14, 12)
    return made


_PLACE = (("city", 3), ("district", 9), ("state", 4), ("postalCode", 5), ("country", 6))


def XTN(v: Repetition, to: str) -> list[dict[str, Any]] | None:  # noqa: N802
    """Extended telecommunication number -> ContactPoint, one for a number and one for an address.

    Why: senders put an e-mail address beside the number, where the standard wants a repetition.
    """
    made = [*_number(v, to), *_mail(v, to)]
    texts = v.texts
    rank, start, end = texts[18], texts[13], texts[14]
    if rank or start or end:
        for one in made:
            if rank.isdigit() and int(rank) > 0:
                one["rank"] = int(rank)
            put_period(v, to, one, start, end)
    return made or None


def _number(v: Repetition, to: str) -> list[dict[str, Any]]:
    texts = v.texts
    kind = texts[3]
    composed = _composed(texts) if texts[7] else ""
    text = texts[12] or composed or texts[1]
    if not text or kind in ("Internet", "X.400") or "@" in text:
        return []
    system = v.run.code("TelecomSystem", kind, f"{to}.system", f"{v.path}.3") or "phone"
    made = {"system": system, "value": text}
    source = 12 if texts[12] else 7 if composed else 1
    v.run.note((f"{to}.value", f"{v.path}.{source}", "XTN", text))
    if kind == "CP":
        made["use"] = "mobile"
    elif texts[2] and (use := v.run.code("TelecomUse", _use(v), f"{to}.use", f"{v.path}.2")):
        made["use"] = use
    return [made]


def _composed(texts: list[str]) -> str:
    country = f"+{texts[5].lstrip('+')}" if texts[5] else ""
    extension = f"X{texts[8]}" if texts[8] else ""
    return " ".join(filter(None, (country, texts[6], texts[7], extension)))


def _mail(v: Repetition, to: str) -> list[dict[str, Any]]:
    texts = v.texts
    text, source = texts[4], 4
    if not text:
        text, source = texts[1], 1
        if "@" not in text and texts[3] not in ("Internet", "X.400"):
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


def DR(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Date range -> Period."""
    made: dict[str, Any] = {}
    put_period(v, to, made, v.text(1), v.text(2))
    return made.get("period")


def NM(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Number -> Quantity without a unit."""
    value = decimal(v, f"{to}.value")
    return {"value": value} if value is not None else None


def CQ(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Composite quantity with units -> Quantity."""
    value = decimal(v, f"{to}.value")
    return None if value is None else {"value": value, **unit(v.component(2), to)}


def units(v: Repetition, to: str) -> dict[str, Any] | None:
    """CWE -> Quantity: its unit; the map says its value (``also``)."""
    return unit(v, to) or None


def CP(v: Repetition, to: str) -> dict[str, Any] | None:  # noqa: N802
    """Composite price -> Money; only with the currency, or without any."""
    value = decimal(v.component(1), f"{to}.value")
    if value is None:
        return None
    currency = v.text(1, 2)
    return {"value": value, "currency": currency} if len(currency) == 3 else {"value": value}


def shown_name(v: Repetition, to: str) -> str | None:
    """XPN -> the name as it is read."""
    return noted(v, to, " ".join(filter(None, map(v.text, (5, 2, 3, 1, 4)))), "name")


def coded_words(v: Repetition, to: str) -> str | None:
    """CWE -> string: the words, else the code."""
    return noted(v, to, v.text(9) or v.text(2) or v.text(1), "CWE")


PAIRS: dict[tuple[str, str], Convert] = {
    ("XPN", "string"): shown_name,
    ("CWE", "string"): coded_words,
    ("CWE", "markdown"): coded_words,
    ("CWE", "Quantity"): units,
    ("CQ", "Duration"): CQ,
    ("NM", "Duration"): NM,
    ("CP", "Money"): CP,
    ("MO", "Money"): CP,
    ("TQ", "Timing"): TQ,
    ("PL", "Identifier"): place_identifier,
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
    ("FC", "CodeableConcept"): lambda v, to: CWE(v.component(1), to),
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
    "Timing": "TQ",
    "Practitioner": "XCN",
    "Organization": "XON",
    "Location": "PL",
}


def converter(source: str, target: str) -> Convert | None:
    """Return how data type ``source`` becomes FHIR type ``target``; ``None``: there is no way."""
    if (found := PAIRS.get((source or NATURAL.get(target, ""), target))) is not None:
        return found
    return PRIMITIVES.get(target)


def _put(v: Repetition, to: str, made: dict[str, Any], element: str, component: int) -> None:
    made[element] = text = v.texts[component]
    v.run.note((f"{to}.{element}", f"{v.path}.{component}", "copy", text))


def _list(
    v: Repetition, to: str, made: dict[str, Any], element: str, components: tuple[int, ...]
) -> None:
    found: list[str] = []
    for component in components:
        if text := v.texts[component]:
            v.run.note((f"{to}.{element}[{len(found)}]", f"{v.path}.{component}", "copy", text))
            found.append(text)
    made[element] = found


def _put_validity(
    v: Repetition, to: str, made: dict[str, Any], start: int, end: int, both: int
) -> None:
    """Put the period that two components state, or (to v2.4) one with two sub-components."""
    texts = v.texts
    if texts[start] or texts[end] or v.parts[both - 1 : both]:
        first = texts[start] or texts[both]
        put_period(v, to, made, first, texts[end] or v.text(both, 2))
