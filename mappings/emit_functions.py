"""Rules of emit maps that are written in Python, by name (``fn:``): scope, values -> a field.

``docs/outbound.md`` lists them; a value of a result is by far the most of it, for its type decides
that of the field (HL7 v2.9 chapter 7.4.2, OBX-2 and OBX-5).
"""

from collections.abc import Callable, Sequence
from typing import Any

from mappings.emit_run import Run, Scope
from mappings.encode import Field, Repetition
from mappings.encode_concepts import CWE
from mappings.encode_dates import DR, TM, timestamp
from mappings.encode_references import PL
from mappings.encode_types import units

Function = Callable[[Scope, Sequence[Any]], Field]
_MAX_ST = 199  # characters of an ST (v2.7 chapter 2A); longer texts are TX
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_SENSITIVITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_STRICTNESS = {"V": 0, "R": 1}  # then the sensitivities, by their codes
_COMPARED = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def trigger(scope: Scope, _values: Sequence[Any]) -> Field:
    """The trigger event of the message."""
    return [[scope.run.event]]


def happened(scope: Scope, _values: Sequence[Any]) -> Field:
    """When the change was made."""
    return [[timestamp(scope.run.destination, scope.run.change.at)]] if scope.run.change.at else []


def lines(_scope: Scope, values: Sequence[Any]) -> Field:
    """Texts or annotations as one text, a line each."""
    said = [one.get("text", "") if isinstance(one, dict) else str(one) for one in values]
    text = "\n".join(filter(None, said))
    return [[text]] if text else []


def minutes(_scope: Scope, values: Sequence[Any]) -> Field:
    """A duration in minutes as a number and its unit's field of the same segment, ``MIN``."""
    return [["MIN"]] if values else []


def appointment_timing(scope: Scope, _values: Sequence[Any]) -> Field:
    """Start and end of an Appointment as the components 4 and 5 of SCH-11."""
    here = scope.here
    ends = [
        timestamp(scope.run.destination, here[key]) if here.get(key) else ""
        for key in ("start", "end")
    ]
    return [["", "", "", *ends]] if any(ends) else []


def last_place(scope: Scope, values: Sequence[Any]) -> Field:
    """The place of Encounter.location that was entered last; without periods the first."""
    started = [one.get("period", {}).get("start", "") for one in values]
    if not values:
        return []
    at = started.index(max(started)) if all(started) else 0
    made = PL(scope.run, values[at].get("location", {}))
    return [made] if made else []


def observation_type(scope: Scope, _values: Sequence[Any]) -> Field:
    """OBX-2: the HL7v2 type of the value."""
    kind, _ = _value(scope)
    return [[kind]] if kind else []


def observation_value(scope: Scope, _values: Sequence[Any]) -> Field:
    """OBX-5: the value; components that answer the same question are its repetitions."""
    return _value(scope)[1]


def observation_units(scope: Scope, _values: Sequence[Any]) -> Field:
    """OBX-6: the unit of a quantity or of the ends of a range."""
    for source in (scope.here, *_alike(scope.here)):
        quantity = source.get("valueQuantity")
        if quantity is None and "valueRange" in source:
            quantity = source["valueRange"].get("low") or source["valueRange"].get("high")
        if quantity and (made := units(scope.run, quantity)):
            return [made]
    return []


def reference_range(_scope: Scope, values: Sequence[Any]) -> Field:
    """OBX-7: the words of a reference range, else its limits."""
    made = [_range_text(one) for one in values]
    return [[text] for text in made if text]


def attachment_type(_scope: Scope, values: Sequence[Any]) -> Field:
    """OBX-2 of an attachment: ED with its data, RP with an address."""
    return [["ED" if one.get("data") else "RP"] for one in values[:1]]


def confidentiality(scope: Scope, values: Sequence[Any]) -> Field:
    """Security labels as codes of table 0177, the strictest first.

    "Usual control" is what a message without one says; levels below normal are no more.
    """
    found: list[tuple[int, str, Field]] = []
    for value in values:
        made, strict = _control(scope.run, value)
        if made:
            found.append((strict, str(made[0]), [made]))
    return [one for _, _, field in sorted(found, key=lambda row: row[:2]) for one in field]


def confidentiality_code(scope: Scope, values: Sequence[Any]) -> Field:
    """The strictest of the security labels as a code of table 0177, for where there is one."""
    found = confidentiality(scope, values)
    if len(found) > 1:
        scope.run.note("several security labels, and room for one: the strictest is sent")
    return [[found[0][0]]] if found else []


def protection(_scope: Scope, values: Sequence[Any]) -> Field:
    """``Y`` where a security label asks for more protection than is usual."""
    return [["Y"]] if any(_is_strict(one) for one in values) else []


def _control(run: Run, label: Any) -> tuple[Repetition, int]:
    """Return a label as code, words and table, and its place among several."""
    if not _is_strict(label):
        return [], 0
    system, code = label.get("system", ""), label.get("code", "")
    found = run.reverse.code("SecurityLabel", system, code)
    if found is None:
        run.note(f"UNMAPPED SecurityLabel {code!r}")
        return [], 0
    words = run.reverse.tables["SecurityLabel"].codes.get(found)
    display = label.get("display") or (words.display if words is not None else "")
    return [found, display, "HL70177"], _STRICTNESS.get(found, len(_STRICTNESS))


def _is_strict(label: Any) -> bool:
    system, code = label.get("system"), label.get("code")
    return system == _SENSITIVITY or (system == _CONFIDENTIALITY and code in ("R", "V"))


def _range_text(value: Any) -> str:
    if text := value.get("text"):
        return str(text)
    low, high = (value.get(end, {}).get("value") for end in ("low", "high"))
    if low is not None and high is not None:
        return f"{low}-{high}"
    return f">={low}" if low is not None else f"<={high}" if high is not None else ""


def _alike(observation: Any) -> list[Any]:
    """Return the components that have the code of the observation itself."""
    return [c for c in observation.get("component", ()) if c.get("code") == observation.get("code")]


def _value(scope: Scope) -> tuple[str, Field]:
    here = scope.here
    parts = _alike(here)
    made = [_one(scope.run, part) for part in parts] if parts else [_one(scope.run, here)]
    kinds = [kind for kind, field in made if field]
    if not kinds:
        return "", []
    if len(set(kinds)) > 1:
        scope.run.note("values of several types in one OBX: the others are sent as text")
    return kinds[0], [repetition for _, field in made for repetition in field]


def _one(run: Run, here: Any) -> tuple[str, Field]:
    for key, write in _VALUES.items():
        if key in here:
            return write(run, here[key])
    if "valueSampledData" in here:
        run.note("a value of type SampledData has no OBX-5 and is left out")
    return "", []


def _quantity(run: Run, value: Any) -> tuple[str, Field]:
    if value.get("value") is None:
        return "", []
    if comparator := _COMPARED.get(value.get("comparator", "")):
        return "SN", [[comparator, str(value["value"])]]
    return "NM", [[str(value["value"])]]


def _concept(run: Run, value: Any) -> tuple[str, Field]:
    made = CWE(run, value)
    return ("CWE" if run.version >= (2, 5) else "CE"), [made] if made else []


def _string(_run: Run, value: Any) -> tuple[str, Field]:
    text = str(value)
    kind = "TX" if "\n" in text or len(text) > _MAX_ST else "ST"
    return kind, [[line] for line in (text.split("\n") if kind == "TX" else [text])]


def _boolean(run: Run, value: Any) -> tuple[str, Field]:
    made: Repetition = ["Y", "Yes", "HL70136"] if value else ["N", "No", "HL70136"]
    return ("CWE" if run.version >= (2, 5) else "CE"), [made]


def _date_time(run: Run, value: Any) -> tuple[str, Field]:
    made = timestamp(run.destination, value)
    kind = "DT" if len(made) <= 8 else "DTM" if run.version >= (2, 5) else "TS"
    return kind, [[made]]


def _range(_run: Run, value: Any) -> tuple[str, Field]:
    low, high = (value.get(end, {}).get("value") for end in ("low", "high"))
    if low is not None and high is not None:
        return "SN", [["", str(low), "-", str(high)]]
    if low is not None:
        return "SN", [[">=", str(low)]]
    return ("SN", [["<=", str(high)]]) if high is not None else ("", [])


def _ratio(_run: Run, value: Any) -> tuple[str, Field]:
    above, below = value.get("numerator", {}), value.get("denominator", {})
    if above.get("value") is None or below.get("value") is None:
        return "", []
    compared = str(above.get("comparator", ""))
    return "SN", [[compared, str(above["value"]), ":", str(below["value"])]]


def _time(run: Run, value: Any) -> tuple[str, Field]:
    made = TM(run, value)
    return "TM", [made] if made else []


def _period(run: Run, value: Any) -> tuple[str, Field]:
    made = DR(run, value)
    return "DR", [made] if made else []


_VALUES: dict[str, Callable[[Run, Any], tuple[str, Field]]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _concept,
    "valueString": _string,
    "valueBoolean": _boolean,
    "valueInteger": lambda _run, value: ("NM", [[str(value)]]),
    "valueDateTime": _date_time,
    "valueTime": _time,
    "valuePeriod": _period,
    "valueRange": _range,
    "valueRatio": _ratio,
}

FUNCTIONS: dict[str, Function] = {
    "trigger": trigger,
    "happened": happened,
    "lines": lines,
    "minutes": minutes,
    "last_place": last_place,
    "appointment_timing": appointment_timing,
    "observation_type": observation_type,
    "observation_value": observation_value,
    "observation_units": observation_units,
    "reference_range": reference_range,
    "attachment_type": attachment_type,
    "confidentiality": confidentiality,
    "confidentiality_code": confidentiality_code,
    "protection": protection,
}
