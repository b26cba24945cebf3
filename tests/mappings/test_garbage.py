"""A mapped message leaves nothing behind: its objects end with it, not at the next collection."""

import gc

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse

MAPS, FEED = load_maps(), Feed("test")
HEAD = "MSH|^~\\&|REG|GH|T|T|20260301101512||{}|1|P|2.5.1\r"
PID = "PID|1||M1^^^GH^MR||Gray^Ada||19850131|F\r"
ADMISSION = (
    "EVN|A01|20260301101500\r" + PID + "NK1|1|Gray^Peter|SPO\r"
    "PV1|1|I|4E^101^A|||||||||||||||||V1^^^GH\rAL1|1|DA|PCN^Penicillin^L|SV|Rash\r"
)
RESULTS = (
    PID + "OBR|1||F1^LAB|24323-8^CMP^LN|||202603020600\rOBX|1|NM|2951-2^Na^LN||140|mmol/L|||||F\r"
    "OBR|2||F2^LAB|718-7^Hb^LN|||202603020600\rOBX|1|NM|718-7^Hb^LN||9.1|g/dL|||||F\rNTE|1||low\r"
)


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("ADT^A01^ADT_A01", ADMISSION),
        ("ORU^R01^ORU_R01", RESULTS),
        ("ADT^A01^ADT_A01", "PV1|1|I\r"),
    ],
    ids=["an admission", "results of two orders", "an admission of nobody"],
)
def test_nothing_of_a_mapped_message_waits_for_the_garbage_collector(type_: str, body: str) -> None:
    data = (HEAD.format(type_) + body).encode()
    MAPS.plan(parse(data), FEED)
    gc.collect()
    gc.disable()
    try:
        MAPS.plan(parse(data), FEED)
        assert gc.collect() == 0
    finally:
        gc.enable()
