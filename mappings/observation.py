"""OBX-5 -> Observation.value[x], by the type that OBX-2 declares.

Source: HL7 v2-to-FHIR guide 1.0.0, segment map OBX[Observation].  A value that is not what OBX-2
says is kept as text and noted; nothing is guessed into a number.
"""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any

from mappings.codes import CWE, unit
from mappings.datatypes import DR
from mappings.numbers import decimal_of
from mappings.primitives import date_time, time
from mappings.repetition import Repetition
from mappings.source import Scope

Made = dict[str, Any]

MAX_ATTACHMENT_CHARACTERS = 8 * 2**20  # of base64; what is larger stays in the raw message only
_COMPARED = re.compile(r"(<=|>=|<|>)\s*(\S+)")
_RANGE = re.compile(r"(-?[\d.]+)\s*(?:-|–|to|\.\.)\s*(-?[\d.]+)", re.IGNORECASE)
_LIMIT = re.compile(r"(<=|>=|<|>)\s*(-?[\d.]+)")
_NUMBERS = frozenset({"NM", "SN", "NR", ""})
_CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
_TEXTS = frozenset({"ST", "TX", "FT"})
ATTACHMENTS = frozenset({"ED", "RP"})
_MIME = {
    "PDF": "application/pdf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "TIF": "image/tiff",
    "BMP": "image/bmp",
    "HTML": "text/html",
    "RTF": "application/rtf",
    "TXT": "text/plain",
    "TEXT": "text/plain",
    "PLAIN": "text/plain",
    "XML": "application/xml",
    "DICOM": "application/dicom",
    "ZIP": "application/zip",
    "MSWORD": "application/msword",
}


def observation_value(scope: Scope, to: str, values: list[Repetition]) -> Made | None:
    """Return the elements that hold the value: ``valueX``, or ``component`` for several values."""
    sent = [v for v in values if v.whole()]
    if not sent:
        return None
    kind = _text(scope, 2).upper()
    target = to.rpartition(".")[0]
    if kind in ATTACHMENTS:
        return None  # ``attachment`` makes something of it
    if kind in _TEXTS or len(sent) == 1:
        return _value(scope, kind, target, sent)
    made = [_value(scope, kind, f"{target}.component[{n}]", [v]) for n, v in enumerate(sent)]
    coded = scope.repetitions("OBX", 3)
    code = CWE(coded[0], f"{target}.component.code") if coded else None
    if code is None or any(one is None for one in made):
        return _as_text(target, sent)
    return {"component": [{"code": code, **one} for one in made if one is not None]}


def _value(scope: Scope, kind: str, to: str, sent: list[Repetition]) -> Made | None:
    v = sent[0]
    made: Made | None = None
    if kind == "NM":
        made = _numeric(scope, v, to)
    elif kind == "SN":
        made = _structured(scope, v, to)
    elif kind in _CODED:
        made = _named("valueCodeableConcept", CWE(v, f"{to}.valueCodeableConcept"))
    elif kind in ("DT", "DTM", "TS"):
        made = _named("valueDateTime", date_time(v, f"{to}.valueDateTime"))
    elif kind == "TM":
        made = _named("valueTime", time(v, f"{to}.valueTime"))
    elif kind == "DR":
        made = _named("valuePeriod", DR(v, f"{to}.valuePeriod"))
    elif kind == "NR":
        made = _range(scope, v, to, v.text(1), v.text(2))
    return made or _as_text(to, sent, kind)


def _named(name: str, value: Any) -> Made | None:
    return None if value is None else {name: value}


def _as_text(to: str, sent: list[Repetition], kind: str = "") -> Made | None:
    """Every other type, and what could not be read as its own: the text as sent."""
    texts = [
        v.whole() if kind in _TEXTS or kind == "" else " ".join(filter(None, map(v.text, _upto(v))))
        for v in sent
    ]
    text = "\n".join(texts)
    if not text:
        return None
    how = kind if kind in _TEXTS else f"text of {kind or 'no type'}"
    sent[0].run.row(f"{to}.valueString", sent[0].path, how, text)
    return {"valueString": text}


def _upto(v: Repetition) -> range:
    return range(1, len(v.parts) + 1)


def _numeric(scope: Scope, v: Repetition, to: str) -> Made | None:
    """NM; laboratories write ``<5`` there, which is a number with a comparator."""
    text = v.whole()
    comparator = ""
    if found := _COMPARED.fullmatch(text):
        comparator, text = found[1], found[2]
    number = decimal_of(text)
    if number is None:
        v.run.invalid(f"{to}.valueQuantity", v.path, "NM", v.whole())
        return None
    v.run.row(f"{to}.valueQuantity.value", v.path, "NM", v.whole())
    return {"valueQuantity": _quantity(scope, f"{to}.valueQuantity", number, comparator)}


def _quantity(scope: Scope, to: str, number: Decimal, comparator: str = "") -> Made:
    made: Made = {"value": number}
    if comparator:
        made["comparator"] = comparator
    if units := scope.repetitions("OBX", 6):
        made |= unit(units[0], to)
    return made


def _structured(scope: Scope, v: Repetition, to: str) -> Made | None:
    """SN: ``>^100``, ``^1^-^5``, ``^1^:^128``; ``<>`` and ``2+`` have no counterpart."""
    comparator, separator = v.text(1), v.text(3)
    first, second = decimal_of(v.text(2)), decimal_of(v.text(4))
    comparator = "" if comparator == "=" else comparator
    if first is None or comparator not in ("", "<", ">", "<=", ">="):
        return None
    if separator == "" and second is None:
        v.run.row(f"{to}.valueQuantity.value", v.path, "SN", v.whole())
        return {"valueQuantity": _quantity(scope, f"{to}.valueQuantity", first, comparator)}
    if second is None:
        return None
    if separator in ("/", ":"):
        v.run.row(f"{to}.valueRatio", v.path, "SN", v.whole())
        above: Made = {"value": first, **({"comparator": comparator} if comparator else {})}
        return {"valueRatio": {"numerator": above, "denominator": {"value": second}}}
    if separator == "-" and not comparator:
        return _range(scope, v, to, v.text(2), v.text(4))
    return None


def _range(scope: Scope, v: Repetition, to: str, low: str, high: str) -> Made | None:
    ends = {"low": decimal_of(low), "high": decimal_of(high)}
    made = {
        name: _quantity(scope, f"{to}.valueRange.{name}", end)
        for name, end in ends.items()
        if end is not None
    }
    if not made or _inverted(ends["low"], ends["high"]):
        return None
    v.run.row(f"{to}.valueRange", v.path, "range", v.whole())
    return {"valueRange": made}


def _inverted(low: Decimal | None, high: Decimal | None) -> bool:
    return low is not None and high is not None and low > high


def reference_range(scope: Scope, to: str, values: list[Repetition]) -> list[Made] | None:
    """OBX-7 -> referenceRange: the words always, the limits when the value is a number."""
    made: list[Made] = []
    kind = _text(scope, 2).upper()
    element = to.rpartition("[")[0] if to.endswith("]") else to  # the rule may be one of a list
    for v in values:
        if not (text := v.whole()):
            continue
        at = f"{element}[{len(made)}]"
        v.run.row(f"{at}.text", v.path, "copy", text)
        limits = _limits(text) if kind in _NUMBERS else {}
        one: Made = {end: _quantity(scope, f"{at}.{end}", number) for end, number in limits.items()}
        made.append({**one, "text": text})
    return made or None


def _limits(text: str) -> dict[str, Decimal]:
    """Return the ends of ``3.5-5.0``, ``<=5`` or ``>10``, which are words in ``text`` anyway."""
    if found := _RANGE.fullmatch(text):
        low, high = decimal_of(found[1]), decimal_of(found[2])
        if low is None or high is None or low > high:
            return {}
        return {"low": low, "high": high}
    if (found := _LIMIT.fullmatch(text)) and (number := decimal_of(found[2])) is not None:
        return {"high" if found[1].startswith("<") else "low": number}
    return {}


def attachment(scope: Scope, to: str, values: list[Repetition]) -> Made | None:
    """OBX-5 of type ED or RP -> Attachment."""
    sent = [v for v in values if v.whole()]
    if not sent:
        return None
    made = _pointer(sent[0], to) if _text(scope, 2).upper() == "RP" else _data(sent[0], to)
    if made is None:
        return None
    coded = scope.repetitions("OBX", 3)
    if coded and (title := coded[0].text(2) or coded[0].text(1)):
        made["title"] = title
    return made


def _pointer(v: Repetition, to: str) -> Made | None:
    url = v.text(1)
    if not url or any(c.isspace() for c in url):
        v.run.invalid(f"{to}.url", v.path, "url", url)
        return None
    v.run.row(f"{to}.url", v.path, "RP", url)
    return {"contentType": _mime(v.text(3), v.text(4)), "url": url}


def _data(v: Repetition, to: str) -> Made | None:
    encoding, raw = v.text(4).lower(), v.parts[4] if len(v.parts) > 4 else ""
    if len(raw) > MAX_ATTACHMENT_CHARACTERS:
        v.run.invalid(f"{to}.data", v.path, f"ED below {MAX_ATTACHMENT_CHARACTERS}", "too large")
        return None
    data = _encoded(encoding, v.text(5))
    if data is None:
        v.run.invalid(f"{to}.data", v.path, f"ED ({encoding or 'no encoding'})", "")
        return None
    v.run.row(f"{to}.data", f"{v.path}.5", "ED", f"{len(data)} characters of base64")
    return {"contentType": _mime(v.text(2), v.text(3)), "data": data}


def _encoded(encoding: str, text: str) -> str | None:
    """Return the data as base64; ``None`` when it is not what its encoding says, or empty."""
    try:
        if encoding == "hex":
            data = bytes.fromhex(text)
        elif encoding == "a":
            data = text.encode()
        else:
            data = base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        return None
    return base64.b64encode(data).decode() if data else None


def _mime(type_: str, subtype: str) -> str:
    if known := _MIME.get(subtype.upper()) or _MIME.get(type_.upper()):
        return known
    if "/" in subtype and " " not in subtype:
        return subtype
    return "application/octet-stream"


def _text(scope: Scope, field: int) -> str:
    found = scope.repetitions("OBX", field)
    return found[0].text() if found else ""
