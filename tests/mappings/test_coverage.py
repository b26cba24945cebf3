"""What is mapped, what is not and why: the numbers that the project promises."""

import pytest

from mappings.coverage import covered, segments_of, valued_guide_fields
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.segments import fields_of, type_of

MAPS = load_maps()
SEGMENTS = ("PID", "PV1", "OBR", "OBX", "AL1", "DG1", "IN1", "NK1", "SCH", "TXA", "RXA")


@pytest.mark.parametrize("event", MAPS.message_types)
def test_every_value_of_the_main_segments_is_mapped_or_has_its_reason(event: str) -> None:
    code = event.partition("^")[0]
    reads = MAPS.reads(event)
    for segment in set(SEGMENTS) & set(segments_of(event)):
        left = [
            n
            for n in range(1, fields_of(segment) + 1)
            if type_of(segment, n) != "SI" and n not in reads.get(segment, ())
        ]
        assert [n for n in left if not MAPS.reasons.why(code, segment, n)] == [], segment


@pytest.mark.parametrize("event", MAPS.message_types)
def test_every_segment_of_a_message_is_mapped_or_has_its_reason(event: str) -> None:
    code = event.partition("^")[0]
    left = [one for one in segments_of(event) if one not in MAPS.reads(event)]
    assert [one for one in left if not MAPS.reasons.why(code, one)] == []


def test_the_fields_of_the_guide_are_mapped_in_admissions() -> None:
    parts = [covered(MAPS, "ADT^A01", one) for one in ("PID", "PV1", "NK1", "AL1", "DG1", "IN1")]
    assert [(one.of_guide, len(one.guide)) for one in parts] == [
        (30, 32),
        (28, 29),
        (19, 20),
        (5, 5),
        (10, 10),
        (11, 11),
    ]


def test_a_field_that_no_rule_reads_is_explained_with_its_reason() -> None:
    message = parse(
        b"MSH|^~\\&|A|B|C|D|2026||ORM^O01|1|P|2.5\rPID|1||M1||||||||||||||||||||||||||||||20260101"
        b"\rORC|NW|1\rOBR|1|1||X^Y|||||||||||||||placer\rUB1|1"
    )
    rows = MAPS.plan(message, MAPS.feed("test")).explain
    assert [(row.source, row.how) for row in rows if row.how.startswith("not mapped")] == [
        ("PID-33", "not mapped: the message and its event are dated already"),
        ("OBR-19", "not mapped: placer's own field, its meaning is a site's"),
        ("UB1", "not mapped: a claim form, R4 has no resource for it here"),
    ]


def test_a_field_that_other_messages_read_says_so() -> None:
    message = parse(
        b"MSH|^~\\&|A|B|C|D|2026||ORM^O01|1|P|2.5\rPID|1||M1\rORC|NW|1\rOBR|1|1||X^Y"
        + b"|" * 21
        + b"F"
    )
    rows = MAPS.plan(message, MAPS.feed("test")).explain
    assert ("OBR-25", "not mapped: read in ORU, OUL only") in [
        (row.source, row.how) for row in rows
    ]


def test_valued_fields_of_the_guide_are_counted_once_each() -> None:
    message = parse(
        b'MSH|^~\\&|A|B|C|D|2026||ADT^A08|1|P|2.5\rPID|1||M1||Doe^J||""||||||||||||||||||||||||||2026'
    )
    assert valued_guide_fields(MAPS, [message]) == (3, 2)
