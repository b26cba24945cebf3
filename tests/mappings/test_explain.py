"""What is said of a message when somebody asks: all that was noted, and what follows from it."""

from hypothesis import given
from hypothesis import strategies as st

from mappings.maps import load_maps
from mappings.parse import Unparsable, parse
from mappings.plan import ExplainRow

MAPS = load_maps()
BOOKED = (
    "MSH|^~\\&|REG|HARBOUR|TELLONCE|HARBOUR|20260308101500||SIU^S12^SIU_S12|H1|P|2.5.1",
    "SCH|1^REG|2^REG||||EVR^Event^L|ROUTINE^Routine^L||30|min||88^Clerk^Ann",
    "PID|1||4711^^^HARB^MR||Gray^Ada||19850131|F",
    "PV1|1|O|W2^12^A^HARB||||88^Clerk^Ann||||||||||||88^^^HARBV",
    "RGS|1",
    "AIG|1||DR7^House^^L",
    "AIL|1||W2^12^A^HARB||||20260310090000",
    "AIP|1||7^House^Greg",
)


def rows(*lines: str) -> list[ExplainRow]:
    message = parse("\r".join(lines).encode())
    return [*MAPS.explain(MAPS.plan(message, MAPS.feed("default")), message)]


def about(target: str, *lines: str) -> list[tuple[str, str, str]]:
    return [(r.source, r.how, r.value) for r in rows(*(lines or BOOKED)) if r.target == target]


def unused(*lines: str) -> list[tuple[str, str]]:
    return [(r.source, r.how) for r in rows(*lines) if r.how.startswith("not taken")]


def test_a_constant_is_a_row() -> None:
    assert about("Appointment.participant[4].type[0].text") == [("", "constant", "placer contact")]
    assert about("Encounter.identifier[0].type.coding[0].code") == [("", "constant", "VN")]


def test_what_comes_with_a_value_is_no_constant() -> None:
    assert about("Patient.identifier[0].type.coding[0].system") == []


def test_a_reference_says_to_what_and_from_which_field() -> None:
    assert about("Encounter.subject") == [("", "reference", "Patient")]
    assert about("Appointment.participant[1].actor") == [("AIP-3", "reference", "Practitioner[2]")]


def test_who_was_made_from_another_field_is_told_by_the_field_of_the_element() -> None:
    assert about("Encounter.participant[0].individual") == [("PV1-7", "reference", "Practitioner")]
    assert about("Appointment.participant[4].actor") == [("SCH-12", "reference", "Practitioner")]


def test_what_is_only_shown_stands_in_its_element() -> None:
    shown = ("AIG-3", "no identifier: shown only", "House")
    assert shown in about("Appointment.participant[3].actor.display")
    assert about("Reference.display") == []


def test_the_number_of_a_made_place_is_that_place_s() -> None:
    assert ("PV1-3", "PL", "HARB:W2/12/A") in about("Location[2].identifier[0].value")


def test_a_field_in_whose_place_another_was_taken_is_told_with_that_field() -> None:
    assert unused(*BOOKED) == [("SCH-6", "not taken: Appointment.reasonCode is from SCH-7")]


def test_the_type_of_a_choice_that_was_not_taken_is_told() -> None:
    assert unused(
        "MSH|^~\\&|A|B|C|D|2026||ADT^A08|1|P|2.5",
        "PID|1||M1^^^H||Doe^Jane|||||||||||||||||||Y|2",
    ) == [("PID-24", "not taken: Patient.multipleBirthInteger is from PID-25")]


def test_fields_that_gave_something_are_not_told_as_unused() -> None:
    assert (
        unused("MSH|^~\\&|A|B|C|D|2026||ADT^A08|1|P|2.5", "PID|1||M1^^^H||Doe^Jane||1985|F") == []
    )


def test_all_that_was_noted_is_still_told() -> None:
    message = parse("\r".join(BOOKED).encode())
    plan = MAPS.plan(message, MAPS.feed("default"))
    told = {(row.source, row.how, row.value) for row in MAPS.explain(plan, message)}
    assert {(row.source, row.how, row.value) for row in plan.explain} <= told


def test_a_message_without_a_map_has_nothing_more_to_tell() -> None:
    assert rows("MSH|^~\\&|A|B|C|D|2026||ZZZ^Z01|1|P|2.5", "ZAL|1|x") == []


@given(st.lists(st.text('PID|^~&\\1A.[]-*"', max_size=40), max_size=6))
def test_whatever_a_message_holds_it_can_be_explained(texts: list[str]) -> None:
    lines = [
        f"{name}|{text}" for name, text in zip(("PID", "PV1", "SCH", "AIP"), texts, strict=False)
    ]
    try:
        assert rows(BOOKED[0], BOOKED[2], *lines) != []
    except Unparsable:
        assert lines
