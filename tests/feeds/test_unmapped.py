"""What a site's maps do not know of a message, wherever it was planned."""

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import Unmapped
from server.feeds.unmapped import unmapped
from server.feeds.wire import pack_planned, read_planned

MAPS = load_maps()
LINES = (
    "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5",
    "PID|1||1^^^Main Hosp^MR~2^^^LIGHT^MR~3^^^OWN&1.2.3&ISO^MR||Doe^Jane||1985|KK",
    "PV1|1|I|||||||||||||||||9^^^Main Hosp",
)
PLAN = MAPS.plan(
    parse("\r".join(LINES).encode()), Feed("ad:t", authorities={"LIGHT": "https://light.example"})
)
FOUND = [
    Unmapped("AdministrativeSex", "KK", "PID-8"),
    Unmapped("AssigningAuthority", "Main Hosp", "PID-3[1].4"),
]


def test_an_authority_without_a_system_is_told_once_beside_the_codes() -> None:
    assert unmapped(PLAN) == FOUND


def test_it_is_told_of_what_another_process_planned() -> None:
    read = read_planned(pack_planned(PLAN, None))
    assert read is not None
    assert read[0] is not None
    assert unmapped(read[0]) == FOUND
