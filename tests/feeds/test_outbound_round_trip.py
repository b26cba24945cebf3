"""What is sent can be read: by the inbound maps, into an empty record, and sent again the same."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from mappings.emit import load_outbound
from mappings.parse import Unparsable, parse, split_messages
from server.feeds.header import read_header
from server.feeds.outbound.queue import Queue
from server.feeds.outbound.route import Router
from server.feeds.service import FeedService
from server.store.memory import MemoryStore
from tests.feeds.conftest import NOW, index, services_on
from tests.feeds.outbound import MAPS, FeedMaps, site

MAPS_OF = "[ADT, ADT-person, ORU, SIU, ORM, MDM]"
WARD = """destination: ward
start: beginning
default_authority: urn:example:mrn
authorities: {HOSP: "urn:oid:1.2.3"}
"""
SETTINGS = {"unidentified": "create", "default_authority": "urn:example:mrn"}

ADMISSION = """MSH|^~\\&|REG|HOSP|T|M|20260102030000||ADT^A01^ADT_A01|1|P|2.5.1
EVN||20260102030000
PID|1||77^^^HOSP^MR~555-44-3333^^^USSSA^SS||Gray^Ada^B^Jr^Dr^^L~Grey^Ada^^^^^N|Stone|19850131|F||\
2028-9^Asian^HL70005|1 Main St^Apt 4^Town^ST^12345^US^H~Box 9^^Town^^^^M||\
555-1234^PRN^PH~^PRN^Internet^ada@x.example|555-9^WPN^PH|DE^German^HL70296|M^Married^HL70002
NK1|1|Gray^Bert|SPO^Spouse^HL70063|2 Side St^^Town|555-2
PV1|1|I|W1^R2^B3^HOSP||||1234^Smith^Al^^^Dr^^^NPI|88^Roe^Jo^^^^^^NPI||MED|||||||77^Adm^It^^^^^^NPI\
||V1^^^HOSP^VN|||||||||||||||||||||||||20260102020000+0100
AL1|1|DA|^Penicillin|SV|Rash|20200101
DG1|1||I10^Essential hypertension^I10C||20260101|A
IN1|1|GOLD^Gold plan|INS1^^^HOSP|Acme^^^^^HOSP^^^^INS1||||GRP||||20260101\
|||||SEL|||||||||||||||||||POL9
"""
RESULT = """MSH|^~\\&|LAB|HOSP|T|M|20260102040000||ORU^R01^ORU_R01|2|P|2.5.1
PID|1||77^^^HOSP^MR||Gray^Ada
PV1|1|I|||||||||||||||||V1^^^HOSP^VN
ORC|RE|P1^EHR|F1^LAB
OBR|1|P1^EHR|F1^LAB|24331-1^Lipid panel^LN|||20260102030000+0100\
|||||||||1234^Smith^Al^^^Dr^^^NPI||||||20260102035000+0100||CH|F
NTE|1||fasting
OBX|1|NM|2093-3^Cholesterol^LN||182|mg/dL^^UCUM|<200|N^^HL70078|||F|||20260102030000+0100
OBX|2|SN|2571-8^Trig^LN||<^40|mg/dL^^UCUM|0-150|L^^HL70078|||C|||20260102030000+0100
NTE|1||low \\T\\ odd
OBX|3|SN|X2^Titer^L||^1^:^128||||||F|||20260102030000+0100
OBX|4|CWE|X1^Color^L||Y^Yellow^L||||||F|||20260102030000+0100
OBX|5|TX|NOTE^Comment^L||line one~line two||||||P|||20260102030000+0100
OBX|6|DT|D1^Seen^L||20260101||||||F|||20260102030000+0100
OBX|7|ED|PDF^Report^L||^application^pdf^Base64^JVBERg==||||||F
SPM|1|^S1&LAB||BLD^Whole blood^HL70487|||||||||||||20260102025000+0100
"""
APPOINTMENT = """MSH|^~\\&|SCH|HOSP|T|M|20260102040000||SIU^S12^SIU_S12|3|P|2.5.1
SCH|A1^SCH|B1^SCH||||^Cough||Normal|30|MIN|^^^20260301100000+0100^20260301103000+0100||||||||||||||Booked
NTE|1||bring papers
PID|1||77^^^HOSP^MR||Gray^Ada
RGS|1|A
AIS|1|A|CONS^Consultation^L|20260301100000+0100|||30|MIN
AIL|1|A|R1^^^HOSP|||20260301100000+0100||||||Booked
AIP|1|A|1234^Smith^Al^^^Dr^^^NPI|||20260301100000+0100||||||Booked
"""
NOTICE = """MSH|^~\\&|DOC|HOSP|T|M|20260102040000||MDM^{event}^{structure}|4|P|2.5.1
EVN||20260102040000
PID|1||77^^^HOSP^MR||Gray^Ada
PV1|1|I|||||||||||||||||V1^^^HOSP^VN
TXA|1|CN^Consultation^HL70270|TX|20260102030000+0100||20260102031500+0100\
|||1234^Smith^Al^^^Dr^^^NPI|||D2^DOC|{parent}||F2^DOC|letter.txt|LA|R|AV
"""
NOTICES = {
    "MDM^T01": NOTICE.format(event="T01", structure="MDM_T01", parent=""),
    "MDM^T02": NOTICE.format(event="T02", structure="MDM_T02", parent="")
    + "OBX|1|ED|^letter||^application^pdf^Base64^JVBERg==||||||F\n",
    "MDM^T05": NOTICE.format(event="T05", structure="MDM_T01", parent="D1^DOC"),
    "MDM^T10": NOTICE.format(event="T10", structure="MDM_T02", parent="D1^DOC")
    + "OBX|1|ED|^letter||^application^pdf^Base64^JVBERg==||||||F\n",
}
PROCEDURE = """PR1|1||80146002^Appendectomy^SCT||20260102060000+0100||||||\
88^Roe^Jo^^^^^^NPI||||||||PX1^HOSP
"""


class Trip:
    """A record of its own, filled by one message, and what it then sends."""

    def __init__(self, folder: Path, version: str, more: str = "") -> None:
        text = f"{WARD}version: {version}\nmessages: {MAPS_OF}\n{more}\n"
        (self.outlet,) = load_outbound([site(folder, text)], MAPS.tables).outlets.values()

    async def sent(self, body: bytes) -> list[bytes]:
        ticks = count(NOW, 1000)
        services = services_on(
            MemoryStore(now=lambda: next(ticks), index=index), lambda: next(ticks)
        )
        header = read_header(body)
        assert header is not None
        service = FeedService(services, FeedMaps(**SETTINGS), [])
        await service.start()
        for answer in await service.receive(body, "default", header):
            if not isinstance(answer, bytes):
                await answer
        await service.stop()
        # identifiers without an authority are the sending facility's
        to = replace(self.outlet.destination, sender=("T", header.component(4, 1)))
        queue = Queue(services.store, "ward")
        router = Router(services, replace(self.outlet, destination=to), queue)
        while await router.step() is not None:
            continue
        return [await queue.body(message.id) for message in await queue.of_state("waiting")]


def said(body: bytes) -> Counter[str]:
    """The fields of a message but for those that name the message itself."""
    made: Counter[str] = Counter()
    for line in body.decode().split("\r"):
        name, *fields = line.split("|")
        if name not in ("MSH", "EVN"):
            made.update(f"{name}-{n}|{text}" for n, text in enumerate(fields, 1) if text)
    return made


@pytest.mark.parametrize("version", ["2.3", "2.4", "2.5.1", "2.7", "2.8.2"])
@pytest.mark.parametrize("text", [ADMISSION, RESULT, APPOINTMENT], ids=["ADT", "ORU", "SIU"])
async def test_a_message_that_is_read_back_is_sent_again_the_same(
    tmp_path: Path, text: str, version: str
) -> None:
    trip = Trip(tmp_path, version)
    wanted = parse(text.replace("\n", "\r").encode()).type
    first = await trip.sent(text.replace("\n", "\r").encode())
    (body,) = [one for one in first if parse(one).type == wanted]
    (again,) = [one for one in await trip.sent(body) if parse(one).type == wanted]
    assert said(again) == said(body)


@pytest.mark.parametrize("text", [ADMISSION, RESULT, APPOINTMENT], ids=["ADT", "ORU", "SIU"])
async def test_the_inbound_maps_find_every_element_again(tmp_path: Path, text: str) -> None:
    data = text.replace("\n", "\r").encode()
    feed = FeedMaps(**SETTINGS).feed("default")
    planned = {r.label: r.values for r in MAPS.plan(parse(data), feed).resources}
    sent = await Trip(tmp_path, "2.8").sent(data)
    (body,) = [one for one in sent if parse(one).type == parse(data).type]
    back = {r.label: r.values for r in MAPS.plan(parse(body), feed).resources}
    clinical = ("Patient", "Encounter", "DiagnosticReport", "Observation", "Appointment")
    for label, values in planned.items():
        if label.startswith(clinical):
            assert back[label] == values, label


@pytest.mark.parametrize("event", NOTICES)
async def test_documents_and_notices_of_them_make_the_trip(tmp_path: Path, event: str) -> None:
    trip = Trip(tmp_path, "2.5.1", "clearance: R")
    (body,) = [
        one
        for one in await trip.sent(NOTICES[event].replace("\n", "\r").encode())
        if parse(one).type.startswith("MDM")
    ]
    message = parse(body)
    assert message.type == event
    assert message.get("TXA-12.1") == "D2"
    assert message.get("TXA-13.1") == ("D1" if event in ("MDM^T05", "MDM^T10") else "")
    assert message.get("TXA-18") == "R"
    assert (message.first("OBX") is not None) == (event in ("MDM^T02", "MDM^T10"))
    again = {parse(one).type: one for one in await trip.sent(body)}
    assert said(again[event]) == said(body)


async def test_the_procedures_of_a_visit_make_the_trip(tmp_path: Path) -> None:
    trip = Trip(tmp_path, "2.8")
    sent = await trip.sent((ADMISSION + PROCEDURE).replace("\n", "\r").encode())
    (body,) = [one for one in sent if parse(one).type == "ADT^A01"]
    (pr1,) = [line for line in body.decode().split("\r") if line.startswith("PR1")]
    again = {parse(one).type: one for one in await trip.sent(body)}

    assert pr1 == (
        "PR1|1||80146002^Appendectomy^SCT||20260102060000+0100||||||88^Roe^Jo^^^^^^NPI||||||||PX1^HOSP"
    )
    assert said(again["ADT^A01"]) == said(body)


def published(folder: Path, *types: str) -> Iterator[bytes]:
    with (folder / "manifest.csv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["type"].startswith(types)]
    for row in rows:
        data = (folder / row["file"]).read_bytes()
        for part in split_messages(data) or [data]:
            with suppress(Unparsable):
                if not MAPS.plan(parse(part), FeedMaps(**SETTINGS).feed("default")).quarantine:
                    yield part


async def test_messages_that_others_published_make_the_trip(
    shared_data: Path, tmp_path: Path
) -> None:
    trip = Trip(tmp_path, "2.8")
    seen: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for part in published(shared_data / "hl7v2", "ADT", "ORU", "SIU", "ORM", "MDM"):
        for body in await trip.sent(part):
            again = {parse(one).type: one for one in await trip.sent(body)}
            type_ = parse(body).type
            seen[type_[:3]] += 1
            same[type_[:3]] += type_ in again and said(again[type_]) == said(body)
    assert seen["ADT"] + seen["ORU"] > 250
    # not: finished visits with places that are still occupied, e-mail addresses without a use
    assert sum(same.values()) >= 0.97 * sum(seen.values())
    assert seen["SIU"] + seen["ORM"] + seen["MDM"] == same["SIU"] + same["ORM"] + same["MDM"]
