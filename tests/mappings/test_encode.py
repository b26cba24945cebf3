"""FHIR data types -> HL7v2 fields: every type, every version's way, nothing lost unsaid."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.emit import preferred
from mappings.emit_destination import Destination
from mappings.emit_run import Change, Run, World
from mappings.encode import Segment, Unencodable, escape, to_bytes, too_long, write_field
from mappings.encode_codes import Reverse
from mappings.encode_references import REFERENCES
from mappings.encode_types import encoder, tabled
from mappings.maps import load_maps
from mappings.parse import parse

TABLES = load_maps().tables
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def run(version: str = "2.5.1", others: dict[str, Any] | None = None, **settings: Any) -> Run:
    to = Destination("ward", version=version, **settings)
    world = World({}, {}, others or {})
    return Run(to, Reverse(TABLES, preferred(), to), Change(world), world)


def written(
    value: Any, source: str, target: str, made_by: Run | None = None, table: str = ""
) -> str:
    here = made_by or run()
    encode = tabled(source, target, TABLES[table]) if table else encoder(source, target)
    if source == "Reference":
        encode = REFERENCES[target]
    assert encode is not None
    made = encode(here, value)
    return write_field([made] if made else [])


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ({"family": "Gray", "given": ["Ada", "B", "C"], "use": "official"}, "HumanName", "XPN",
         "Gray^Ada^B C^^^^L"),
        ({"family": "G", "prefix": ["Dr"], "suffix": ["Jr", "MD"]}, "HumanName", "XPN",
         "G^^^Jr^Dr^MD"),
        ({"text": "Ada Gray"}, "HumanName", "XPN", "Ada Gray"),
        ({"use": "usual"}, "HumanName", "XPN", ""),
        ({"line": ["1 Main", "Apt 2"], "city": "T", "state": "ST", "postalCode": "1",
          "country": "US", "use": "home", "district": "D"}, "Address", "XAD",
         "1 Main^Apt 2^T^ST^1^US^H^^D"),
        ({"line": ["Box 1"], "type": "postal"}, "Address", "XAD", "Box 1^^^^^^M"),
        ({"system": "phone", "value": "555", "use": "work"}, "ContactPoint", "XTN", "555^WPN^PH"),
        ({"system": "phone", "value": "555", "use": "mobile"}, "ContactPoint", "XTN", "555^PRN^CP"),
        ({"system": "email", "value": "a@b", "use": "home"}, "ContactPoint", "XTN",
         "^PRN^Internet^a@b"),
        ({"system": "urn:oid:1.2", "value": "7", "type": {"coding": [{"system": V2_0203,
          "code": "MR"}]}}, "Identifier", "CX", "7^^^&1.2&ISO^MR"),
        ({"system": "https://x.example/mrn", "value": "7"}, "Identifier", "CX",
         "7^^^&https://x.example/mrn&URI"),
        ({"system": "urn:tellonce:authority:lab:Main%20Lab", "value": "7"}, "Identifier", "EI",
         "7^Main Lab"),
        ({"system": "urn:tellonce:key:lab", "value": "7"}, "Identifier", "CX", ""),
        ({"coding": [{"system": "http://loinc.org", "code": "1-8", "display": "x"}],
          "text": "words"}, "CodeableConcept", "CWE", "1-8^x^LN^^^^^^words"),
        ({"text": "words"}, "CodeableConcept", "CWE", "^words"),
        ({"start": "2026-01-02", "end": "2026-01-03"}, "Period", "DR", "20260102^20260103"),
        (True, "boolean", "ID", "Y"),
        ("1985", "date", "DTM", "1985"),
        ("1985-03", "date", "DT", "198503"),
        ("2026-01-02T03:04:05.678+01:00", "instant", "DTM", "20260102030405.678+0100"),
        ("2026-01-02T03:04:00Z", "dateTime", "DT", "20260102"),
        ("03:04:05", "time", "TM", "030405"),
        ({"value": 1, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
         "Quantity", "CQ", "1^mg&&UCUM"),
        ({"contentType": "text/plain; charset=utf-8", "data": "YQ=="}, "Attachment", "ED",
         "^text^plain^Base64^YQ=="),
        ({"display": "Dr No"}, "Reference", "XCN", "^Dr No"),
        ({"display": "Ward 1"}, "Reference", "PL", "^^^^^^^^Ward 1"),
    ],
)  # fmt: skip
def test_each_type_as_version_251_has_it(
    value: Any, source: str, target: str, expected: str
) -> None:
    assert written(value, source, target) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("2.3", "555^^PH"), ("2.8", "^^PH" + "^" * 9 + "555")]
)
def test_a_telephone_number_stands_where_the_version_has_it(version: str, expected: str) -> None:
    phone = {"system": "phone", "value": "555"}
    assert written(phone, "ContactPoint", "XTN", run(version)) == expected


def test_words_beside_a_code_have_no_place_before_25_and_that_is_noted() -> None:
    old = run("2.4")
    concept = {"coding": [{"code": "A", "display": "x"}], "text": "words"}
    assert written(concept, "CodeableConcept", "CWE", old) == "A^x"
    assert old.notes == [
        "the words of a concept have no place beside those of its code before v2.5"
    ]


def test_codes_go_back_through_their_table() -> None:
    assert written("other", "code", "IS", table="AdministrativeSex") == "O"
    assert written({"code": "IMP", "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode"},
                   "Coding", "IS", table="EncounterClass") == "I"  # fmt: skip


def test_the_destination_s_own_codes_come_first() -> None:
    own = run(tables={"AdministrativeSex": {"W": "female"}})
    assert written("female", "code", "IS", own, "AdministrativeSex") == "W"


def test_a_code_without_a_row_is_noted_and_in_a_cwe_kept() -> None:
    here = run()
    concept = {"coding": [{"system": "urn:x", "code": "Q", "display": "odd"}]}
    assert written(concept, "CodeableConcept", "CWE", here, "MaritalStatus") == "Q^odd^urn:x"
    assert here.notes == ["UNMAPPED MaritalStatus 'Q'", "UNMAPPED CodingSystem 'urn:x'"]
    assert written(concept, "CodeableConcept", "IS", here, "MaritalStatus") == ""


def test_authorities_have_the_destination_s_names() -> None:
    here = run(authorities={"STM": "urn:oid:1.2"}, default_authority="urn:oid:9")
    assert written({"system": "urn:oid:1.2", "value": "7"}, "Identifier", "CX", here) == "7^^^STM"
    assert written({"system": "urn:oid:9", "value": "7"}, "Identifier", "CX", here) == "7"


def test_times_are_those_of_the_destination_s_zone() -> None:
    here = run(timezone=ZoneInfo("Europe/Berlin"), offset=False)
    assert written("2026-07-01T10:00:00Z", "dateTime", "DTM", here) == "20260701120000"
    assert written("2026-07-01T10:00:00.5Z", "dateTime", "DTM", here) == "20260701120000.5"
    assert written("2026-07-01", "dateTime", "DTM", here) == "20260701"


def test_a_person_and_a_place_are_written_from_what_they_are() -> None:
    doctor = {
        "resourceType": "Practitioner",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "12"}],
        "name": [{"family": "Smith", "given": ["Al"], "prefix": ["Dr"]}],
    }
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/1"}}
    ward = {"resourceType": "Location", "name": "W1", "physicalType": {"coding": [{"code": "wa"}]}}
    bed = {
        "resourceType": "Location",
        "name": "B3",
        "physicalType": {"coding": [{"code": "bd"}]},
        "partOf": {"reference": "Location/w"},
    }
    others = {"Practitioner/1": doctor, "PractitionerRole/1": role}
    here = run(others={**others, "Location/w": ward, "Location/b": bed})
    assert written({"reference": "PractitionerRole/1"}, "Reference", "XCN", here) == (
        "12^Smith^Al^^^Dr^^^NPI"
    )
    assert written({"reference": "Location/b"}, "Reference", "PL", here) == "W1^^B3"


def test_what_a_character_set_lacks_is_a_fault_unless_replacing_is_allowed() -> None:
    name = Segment("PID", {5: [["Ødegård"]]})
    assert to_bytes([name], "8859/1") == "PID|||||Ødegård\r".encode("cp1252")
    with pytest.raises(Unencodable, match=r"PID: ASCII has no character U\+00D8"):
        to_bytes([name], "ASCII")
    assert to_bytes([name], "ASCII", replace=True) == b"PID|||||?deg?rd\r"


def test_a_field_that_is_too_long_is_told_and_never_cut() -> None:
    name = Segment("PID", {5: [["Gray" * 20, "Ada"]]})
    assert too_long(name, {"PID-5": 48}) == "PID-5"
    assert too_long(name, {"PID-5": 90}) == ""


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=60))
def test_every_text_comes_back_as_it_was(text: str) -> None:
    segments = [
        Segment("MSH", {9: [["ADT", "A01"]], 10: [["1"]], 12: [["2.5"]], 18: [["UNICODE UTF-8"]]}),
        Segment("PID", {5: [["", text]]}),
    ]
    assert parse(to_bytes(segments, "UNICODE UTF-8")).get("PID-5.2") == text.strip()


def test_line_ends_and_delimiters_are_escaped() -> None:
    assert escape("a|b^c~d\\e&f\r\ng") == r"a\F\b\S\c\R\d\E\e\T\f\.br\g"


def test_empty_ends_are_left_out() -> None:
    assert write_field([["a", "", ["b", ""], ""], [""], ["c"]]) == "a^^b~c"
