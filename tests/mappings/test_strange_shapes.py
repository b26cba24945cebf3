"""Messages of shapes that no system sends take neither the time nor the memory of the others."""

import tracemalloc

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import Plan

MAPS = load_maps()


def planned(type_: str, *segments: str) -> Plan:
    head = f"MSH|^~\\&|A|B|||20260316080000||{type_}|1|P|2.5"
    body = "\r".join([head, "PID|1||5^^^H^MR||Doe^Jane", *segments])
    return MAPS.plan(parse(body.encode()), Feed("x", unidentified="create"))


def grown_bytes(*messages: tuple[str, str]) -> int:
    """Return what is still kept of messages after they were planned."""
    planned(*messages[0])
    tracemalloc.start()
    for type_, segment in messages:
        planned(type_, segment)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def test_a_segment_of_a_million_fields_is_read_once() -> None:
    plan = planned("ADT^A08", "PV1|1|I" + "|" * 1_000_000 + "x")

    (told,) = [row for row in plan.explain if row.source == "PV1-1000002"]
    assert (told.how, told.value) == ("not mapped", "x")


def test_nothing_is_kept_of_long_segments() -> None:
    messages = [("ADT^A08", "PV1|1|I" + "|" * (100_000 + n) + "x") for n in range(10)]
    assert grown_bytes(*messages) < 200_000


def test_nothing_is_kept_of_long_types_and_authorities() -> None:
    authorities = [
        ("ADT^A08", f"PV1|1|I|||||||||||||||||V^^^{'B' * (100_000 + n)}") for n in range(10)
    ]
    types = [("ORU^" + "A" * (100_000 + n), "OBR|1||1^F|1^X^L") for n in range(10)]
    assert grown_bytes(*authorities) < 200_000
    assert grown_bytes(*types) < 200_000
