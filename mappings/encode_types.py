"""FHIR data type -> HL7v2 data type.  One function per pair; the other way of ``datatypes``.

Source: HL7 v2.9 chapter 2A, and the HL7 v2-to-FHIR guide 1.0.0 read backwards.  Input: the run and
the value.  Output: the components of one repetition; ``None``: there is nothing to say.
"""

import re
from collections.abc import Callable
from typing import Any

from mappings.emit_run import Run
from mappings.encode import Component, Repetition
from mappings.encode_concepts import (
    CWE,
    coded_id,
    coding_code,
    coding_cwe,
    coding_system,
    concept_code,
    concept_words,
    table_code,
    translated,
)
from mappings.encode_dates import DR, DT, DTM, TM, V25, period, put_component
from mappings.feed import NAMESPACE
from mappings.tables import Table

Encode = Callable[[Run, Any], Repetition | None]
_V27 = (2, 7)
_CODE = re.compile(r"\S{1,20}")


def XPN(run: Run, name: Any) -> Repetition | None:  # noqa: N802
    """HumanName -> extended person name; given names behind the first share XPN.3."""
    given, suffix = _texts(name, "given"), _texts(name, "suffix")
    family = name.get("family", "")
    if not family and not given:
        family = name.get("text", "")
    made: Repetition = [
        family,
        given[0] if given else "",
        " ".join(given[1:]),
        suffix[0] if suffix else "",
        " ".join(_texts(name, "prefix")),
        suffix[1] if len(suffix) > 1 else "",
        table_code(run, "NameType", "", name.get("use", "")),
    ]
    if len(suffix) > 2 and run.version >= V25:
        made += [""] * 6 + [" ".join(suffix[2:])]
    period(run, name, made, start=12, end=13, range_=10)
    return made if any(made[:6]) else None


def XAD(run: Run, address: Any) -> Repetition | None:  # noqa: N802
    """Address -> extended address."""
    lines = _texts(address, "line")
    if not lines and not any(address.get(k) for k in ("city", "state", "postalCode", "country")):
        lines = [address["text"]] if address.get("text") else []
    kind = table_code(run, "AddressUse", "", address.get("use", ""))
    if not kind and address.get("type") == "postal":
        kind = "M"
    made: Repetition = [
        lines[0] if lines else "",
        lines[1] if len(lines) == 3 and run.version >= _V27 else " ".join(lines[1:]),
        *(address.get(key, "") for key in ("city", "state", "postalCode", "country")),
        kind,
        "",
        address.get("district", ""),
    ]
    if not any(made[:6] + made[8:]):
        return None
    period(run, address, made, start=13, end=14, range_=12)
    if len(lines) == 3 and run.version >= _V27:
        put_component(made, 19, lines[2])
    return made


def XTN(run: Run, contact: Any) -> Repetition | None:  # noqa: N802
    """ContactPoint -> extended telecommunication number; e-mail and addresses in XTN.4."""
    value = contact.get("value", "")
    if not value:
        return None
    system, use = contact.get("system", "phone"), contact.get("use", "")
    if use == "mobile":
        made: Repetition = ["", "PRN", "CP"]
    else:
        made = [
            "",
            table_code(run, "TelecomUse", "", use),
            table_code(run, "TelecomSystem", "", system),
        ]
    if system in ("email", "url") or "@" in value:
        put_component(made, 2, made[1] or "NET")
        put_component(made, 3, "Internet")
        put_component(made, 4, value)
    else:
        put_component(made, 12 if run.version >= _V27 else 1, value)
    if run.version >= _V27:
        period(run, contact, made, start=13, end=14, range_=0)
        put_component(made, 18, str(contact.get("rank", "")))
    return made


def CX(run: Run, identifier: Any) -> Repetition | None:  # noqa: N802
    """Identifier -> extended composite id."""
    value = identifier.get("value", "")
    if not value or _derived(identifier):
        return None
    made: Repetition = [value, "", "", authority(run, identifier), identifier_type(run, identifier)]
    if run.version >= V25:
        period(run, identifier, made, start=7, end=8, range_=0, dates=True)
    return made


def EI(run: Run, identifier: Any) -> Repetition | None:  # noqa: N802
    """Identifier -> entity identifier."""
    value = identifier.get("value", "")
    if not value or _derived(identifier):
        return None
    return [value, *run.reverse.authority(identifier.get("system", ""))]


def _derived(identifier: Any) -> bool:
    """Tell whether this server made it of other fields: it means nothing elsewhere."""
    return str(identifier.get("system", "")).startswith(f"{NAMESPACE}:key:")


def EIP(run: Run, identifier: Any) -> Repetition | None:  # noqa: N802
    """Identifier -> entity identifier pair: the filler's if its type says so, else the placer's."""
    made = EI(run, identifier)
    if made is None:
        return None
    parts = [str(one) for one in made]
    return ["", parts] if identifier_type(run, identifier) in ("FGN", "FILL") else [parts]


def identifier_text(_run: Run, identifier: Any) -> Repetition | None:
    """Identifier -> its value alone."""
    return [identifier["value"]] if identifier.get("value") else None


def authority(run: Run, identifier: Any) -> Component:
    """Return the assigning authority of an identifier, as a component with sub-components."""
    made = list(run.reverse.authority(identifier.get("system", "")))
    return made if any(made) else ""


def identifier_type(run: Run, identifier: Any) -> str:
    """Return the code of table 0203 of an identifier, ``""`` when it has none."""
    kind = identifier.get("type", {})
    for coding in kind.get("coding", ()):
        if found := run.reverse.code(
            "IdentifierType", coding.get("system", ""), coding.get("code", "")
        ):
            return found
    text = str(kind.get("text", ""))
    return text if _CODE.fullmatch(text) else ""


def ID_of_boolean(_run: Run, value: Any) -> Repetition | None:  # noqa: N802
    """boolean -> ID of table 0136."""
    return ["Y" if value else "N"]


def text(_run: Run, value: Any) -> Repetition | None:
    """Any primitive -> its text; a decimal keeps its digits."""
    return [str(value)] if value is not None and str(value) else None


def CQ(run: Run, quantity: Any) -> Repetition | None:  # noqa: N802
    """Quantity -> composite quantity with units."""
    if quantity.get("value") is None:
        return None
    made: list[str] = [one if isinstance(one, str) else "" for one in units(run, quantity) or []]
    return [str(quantity["value"]), made or ""]


def NM(_run: Run, quantity: Any) -> Repetition | None:  # noqa: N802
    """Quantity -> its number."""
    return None if quantity.get("value") is None else [str(quantity["value"])]


def units(run: Run, quantity: Any) -> Repetition | None:
    """Quantity -> CWE of its unit."""
    shown, code = quantity.get("unit", ""), quantity.get("code", "")
    if not shown and not code:
        return None
    if not code:
        return [shown]
    return [code, shown if shown != code else "", coding_system(run, quantity.get("system", ""))]


def money(_run: Run, value: Any) -> Repetition | None:
    """Money -> composite price."""
    if value.get("value") is None:
        return None
    return [[str(value["value"]), value.get("currency", "")]]


def annotation(_run: Run, value: Any) -> Repetition | None:
    """Annotation -> its text."""
    return [value["text"]] if value.get("text") else None


def name_words(_run: Run, name: Any) -> Repetition | None:
    """HumanName -> the name as it is read."""
    parts = [*_texts(name, "prefix"), *_texts(name, "given"), name.get("family", "")]
    shown = name.get("text") or " ".join([*filter(None, parts), *_texts(name, "suffix")])
    return [shown] if shown else None


def attachment(_run: Run, value: Any) -> Repetition | None:
    """Attachment -> ED with its data, else RP with its address."""
    mime = str(value.get("contentType", "")).partition(";")[0]
    kind, _, subtype = mime.strip().partition("/")
    if data := value.get("data"):
        return ["", kind, subtype, "Base64", str(data)]
    if url := value.get("url"):
        return [str(url), "", kind, subtype]
    return None


def _texts(value: Any, key: str) -> list[str]:
    return [str(one) for one in value.get(key, ()) if one]


_DATES = ("date", "dateTime", "instant")
_NUMBERS = ("decimal", "integer", "positiveInt", "unsignedInt")
_WORDS = ("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "base64Binary")
_TEXT_TYPES = ("ST", "TX", "FT", "ID", "IS", "SI", "NM", "")
_CONCEPT_TEXT = ("ST", "TX", "FT")

ENCODERS: dict[tuple[str, str], Encode] = {
    ("HumanName", "XPN"): XPN,
    ("HumanName", "ST"): name_words,
    ("Address", "XAD"): XAD,
    ("ContactPoint", "XTN"): XTN,
    ("Identifier", "CX"): CX,
    ("Identifier", "EI"): EI,
    ("Identifier", "EIP"): EIP,
    ("Identifier", "CWE"): identifier_text,
    ("CodeableConcept", "CWE"): CWE,
    ("Coding", "CWE"): coding_cwe,
    ("Period", "DR"): DR,
    ("Quantity", "CQ"): CQ,
    ("Quantity", "NM"): NM,
    ("Duration", "CQ"): CQ,
    ("Duration", "NM"): NM,
    ("Quantity", "CWE"): units,
    ("Money", "CP"): money,
    ("Attachment", "ED"): attachment,
    ("time", "TM"): TM,
    **{("Identifier", to): identifier_text for to in _TEXT_TYPES},
    **{("CodeableConcept", to): concept_words for to in _CONCEPT_TEXT},
    **{("CodeableConcept", to): concept_code for to in ("ID", "IS")},
    **{("Coding", to): coding_code for to in ("ID", "IS", "ST")},
    **{("Annotation", to): annotation for to in _CONCEPT_TEXT},
    **{("boolean", to): ID_of_boolean for to in ("ID", "IS", "ST", "CWE")},
    **{(source, "DTM"): DTM for source in _DATES},
    **{(source, "DT"): DT for source in _DATES},
    **{(source, "ST"): DTM for source in _DATES},
    **{(source, to): text for source in _NUMBERS for to in _TEXT_TYPES},
    **{(source, to): text for source in _WORDS for to in (*_TEXT_TYPES, "CWE", "EI", "CX")},
}

# A field whose type the standard does not say (a Z segment) takes its value as this.
NATURAL = {
    "HumanName": "XPN",
    "Address": "XAD",
    "ContactPoint": "XTN",
    "Identifier": "CX",
    "CodeableConcept": "CWE",
    "Coding": "CWE",
    "Period": "DR",
    "Quantity": "CQ",
    "Money": "CP",
    "Attachment": "ED",
    "boolean": "ID",
    "time": "TM",
    **dict.fromkeys(_DATES, "DTM"),
}


def encoder(source: str, target: str) -> Encode | None:
    """Return how a FHIR type becomes an HL7v2 type; ``None``: there is no way."""
    return ENCODERS.get((source, target or NATURAL.get(source, "")))


def tabled(source: str, target: str, table: Table) -> Encode | None:
    """Return how a coded FHIR type becomes an HL7v2 type through a table."""
    if source not in ("code", "Coding", "CodeableConcept"):
        return None
    if target in ("ID", "IS", "ST", ""):
        return lambda run, value: coded_id(run, value, source, table.name)
    if target == "CWE":
        return lambda run, value: translated(run, value, source, table.name)
    return None
