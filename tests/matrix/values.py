"""Values of each datatype, the n-th of a fixed round: what searches stumble over is among them.

Rounds of neighbouring types have different lengths, so that values do not always meet in the same
pairs.  No two of the first three values of a round are equal in any search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from server.fhir import definitions
from server.fhir.definitions import Child

BASE_URL = "http://me.test/fhir"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
SYSTEM = "http://h.test/codes"
ANY_TARGETS = ("Patient", "Organization", "Device", "Observation")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value goes; ``n`` chooses it, ``where`` is what must hold of it."""

    child: Child
    n: int
    where: tuple[str, str] | None = None
    targets: tuple[str, ...] = ()


DATES = ("2015", "2016-02", "2016-02-29", "2017-12-31", "1969-12-31")
DATE_TIMES = (
    "2018-05-06T07:08:09+02:00",
    "2016-02",
    "2018-05-06T05:08:09.123Z",
    "2017-12-31",
    "2015",
    "2017-12-31T23:30:00-05:00",
    "2018-05-06T05:08:09Z",
)
INSTANTS = (
    "2018-05-06T05:08:09Z",
    "2018-05-06T07:08:09.5+02:00",
    "2017-12-31T23:30:00-05:00",
    "2018-05-06T05:08:09.123456Z",
)
PERIODS: tuple[Mapping[str, str], ...] = (
    {"start": "2018-05-06T07:08:09+02:00", "end": "2018-05-07"},
    {"start": "2016-02"},
    {"end": "2015"},
    {"start": "2017-12-31", "end": "2017-12-31"},
    {"start": "1969", "end": "2019-06"},
)
STRINGS = (
    "Müller-Straße {n}",
    "O'Brien, van  der {n} Berg",
    "anna",
    "MÜLLER",
    "São Tomé ({n})",
    "100% \\ a,b|c$d",
    "Ångström Łódź",
)
WORDS = ("Weight of the body", "Body Height", "weight", "Blut-Druck, größer", "heart rate {n}")
NUMBERS = ("7", "12", "250", "3", "100", "41")
DECIMALS = ("0.5", "100", "5.40", "-2.75", "0.05", "7", "1E+2")
QUANTITIES: tuple[Mapping[str, Any], ...] = (
    {"value": "70.5", "unit": "kg", "system": UCUM, "code": "kg"},
    {"value": "155.4", "unit": "lb", "system": UCUM, "code": "[lb_av]"},
    {"value": "5.4", "comparator": "<", "unit": "mg", "system": UCUM, "code": "mg"},
    {"value": "100"},
    {"value": "70500", "unit": "gram", "system": UCUM, "code": "g"},
    {"value": "6", "unit": "mmol/l"},
    {"value": "7.0", "system": "http://h.test/units", "code": "drops"},
    {"value": "120", "comparator": ">=", "system": UCUM, "code": "mm[Hg]"},
    {"value": "37", "system": UCUM, "code": "Cel"},
    {"value": "98.6", "system": UCUM, "code": "[degF]"},
    {"value": "0.07", "comparator": "<=", "system": UCUM, "code": "t"},
    {"value": "5", "comparator": ">", "code": "kg"},
    {"unit": "kg", "system": UCUM, "code": "kg"},
    {"value": "-3", "unit": "no unit of ucum", "system": UCUM, "code": "zorkmid"},
)
SPANS: tuple[Mapping[str, Any], ...] = (
    {"value": "30", "unit": "years", "system": UCUM, "code": "a"},
    {"value": "360", "system": UCUM, "code": "mo"},
    {"value": "90", "unit": "min", "system": UCUM, "code": "min"},
    {"value": "1.5", "system": UCUM, "code": "h"},
    {"value": "2", "comparator": ">", "system": UCUM, "code": "d"},
)
LENGTHS: tuple[tuple[str | None, str | None], ...] = (
    ("50", "70.5"),
    ("1", None),
    (None, "3"),
    ("2", "2"),
    ("100", "150.5"),
)
CODES = ("8867-4", "a", "B", "x-1", "8480-6")
LATITUDES = ("52.52", "52.53", "48.137", "-33.86", "-17.8", "-17.8", "89.99")
LONGITUDES = ("13.405", "13.41", "11.575", "151.21", "179.99", "-179.99", "0")


def amount(text: str | None) -> Any:
    """Return the JSON number as the server reads it."""
    if text is None:
        return None
    return Decimal(text) if set(text) & set(".E") else int(text)


def identifier(n: int) -> dict[str, Any]:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": ("MR", "SS")[n % 2]}
    match n % 5:
        case 0:
            return {"system": "http://h.test/mrn", "value": f"{1000 + n}"}
        case 1:
            coding = [{**kind, "display": WORDS[n % len(WORDS)]}, {"code": "local"}]
            return {"type": {"coding": coding}, "system": "http://h.test/ssn", "value": "a|b,c"}
        case 2:
            return {"type": {"text": "Record Number"}, "value": f"v-{n}"}
        case 3:
            return {"type": {"coding": [kind]}, "system": "http://h.test/mrn", "value": "1000"}
        case _:
            return {"system": "urn:oid:1.2.3"}


def coding(n: int) -> dict[str, Any]:
    code = CODES[n % len(CODES)]
    match n % 4:
        case 0:
            return {"system": LOINC, "code": code, "display": WORDS[n % len(WORDS)].format(n=n)}
        case 1:
            return {"code": code}
        case 2:
            return {"system": SYSTEM, "code": code, "display": f"Weight {n}"}
        case _:
            return {"system": SYSTEM, "version": "2", "code": code.upper()}


def concept(spot: Spot) -> dict[str, Any]:
    n = spot.n
    bound = bound_coding(spot)
    if bound is not None:
        made: dict[str, Any] = {"coding": [bound, coding(n)] if n % 2 else [bound]}
    elif n % 6 == 5:
        made = {"coding": [{"system": LOINC}, {"display": "only words"}]}
    else:
        made = {"coding": [coding(n), coding(n + 2)] if n % 3 == 2 else [coding(n)]}
    if n % 2 == 0:
        made["text"] = WORDS[(n + 1) % len(WORDS)].format(n=n)
    return made


def bound_coding(spot: Spot) -> dict[str, Any] | None:
    """Return a coding of the value set that is required, ``None`` where none is known."""
    systems = definitions.required_codes(spot.child.binding) if spot.child.binding else None
    if not systems:
        return None
    pairs = sorted((system, code) for system, codes in systems.items() for code in codes)
    system, code = pairs[spot.n % len(pairs)]
    return {"system": system, "code": code}


def code_of(spot: Spot) -> str:
    if spot.where and spot.where[0] == spot.child.name:
        return spot.where[1]
    bound = bound_coding(spot)
    return str(bound["code"]) if bound else f"code-{'abC'[spot.n % 3]}"


def contact(spot: Spot) -> dict[str, Any]:
    system = spot.where[1] if spot.where else ("url", "fax", "other")[spot.n % 3]
    address = f"{system}-{spot.n % 4}@H.test" if system == "email" else f"+49 30 {100 + spot.n}"
    use = ("home", "work", "mobile")[spot.n % 3]
    return {"system": system, "value": address, "use": use} | (
        {"period": dict(PERIODS[spot.n % len(PERIODS)])} if spot.n % 4 == 3 else {}
    )


def human_name(n: int) -> dict[str, Any]:
    match n % 4:
        case 0:
            return {"family": "O'Brien-Müller", "given": ["Anna", f"Zoë {n}"], "prefix": ["Dr."]}
        case 1:
            return {"text": f"Łukasz von Straße {n}"}
        case 2:
            return {"use": "old", "family": "Smith", "given": ["JOHN"], "suffix": ["Jr"]}
        case _:
            return {"family": "Smithson", "given": [f"Émile-{n}", "Anna"]}


def address(n: int) -> dict[str, Any]:
    use = ("home", "work", "temp", "old", "billing")[n % 5]
    match n % 3:
        case 0:
            return {
                "use": use,
                "line": [f"Große Straße {n}", "c/o O'Hara"],
                "city": ("München", "Zürich")[n % 2],
                "state": "Bayern",
                "postalCode": f"8033{n % 10}",
                "country": "DE",
            }
        case 1:
            return {
                "use": use,
                "city": f"Saint-Étienne {n}",
                "district": "Loire",
                "state": f"S-{n}",
                "postalCode": "42000",
                "country": "FR",
            }
        case _:
            return {"use": use, "text": f"Box {n}, Łódź", "state": "PL ", "country": "Pol-Ska"} | {
                "postalCode": f"90-{n:03}",
                "city": "Łódź",
            }


def quantity(n: int, pool: Sequence[Mapping[str, Any]] = QUANTITIES) -> dict[str, Any]:
    found = dict(pool[n % len(pool)])
    if "value" in found:
        found["value"] = amount(found["value"])
    return found


def range_(n: int) -> dict[str, Any]:
    low, high = LENGTHS[n % len(LENGTHS)]
    code, unit = (("kg", "kg"), ("[lb_av]", "lb"), ("a", "years"))[n % 3]
    named = {"unit": unit, "system": UCUM, "code": code}
    ends = {"low": low, "high": high}
    return {name: {"value": amount(end), **named} for name, end in ends.items() if end}


def timing(n: int) -> dict[str, Any]:
    match n % 5:
        case 0:
            return {"event": ["2018-05-06T07:08:09+02:00", "2018-05-08"]}
        case 1:
            return {"repeat": {"boundsPeriod": {"start": "2016-02", "end": "2016-03-04"}}}
        case 2:
            return {"event": ["2015"], "repeat": {"frequency": 1}}
        case 3:
            return {"code": {"text": "now and then"}}
        case _:
            return {"event": ["2017-12-31"], "repeat": {"boundsPeriod": {"start": "2018-01"}}}


def reference(spot: Spot) -> dict[str, Any]:
    """Return a reference to a resource that the generator makes, in one of eight forms."""
    n = spot.n
    targets = spot.child.targets or ANY_TARGETS
    if spot.where and spot.where[0] == "resolve":
        targets = (spot.where[1],)
    type_ = targets[n % len(targets)]
    local = f"{type_}/m{n % 6}"
    match n % 8:
        case 1:
            return {"reference": local, "display": WORDS[n % len(WORDS)].format(n=n)}
        case 3:
            return {"reference": f"{local}/_history/2"}
        case 4:
            return {"reference": f"{BASE_URL}/{local}"}
        case 5:
            return {"type": type_, "identifier": identifier(n), "display": f"Body {n}"}
        case 6:
            return {"reference": f"http://other.test/fhir/{local}"}
        case 7:
            held = type_ in ("Patient", "Organization") and spot.where is None
            return {"reference": f"#{type_}" if held else local, "identifier": identifier(n)}
        case _:
            return {"reference": local}


def canonical(spot: Spot) -> str:
    targets = spot.targets or ("StructureDefinition",)
    url = f"http://h.test/{targets[spot.n % len(targets)]}/m{spot.n % 6}"
    return f"{url}|{spot.n % 3}.0" if spot.n % 2 else url


def uri(spot: Spot) -> str:
    return (f"http://h.test/a/b{spot.n % 3}", "urn:oid:1.2.3.4", f"http://h.test/a/b/{spot.n}")[
        spot.n % 3
    ]


def integer(spot: Spot) -> int:
    return int(NUMBERS[spot.n % len(NUMBERS)])


def decimal(spot: Spot) -> Any:
    match spot.child.name:
        case "latitude":
            return amount(LATITUDES[spot.n % len(LATITUDES)])
        case "longitude":
            return amount(LONGITUDES[spot.n % len(LONGITUDES)])
        case _:
            return amount(DECIMALS[spot.n % len(DECIMALS)])


def string(spot: Spot) -> str:
    if spot.child.name == "version":
        return f"{spot.n % 3}.0"
    return STRINGS[spot.n % len(STRINGS)].format(n=spot.n)


def narrative(spot: Spot) -> dict[str, Any]:
    words = f"{WORDS[spot.n % len(WORDS)].format(n=spot.n)} &amp; <b>chest</b> pain, Zoë"
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>'
    return {"status": "generated", "div": div}


def sampled_data(spot: Spot) -> dict[str, Any]:
    return {"origin": {"value": 0}, "period": 10 + spot.n, "dimensions": 1, "data": "1 2 3"}


def money(spot: Spot) -> dict[str, Any]:
    return {
        "value": amount(DECIMALS[spot.n % len(DECIMALS)]),
        "currency": ("EUR", "USD")[spot.n % 2],
    }


def _nth(pool: Sequence[Any]) -> Callable[[Spot], Any]:
    return lambda spot: dict(p) if isinstance(p := pool[spot.n % len(pool)], Mapping) else p


MAKERS: Mapping[str, Callable[[Spot], Any]] = {
    "boolean": lambda spot: spot.n % 2 == 0,
    "code": code_of,
    **dict.fromkeys(("string", "markdown"), string),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), integer),
    "decimal": decimal,
    "date": _nth(DATES),
    "dateTime": _nth(DATE_TIMES),
    "instant": _nth(INSTANTS),
    "time": _nth(("08:00:00", "12:30:00")),
    "Period": _nth(PERIODS),
    "Timing": lambda spot: timing(spot.n),
    **dict.fromkeys(("uri", "url"), uri),
    "oid": lambda spot: f"urn:oid:1.2.{spot.n}",
    "uuid": lambda spot: f"urn:uuid:00000000-0000-4000-8000-{spot.n:012}",
    "id": lambda spot: f"e{spot.n}",
    "canonical": canonical,
    "base64Binary": _nth(("AAAA", "BBBB")),
    "Coding": lambda spot: bound_coding(spot) or coding(spot.n),
    "CodeableConcept": concept,
    "Identifier": lambda spot: identifier(spot.n),
    "ContactPoint": contact,
    "HumanName": lambda spot: human_name(spot.n),
    "Address": lambda spot: address(spot.n),
    **dict.fromkeys(("Quantity", "Count", "Distance"), lambda spot: quantity(spot.n)),
    **dict.fromkeys(("Age", "Duration"), lambda spot: quantity(spot.n, SPANS)),
    "Money": money,
    "Range": lambda spot: range_(spot.n),
    "Ratio": lambda spot: {"numerator": {"value": spot.n}, "denominator": {"value": 2}},
    "SampledData": sampled_data,
    "Reference": reference,
    "Narrative": narrative,
}
