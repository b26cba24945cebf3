"""What a plan promises, whatever the map: identities, empties, precedence, faults."""

from zoneinfo import ZoneInfo

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import Plan, PlannedResource
from server.fhir.dates import interval
from tests.pace import cost_s

MAPS = load_maps()
FEED = Feed("test", ZoneInfo("Europe/Berlin"), default_authority="http://gh.example/mrn")
PV1 = "PV1|1|I|||||||||||||||||V1^^^GH"
OBR = "OBR|1||F1^LAB|24323-8^CMP^LN|||202603020600"


def message(
    *segments: str, type_: str = "ADT^A01", seven: str = "20260301101512", id_: str = "1"
) -> bytes:
    lines = [rf"MSH|^~\&|REG|GH|T|T|{seven}||{type_}|{id_}|P|2.5.1", *segments]
    return "\r".join(lines).encode()


def plan(*segments: str, feed: Feed = FEED, **of: str) -> Plan:
    return MAPS.plan(parse(message(*segments, **of)), feed)


def one(plan_: Plan, label: str) -> PlannedResource:
    return next(resource for resource in plan_.resources if resource.label == label)


def result(*segments: str, feed: Feed = FEED) -> Plan:
    return plan("PID|1||M1", OBR, *segments, type_="ORU^R01", feed=feed)


SENT_AGAIN = [
    ("PID|1||M1", "NK1|1|Doe^John|SPO", PV1, "AL1|1||^Dust", "DG1|1||^Cough", "IN1|1|P|I1|Acme"),
    ("PID|1||M1", "PV1|1|I|||||||||||||||||||||||||||||||||||||||||202603011000"),
    ("EVN||20260301", "PID|1||M1", "PV1|1|I"),
    ("PID|1||M1", "OBX|1|NM|8302-2^Height^LN||180|cm|||||F"),
]


@pytest.mark.parametrize("segments", SENT_AGAIN)
def test_the_same_content_sent_again_is_found_again(segments: tuple[str, ...]) -> None:
    first = plan(*segments)
    again = plan(*segments, seven="20270909090909", id_="another")
    assert [(r.label, r.identity) for r in again.resources] == [
        (r.label, r.identity) for r in first.resources
    ]
    assert all(resource.identity.any_of for resource in first.resources)
    assert again.lane == first.lane == "http://gh.example/mrn|M1"


def test_a_result_sent_again_is_found_again() -> None:
    lines = ("OBX|1|NM|2951-2^Na^LN||140||||||P", "OBX|2|ST|X||a", "OBX|3|ST|X||b")
    first = plan("PID|1||M1", OBR, *lines, type_="ORU^R01")
    again = plan("PID|1||M1", OBR, *lines, type_="ORU^R01", seven="20270909090909", id_="2")
    assert [r.identity for r in again.resources] == [r.identity for r in first.resources]
    assert len({one(first, f"Observation{n}").identity for n in ("", "[2]", "[3]")}) == 3


def test_a_corrected_result_is_the_same_result() -> None:
    first = one(result("OBX|1|NM|2951-2^Na^LN||131||135-145|L|||F"), "Observation")
    corrected = one(result("OBX|1|NM|2951-2^Na^LN||141||135-145||||C"), "Observation")
    assert corrected.identity == first.identity
    assert "interpretation" in corrected.deletes
    assert "interpretation" not in corrected.touched


@pytest.mark.parametrize(
    ("one_line", "other_line"),
    [
        ("OBX|1|NM|2951-2^Na^LN||1", "OBX|1|NM|2823-3^K^LN||1"),
        ("OBX|1|NM|2951-2^Na^LN|1|1", "OBX|1|NM|2951-2^Na^LN|2|1"),
    ],
)
def test_results_differ_by_code_and_sub_id(one_line: str, other_line: str) -> None:
    assert (
        one(result(one_line), "Observation").identity
        != one(result(other_line), "Observation").identity
    )


def test_the_same_test_in_two_orders_of_one_accession_is_two_results() -> None:
    made = result(
        "OBX|1|NM|2951-2^Na^LN||140", "OBR|2||F1^LAB|51990-0^BMP^LN", "OBX|1|NM|2951-2^Na^LN||139"
    )
    assert one(made, "Observation").identity != one(made, "Observation[2]").identity
    assert one(made, "DiagnosticReport").values["result"] == [{"reference": "plan:Observation"}]
    assert one(made, "DiagnosticReport[2]").values["result"] == [
        {"reference": "plan:Observation[2]"}
    ]


def test_empty_keeps_and_two_quotes_delete() -> None:
    made = one(plan('PID|1||M1||Doe^Jane||""|'), "Patient")
    assert made.touched == {"identifier", "name", "resourceType"} - {"resourceType"}
    assert made.deletes == frozenset({"birthDate"})
    assert isinstance(made.deletes, frozenset)


def test_a_deleted_field_beside_a_sent_one_deletes_nothing() -> None:
    made = one(plan('PID|1||M1||Doe||||||||""|^WPN^PH^^^^5550100'), "Patient")
    assert made.values["telecom"] == [{"system": "phone", "value": "5550100", "use": "work"}]
    assert "telecom" not in made.deletes


def test_another_type_of_a_choice_is_deleted() -> None:
    made = one(plan("PID|1||M1|||||||||||||||||||||||||||Y"), "Patient")
    assert made.values["deceasedBoolean"] is True
    assert made.deletes == {"deceasedDateTime"}


def test_a_default_of_a_required_element_is_not_touched() -> None:
    made = one(plan("PID|1||M1", PV1, type_="ADT^A08"), "Encounter")
    assert made.values["status"] == "unknown"
    assert "status" not in made.touched


def test_a_code_that_is_sent_and_unmapped_takes_the_default() -> None:
    made = one(plan("PID|1||M1|||||woman"), "Patient")
    assert made.values["gender"] == "unknown"
    assert "gender" in made.touched


@pytest.mark.parametrize(
    ("authoritative", "type_", "updates"),
    [
        (True, "ADT^A08", {"Patient": "authoritative", "Encounter": "authoritative"}),
        (False, "ADT^A08", {"Patient": "merge", "Encounter": "authoritative"}),
        (True, "ORU^R01", {"Patient": "merge", "Encounter": "merge"}),
        (False, "ORU^R01", {"Patient": "never", "Encounter": "merge"}),
    ],
)
def test_only_an_authoritative_feed_writes_demographics(
    authoritative: bool, type_: str, updates: dict[str, str]
) -> None:
    feed = Feed("test", authoritative=authoritative)
    made = plan("PID|1||M1", PV1, type_=type_, feed=feed)
    assert {r.label: r.update for r in made.resources} == updates


@pytest.mark.parametrize(
    ("evn", "moment"),
    [
        ("EVN||20260701080000", "2026-07-01T08:00:00+02:00"),
        ("EVN||", "2026-03-01T10:15:12+01:00"),
        ("EVN||never", "2026-03-01T10:15:12+01:00"),
    ],
)
def test_the_time_that_decides_is_that_of_the_event_in_the_zone_of_the_feed(
    evn: str, moment: str
) -> None:
    assert one(plan(evn, "PID|1||M1"), "Patient").precedence == interval(moment)[0]


def test_a_result_counts_from_the_change_of_its_status() -> None:
    made = plan(
        "PID|1||M1", f"{OBR}|||||||||||||||20260302090000", "OBX|1|NM|X||1", type_="ORU^R01"
    )
    assert one(made, "Observation").precedence == interval("2026-03-02T09:00:00+01:00")[0]
    assert one(made, "Patient").precedence == interval("2026-03-01T10:15:12+01:00")[0]


@pytest.mark.parametrize("pid", ["PID|1||", "PID|1||^^^GH||Doe^Jane", 'PID|1||""', "NK1|1|Doe"])
def test_a_message_without_a_patient_identifier_is_quarantined(pid: str) -> None:
    made = plan(pid, PV1)
    assert (made.quarantine, made.resources) == ("patient-unidentified", ())


def test_a_feed_may_create_unidentified_patients_and_finds_them_again() -> None:
    feed = Feed("test", unidentified="create")
    made = plan("PID|1||||Doe^Jane||1985|F", feed=feed)
    again = plan("PID|1||||Doe^Jane||1985|F", feed=feed, seven="2027", id_="9")
    other = plan("PID|1||||Doe^Joan||1985|F", feed=feed)
    assert made.quarantine is None
    assert one(made, "Patient").identity == one(again, "Patient").identity
    assert one(made, "Patient").identity != one(other, "Patient").identity


def test_the_lane_is_that_of_the_preferred_number_whatever_its_place() -> None:
    numbers = ["9^^^X^SS", "M1^^^GH^MR"]
    assert (
        plan(f"PID|1||{'~'.join(numbers)}").lane
        == plan(f"PID|1||{'~'.join(reversed(numbers))}").lane
        == "urn:tellonce:authority:test:GH|M1"
    )


def test_no_allergy_segment_makes_an_allergy_without_a_substance() -> None:
    assert [r.label for r in plan("PID|1||M1", "AL1|1", "AL1|2|DA||SV|Rash").resources] == [
        "Patient"
    ]


def test_the_same_allergy_sent_twice_is_one_with_both_reactions() -> None:
    made = plan("PID|1||M1", "AL1|1||7980^Pen^RXNORM||Hives", "AL1|2||7980^Pen^RXNORM||Cough")
    allergy = one(made, "AllergyIntolerance")
    assert [r.type for r in made.resources] == ["Patient", "AllergyIntolerance"]
    assert [r["manifestation"][0]["text"] for r in allergy.values["reaction"]] == ["Hives", "Cough"]


def test_a_visit_that_nothing_names_is_not_made_and_nothing_points_to_it() -> None:
    made = plan("PID|1||M1", "PV1|1|I", "DG1|1||I10^Hypertension^I10C", type_="ADT^A08")
    assert [r.label for r in made.resources] == ["Patient", "Condition"]
    assert "encounter" not in one(made, "Condition").values
    assert one(made, "Condition").identity.any_of == (
        (("subject", "plan:Patient"), ("code", "http://hl7.org/fhir/sid/icd-10-cm|I10")),
    )
    assert made.warnings == ("Encounter of PV1 was not made: it has no identity",)


def test_what_no_rule_reads_is_explained() -> None:
    made = plan("PID|1||M1||||||||||||||||||||||||V1", "ZPI|1|x")
    assert [(row.source, row.how) for row in made.explain if row.how.startswith("not mapped")] == [
        ("PID-27", "not mapped: veterans status, R4 has no element for it"),
        ("ZPI", "not mapped: no rule for this segment"),
    ]


def test_every_value_is_explained() -> None:
    made = plan("PID|1||M1^^^GH||Doe^Jane||19850315|F")
    rows = {row.target: (row.source, row.how, row.value) for row in made.explain}
    assert rows["Patient.name[0].family"] == ("PID-5.1", "copy", "Doe")
    assert rows["Patient.gender"] == ("PID-8", "table AdministrativeSex", "female")
    assert rows["Patient.birthDate"] == ("PID-7", "date", "1985-03-15")
    assert rows["Patient.identifier[0].system"] == (
        "PID-3.4",
        "authority",
        "urn:tellonce:authority:test:GH",
    )


def test_an_unsupported_message_says_so() -> None:
    made = plan("PID|1||M1", type_="ADT^A99")
    assert (made.quarantine, made.message_type) == ("unsupported-message", "ADT^A99")
    assert made.problem == "ADT^A99: there is no map for it"
    assert not MAPS.supported("ADT^A99")
    assert MAPS.supported("ORU^R01")


def test_what_a_message_says_of_itself_is_kept_beside() -> None:
    made = plan("EVN|A01|20260301|||OP7|20260228", "PID|1||M1")
    assert made.extra == {
        "sending_application": "REG",
        "sending_facility": "GH",
        "message_time": "20260301101512",
        "control_id": "1",
        "processing_id": "P",
        "version": "2.5.1",
        "event_recorded": "20260301",
        "operator": "OP7",
        "event_occurred": "20260228",
    }


def test_constants_are_not_shared_between_plans() -> None:
    first = one(plan("PID|1||M1", "AL1|1||X^Y^L"), "AllergyIntolerance")
    first.values["clinicalStatus"]["coding"][0]["code"] = "changed by whoever got it"
    second = one(plan("PID|1||M1", "AL1|1||X^Y^L"), "AllergyIntolerance")
    assert second.values["clinicalStatus"]["coding"][0]["code"] == "active"


@pytest.mark.parametrize(
    "kind",
    [
        "NM",
        "SN",
        "ST",
        "TX",
        "FT",
        "CE",
        "CWE",
        "DT",
        "TM",
        "TS",
        "DTM",
        "DR",
        "NR",
        "NA",
        "ED",
        "RP",
        "CX",
        "XAD",
        "XPN",
        "XTN",
        "EI",
        "ID",
        "IS",
        "",
        "??",
    ],
)
@pytest.mark.parametrize(
    "value", ["", "5", "<5", "^5^-^", "a^b~c^d", "20260101", '""', "~~", "\\", "^^^^"]
)
def test_no_value_of_no_type_stops_a_message(kind: str, value: str) -> None:
    made = result(f"OBX|1|{kind}|X^Y^L||{value}|mg||||||F")
    assert made.quarantine is None


def test_five_thousand_results_take_seconds_not_minutes() -> None:
    lines = [f"OBX|{n}|NM|{n}-1^Test^LN||{n}|mg|1-2|H|||F" for n in range(5_000)]

    def read() -> None:
        assert len(result(*lines).resources) == 5_003

    assert cost_s(read, 10) < 10


def test_a_patient_with_a_thousand_numbers_is_looked_for_by_a_hundred() -> None:
    made = one(plan("PID|1||" + "~".join(f"{n}^^^GH" for n in range(1000))), "Patient")
    assert len(made.identity.any_of) == 100
    assert len(made.values["identifier"]) == 1000


def test_a_line_without_a_code_has_that_of_its_order() -> None:
    made = result("OBX|1|TX|||No fracture.||||||F", "OBX|2|TX|||Heart normal.||||||F")
    assert one(made, "Observation").values["code"]["text"] == "CMP"
    assert one(made, "Observation[2]").values["valueString"] == "Heart normal."
    assert one(made, "Observation").identity != one(made, "Observation[2]").identity
