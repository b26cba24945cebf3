"""What a rule gave before is given again: the same, and to nobody else."""

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.memory import Memory
from mappings.parse import parse
from mappings.plan import Plan

HEAD = "MSH|^~\\&|ADT|{facility}|T|M|20260301101500||ADT^{event}^ADT_A01|M1|P|2.5.1"
LINES = (
    "EVN|{event}|20260301101500",
    "PID|1||4711^^^STMARY^MR||Gray^Ada||19850131|F||||||||M^Married^L",
    "PV1|1|I|4E^101^A|E||||||MED|||||||||V100^^^STMARY",
    "DG1|1||I10^Hypertension^I10|||A",
    "DG1|2||E11^Diabetes^I10|||{use}",
)


def message(facility: str = "STMARY", event: str = "A01", use: str = "W") -> bytes:
    lines = (HEAD, *LINES)
    return "\r".join(one.format(facility=facility, event=event, use=use) for one in lines).encode()


def mapped(data: bytes, feed: Feed) -> Plan:
    return load_maps().plan(parse(data), feed)


def values(plan: Plan, label: str) -> dict[str, object]:
    return next(one.values for one in plan.resources if one.label == label)


def spoil(value: object) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            spoil(inner)
        value.clear()
    elif isinstance(value, list):
        for inner in value:
            spoil(inner)
        value.clear()


def test_a_message_that_comes_again_is_explained_and_counted_again() -> None:
    first = mapped(message(use="NEW"), Feed("again"))
    second = mapped(message(use="NEW"), Feed("again"))

    assert list(second.explain) == list(first.explain)
    assert [row.code for row in second.unmapped] == [row.code for row in first.unmapped] == ["NEW"]
    assert second.resources == first.resources


def test_who_changes_a_plan_changes_no_later_one() -> None:
    mapped(message(), Feed("changed"))
    for one in mapped(message(), Feed("changed")).resources:
        spoil(one.values)

    patient = values(mapped(message(), Feed("changed")), "Patient")

    assert patient["maritalStatus"] == {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                "code": "M",
                "display": "Married",
            },
            {"system": "urn:tellonce:codes:changed:L", "code": "M", "display": "Married"},
        ],
        "text": "Married",
    }


def test_each_line_is_explained_by_its_own_number() -> None:
    for _ in range(2):
        plan = mapped(message(use="A"), Feed("lines"))
        sources = [row.source for row in plan.explain if row.how == "table DiagnosisRole"]

        assert sources == ["DG1[1]-6.1", "DG1[2]-6.1"]


def test_two_feeds_of_one_name_do_not_share_what_they_learnt() -> None:
    mapped(message(), Feed("one"))

    own = Feed("one", tables={"AdministrativeSex": {"F": "other"}})

    assert values(mapped(message(), own), "Patient")["gender"] == "other"
    assert values(mapped(message(), Feed("one")), "Patient")["gender"] == "female"


def systems(facility: str, feed: Feed) -> list[object]:
    data = message(facility=facility).replace(b"^^^STMARY", b"")
    found = values(mapped(data, feed), "Patient")["identifier"]
    assert isinstance(found, list)
    return [one["system"] for one in found]


def test_an_authority_is_that_of_the_feed_and_of_the_facility() -> None:
    own = Feed("whose", default_authority="urn:own")

    assert systems("NORTH", Feed("whose")) == ["urn:tellonce:patient:whose:NORTH"]
    assert systems("SOUTH", Feed("whose")) == ["urn:tellonce:patient:whose:SOUTH"]
    assert systems("NORTH", own) == ["urn:own"]
    assert systems("NORTH", Feed("whose")) == ["urn:tellonce:patient:whose:NORTH"]


def test_a_long_authority_is_not_kept() -> None:
    known = Memory().of(parse(message()), Feed("long"), "STMARY")
    assert known is not None

    known.keep_authority(("X" * 300, "", "", ""), "urn:x")

    assert known.authorities == {}


def test_an_event_does_not_give_what_another_gave() -> None:
    assert values(mapped(message(event="A01"), Feed("event")), "Encounter")["status"] == (
        "in-progress"
    )
    assert values(mapped(message(event="A04"), Feed("event")), "Encounter")["status"] == "arrived"


@pytest.mark.parametrize("again", [1, 2])
def test_a_deleted_code_is_deleted_each_time(again: int) -> None:
    for _ in range(again):
        plan = mapped(message().replace(b"M^Married^L", b'""'), Feed("deleted"))

    patient = next(one for one in plan.resources if one.label == "Patient")
    assert patient.deletes == {"maritalStatus"}


def test_what_is_written_with_escapes_is_read_anew() -> None:
    mapped(message(), Feed("escapes"))

    plan = mapped(message().replace(b"Hypertension", b"High \\T\\ higher"), Feed("escapes"))

    assert values(plan, "Condition")["code"] == {
        "coding": [
            {
                "system": "http://hl7.org/fhir/sid/icd-10",
                "code": "I10",
                "display": "High & higher",
            }
        ],
        "text": "High & higher",
    }


def test_a_memory_forgets_all_when_it_is_full() -> None:
    memory, feed, sent = Memory(), Feed("full"), parse(message())
    known = memory.of(sent, feed, "STMARY")

    assert memory.of(sent, feed, "STMARY") is known
    for _ in range(8192):
        memory.count()

    assert memory.of(sent, feed, "STMARY") is not known


def test_what_is_long_is_not_kept() -> None:
    assert Memory().of(parse(message()), Feed("long"), "X" * 300) is None
