"""QBP^Q22 over a socket: a registration desk asks who somebody is, and RSP^K22 tells it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mappings.maps import load_maps
from server.feeds.service import FeedService, Port
from server.feeds.wiring import Wire, Wiring
from server.interactions.services import Services

PEOPLE = [
    ("1", "Müller^Anna", "19700503", "F", "1 Main St^^Ulm^^89073"),
    ("2", "Müller^Bernd", "19700504", "M", "1 Main St^^Ulm^^89073"),
    ("3", "Mullerhaus^Anna", "19700503", "F", "2 Side St^^Bonn^^53111"),
]


def adt(number: str, name: str, born: str, sex: str, address: str, protected: str = "") -> bytes:
    return (
        f"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A28^ADT_A05|M{number}|P|2.5.1|"
        f"||AL|NE||UNICODE UTF-8\rEVN|A28|20260316080000\r"
        f"PID|1||{number}^^^HOSP^MR~9{number}^^^NAT^NI||{name}||{born}|{sex}|||{address}\r"
    ).encode()


def qbp(
    criteria: str,
    *,
    rcp: str = "",
    domains: str = "",
    pointer: str = "",
    head: str = "QBP^Q22^QBP_Q21",
    more: str = "",
) -> bytes:
    text = (
        f"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||{head}|Q1|P|2.5.1{more}\r"
        f"QPD|IHE PDQ Query|T1|{criteria}|||||{domains}\r"
    )
    text += f"RCP|I|{rcp}\r" if rcp else ""
    text += f"DSC|{pointer}|I\r" if pointer else ""
    return text.encode()


class Desk:
    """A registration system on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, body: bytes) -> None:
        self._writer.write(b"\x0b" + body + b"\x1c\r")

    async def hear(self) -> list[str]:
        frame = await asyncio.wait_for(self._reader.readuntil(b"\x1c\r"), 10)
        return frame[1:-2].decode().rstrip("\r").split("\r")

    async def ask(self, body: bytes) -> list[str]:
        """Return the segments of the answer."""
        await self.send(body)
        return await self.hear()


@pytest.fixture
async def desk(services: Services) -> AsyncIterator[Desk]:
    wiring = Wiring({"adt": Wire(senders=frozenset([("REG", "")]), queries="patients")})
    service = FeedService(services, load_maps(), [Port("other")], wiring=wiring)
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.listeners[0].port)
    made = Desk(reader, writer)
    for person in PEOPLE:
        assert (await made.ask(adt(*person)))[1].startswith("MSA|CA")
    await service.settle()
    yield made
    writer.close()
    await service.stop()


def found(answer: list[str]) -> list[str]:
    """PID-3.1 and PID-5 of each patient."""
    rows = [line.split("|") for line in answer if line.startswith("PID")]
    return sorted(f"{row[3].split('^')[0]} {row[5].partition('~')[0]}" for row in rows)


ASKED = [
    ("@PID.5.1^MULLER", ["1 Müller^Anna", "2 Müller^Bernd"]),
    ("@PID.5.1.1^Müll*", ["1 Müller^Anna", "2 Müller^Bernd", "3 Mullerhaus^Anna"]),
    ("@PID.5.1^muller~@PID.5.2^anna", ["1 Müller^Anna"]),
    ("@PID.7^19700503", ["1 Müller^Anna", "3 Mullerhaus^Anna"]),
    ("@PID.7.1^1970~@PID.8^M", ["2 Müller^Bernd"]),
    ("@PID.11.3^Ulm~@PID.8^F", ["1 Müller^Anna"]),
    ("@PID.11.5^53111", ["3 Mullerhaus^Anna"]),
    ("@PID.3.1^2~@PID.3.4.1^HOSP", ["2 Müller^Bernd"]),
    ("@PID.3.1^2~@PID.3.4.1^NAT", []),
    ("@PID.5.1^Nobody", []),
]


@pytest.mark.parametrize(("criteria", "expected"), ASKED)
async def test_patients_are_found_by_what_was_asked(
    desk: Desk, criteria: str, expected: list[str]
) -> None:
    answer = await desk.ask(qbp(criteria))

    assert found(answer) == expected
    count = len(expected)
    assert answer[1:4] == [
        "MSA|AA|Q1",
        f"QAK|T1|{'OK' if count else 'NF'}|IHE PDQ Query|{count}|{count}|0",
        f"QPD|IHE PDQ Query|T1|{criteria}",
    ]


async def test_the_answer_is_addressed_to_the_asker(desk: Desk) -> None:
    msh = (await desk.ask(qbp("@PID.3.1^1")))[0].split("|")

    assert msh[2:6] == ["TELL", "MAIN", "REG", "HOSP"]
    assert msh[8] == "RSP^K22^RSP_K21"
    assert msh[11] == "2.5.1"
    assert msh[17] == "UNICODE UTF-8"  # ASCII, that nobody asked to leave, has no ü


async def test_only_numbers_of_the_wanted_domain_come(desk: Desk) -> None:
    whole = await desk.ask(qbp("@PID.3.1^1"))
    national = await desk.ask(qbp("@PID.3.1^1", domains="^^^NAT"))

    assert whole[4].split("|")[3] == "1^^^HOSP^MR~91^^^NAT^NI"
    assert national[4].split("|")[3] == "91^^^NAT^NI"


async def test_a_long_answer_goes_on_where_it_ended(desk: Desk) -> None:
    criteria = "@PID.5.1^mul*"
    first = await desk.ask(qbp(criteria, rcp="2^RD"))
    pointer = first[-1].split("|")[1]
    second = await desk.ask(qbp(criteria, rcp="2^RD", pointer=pointer))

    assert first[2] == "QAK|T1|OK|IHE PDQ Query|3|2|1"
    assert second[2] == "QAK|T1|OK|IHE PDQ Query|3|1|0"
    assert len(found(first) + found(second)) == len({*found(first), *found(second)}) == 3
    assert not second[-1].startswith("DSC")


async def test_a_continuation_serves_its_own_query_only(desk: Desk) -> None:
    first = await desk.ask(qbp("@PID.5.1^mul*", rcp="2^RD"))
    pointer = first[-1].split("|")[1]
    other = await desk.ask(qbp("@PID.5.1^mull*", rcp="2^RD", pointer=pointer))

    assert other[1] == "MSA|AE|Q1"
    assert other[2] == (
        "ERR||DSC^1^1|204^Unknown key identifier^HL70357|E||||"
        "this continuation belongs to another query"
    )


WRONG = [
    ("", "ERR||QPD^1^3|101^Required field missing^HL70357|E||||nothing is asked for in QPD-3"),
    ("@PID.7^yesterday", "ERR||QPD^1^3^1|102^Data type error^HL70357|E||||PID.7 is no date"),
    (
        "@PID.5.1^x~@PID.8^Q",
        "ERR||QPD^1^3^2|103^Table value not found^HL70357|E||||PID.8 is no administrative sex",
    ),
    (
        "@PID.19^123",
        (
            "ERR||QPD^1^3^1|204^Unknown key identifier^HL70357|E||||this server searches by "
            "PID.3 PID.5.1 PID.5.2 PID.7 PID.8 PID.11.1 PID.11.3 PID.11.4 PID.11.5 PID.11.6"
        ),
    ),
    (
        "@PID.5.1^*",
        (
            "ERR||QPD^1^3^1|102^Data type error^HL70357|E||||"
            "a value holds no letter or digit to look for"
        ),
    ),
]


@pytest.mark.parametrize(("criteria", "expected"), WRONG)
async def test_what_cannot_be_asked_is_told_with_its_place(
    desk: Desk, criteria: str, expected: str
) -> None:
    answer = await desk.ask(qbp(criteria))

    assert answer[1] == "MSA|AE|Q1"
    assert answer[2] == expected
    assert answer[3] == "QAK|T1|AE|IHE PDQ Query"


async def test_enhanced_mode_has_both_answers(desk: Desk) -> None:
    await desk.send(qbp("@PID.3.1^1", more="|||AL|AL"))

    assert (await desk.hear())[1] == "MSA|CA|Q1"
    assert (await desk.hear())[1] == "MSA|AA|Q1"


async def test_a_cancel_is_acknowledged(desk: Desk) -> None:
    assert (await desk.ask(qbp("", head="QCN^J01^QCN_J01")))[1] == "MSA|AA|Q1"


async def test_a_merged_patient_is_told_by_the_survivor(desk: Desk, services: Services) -> None:
    merge = (
        "MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A40^ADT_A39|M9|P|2.5.1\r"
        "EVN|A40|20260316090000\rPID|1||1^^^HOSP^MR||Müller^Anna\rMRG|2^^^HOSP^MR\r"
    )
    assert (await desk.ask(merge.encode()))[1].startswith("MSA|AA")

    assert found(await desk.ask(qbp("@PID.5.1^muller"))) == ["1 Müller^Anna"]


async def test_who_may_not_ask_gets_nothing(services: Services) -> None:
    service = FeedService(services, load_maps(), [Port("other")])
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.listeners[0].port)
    answer = await Desk(reader, writer).ask(qbp("@PID.5.1^muller"))
    writer.close()
    await service.stop()

    assert answer[1] == "MSA|AR|Q1|this sender may not ask for patients"
    assert len(answer) == 3
