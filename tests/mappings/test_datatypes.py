"""One HL7v2 value -> one FHIR value, through the conversion that a map would use."""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mappings.datatypes import converter
from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.source import Run

FEED = Feed("lab", ZoneInfo("America/New_York"), authorities={"GH": "http://gh.example/mrn"})
TABLES = load_maps().tables
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def converted(source: str, target: str, raw: str) -> tuple[Any, Run]:
    data = rf"MSH|^~\&|A|FAC|C|D|2026||ADT^A01|1|P|2.5.1{chr(13)}ZZZ|{raw}"
    run = Run(parse(data.encode()), FEED, TABLES)
    segment = run.message.first("ZZZ")
    convert = converter(source, target)
    assert segment is not None
    assert convert is not None
    return convert(run.repetitions(segment, 1, {})[0], "x"), run


@pytest.mark.parametrize(
    ("source", "target", "raw", "value"),
    [
        ("ST", "string", " Doe ", "Doe"),
        ("ST", "string", r"a\.br\b", "a\nb"),
        ("ST", "string", "a\x07b", "ab"),
        ("CWE", "code", "A  B^x", "A B"),
        ("ST", "uri", "http://x.y/a b", "http://x.y/a%20b"),
        ("ID", "boolean", "Y", True),
        ("ID", "boolean", "N", False),
        ("NM", "integer", "+7", 7),
        ("NM", "positiveInt", "2", 2),
        ("NM", "decimal", "007.10", Decimal("7.10")),
        ("DTM", "date", "19850315103000", "1985-03-15"),
        ("DTM", "date", "1985", "1985"),
        ("DTM", "dateTime", "198503", "1985-03"),
        ("DTM", "dateTime", "2026070110", "2026-07-01T10:00:00-04:00"),
        ("DTM", "dateTime", "202601011030", "2026-01-01T10:30:00-05:00"),
        ("DTM", "dateTime", "20260101103015.123", "2026-01-01T10:30:15.123-05:00"),
        ("DTM", "dateTime", "20260101103015+0000", "2026-01-01T10:30:15+00:00"),
        ("DTM", "dateTime", "20260308023000", "2026-03-08T02:30:00-05:00"),
        ("DTM", "instant", "20260101103015", "2026-01-01T10:30:15-05:00"),
        ("TM", "time", "1030", "10:30:00"),
        ("XPN", "HumanName", "Doe", {"family": "Doe"}),
        (
            "XPN",
            "HumanName",
            "van Beethoven&van&Beethoven^Ludwig^^III^Dr^MD^L",
            {
                "use": "official",
                "family": "van Beethoven",
                "given": ["Ludwig"],
                "prefix": ["Dr"],
                "suffix": ["III", "MD"],
            },
        ),
        ("XPN", "HumanName", "^^^^^^L", None),
        (
            "XAD",
            "Address",
            "1 Elm&Elm&1^Apt 2^Town^IL^62701^USA^H^^Sangamon",
            {
                "use": "home",
                "line": ["1 Elm", "Apt 2"],
                "city": "Town",
                "district": "Sangamon",
                "state": "IL",
                "postalCode": "62701",
                "country": "USA",
            },
        ),
        ("XAD", "Address", "^^Town^^^^M", {"type": "postal", "city": "Town"}),
        ("XAD", "Address", "^^^^^^H", None),
        ("XTN", "ContactPoint", "(217)555-0101", [{"system": "phone", "value": "(217)555-0101"}]),
        (
            "XTN",
            "ContactPoint",
            "^PRN^CP^^1^217^5550101",
            [{"system": "phone", "value": "+1 217 5550101", "use": "mobile"}],
        ),
        (
            "XTN",
            "ContactPoint",
            "^WPN^FX^^^217^5550101^7",
            [{"system": "fax", "value": "217 5550101 X7", "use": "work"}],
        ),
        (
            "XTN",
            "ContactPoint",
            "^NET^Internet^a@b.org",
            [{"system": "email", "value": "a@b.org"}],
        ),
        (
            "XTN",
            "ContactPoint",
            "5550101^PRN^PH^a@b.org",
            [
                {"system": "phone", "value": "5550101", "use": "home"},
                {"system": "email", "value": "a@b.org", "use": "home"},
            ],
        ),
        ("XTN", "ContactPoint", "a@b.org", [{"system": "email", "value": "a@b.org"}]),
        (
            "CX",
            "Identifier",
            "1^^^GH^MR^^20200101^20250101",
            {
                "type": {"coding": [{"system": V2_0203, "code": "MR"}]},
                "system": "http://gh.example/mrn",
                "value": "1",
                "period": {"start": "2020-01-01", "end": "2025-01-01"},
                "assigner": {"display": "GH"},
            },
        ),
        ("CX", "Identifier", "1", {"system": "urn:tellonce:patient:lab:FAC", "value": "1"}),
        (
            "CX",
            "Identifier",
            "1^^^&2.16.840.1.113883.4.1&ISO",
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "1"},
        ),
        (
            "CX",
            "Identifier",
            "1^^^X Y&u&GUID",
            {
                "system": "urn:uuid:u",
                "value": "1",
                "assigner": {"display": "X Y"},
            },
        ),
        ("CX", "Identifier", "^^^GH", None),
        ("EI", "Identifier", "7^GH", {"system": "http://gh.example/mrn", "value": "7"}),
        (
            "CWE",
            "CodeableConcept",
            "718-7^Hb^LN^HB^Hemo^L^2.74",
            {
                "coding": [
                    {
                        "system": "http://loinc.org",
                        "version": "2.74",
                        "code": "718-7",
                        "display": "Hb",
                    },
                    {"system": "urn:tellonce:codes:lab:L", "code": "HB", "display": "Hemo"},
                ],
                "text": "Hb",
            },
        ),
        ("CWE", "CodeableConcept", "^only words", {"text": "only words"}),
        (
            "CWE",
            "CodeableConcept",
            "A^^HL70485",
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0485", "code": "A"}]},
        ),
        ("ST", "CodeableConcept", "Hives", {"text": "Hives"}),
        ("DR", "Period", "20260101^20260102", {"start": "2026-01-01", "end": "2026-01-02"}),
        ("DR", "Period", "20260102^20260101", {"start": "2026-01-02"}),
        (
            "CQ",
            "Quantity",
            "5.0^mL&milliliter&UCUM",
            {
                "value": Decimal("5.0"),
                "unit": "milliliter",
                "system": "http://unitsofmeasure.org",
                "code": "mL",
            },
        ),
        ("", "HumanName", "Doe^Jane", {"family": "Doe", "given": ["Jane"]}),
    ],
)
def test_a_value_becomes(source: str, target: str, raw: str, value: Any) -> None:
    assert converted(source, target, raw)[0] == value


@pytest.mark.parametrize(
    ("target", "raw"),
    [
        ("date", "19850230"),
        ("date", "00000000"),
        ("date", "unknown"),
        ("dateTime", "20261301"),
        ("instant", "20260101"),
        ("time", "2561"),
        ("boolean", "maybe"),
        ("decimal", "<5"),
        ("positiveInt", "0"),
        ("integer", "99999999999"),
    ],
)
def test_what_is_not_of_its_type_is_left_out_and_noted(target: str, raw: str) -> None:
    value, run = converted("ST", target, raw)
    assert value is None
    assert [row.how for row in run.explain] == [f"INVALID {target}"]
    assert run.warnings == [f"ZZZ-1 is not a valid {target}: left out"]


def test_an_impossible_time_leaves_the_date() -> None:
    assert converted("DTM", "dateTime", "202601019900")[0] == "2026-01-01"


def test_a_code_without_a_row_is_counted() -> None:
    value, run = converted("XAD", "Address", "^^Town^^^^Q")
    assert value == {"city": "Town"}
    assert [(found.table, found.code, found.source) for found in run.unmapped] == [
        ("AddressUse", "Q", "ZZZ-1.7")
    ]
    assert run.explain[0].how == "UNMAPPED AddressUse 'Q'"
