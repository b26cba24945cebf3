"""QBP^Q22 from senders that err or attack, by every way in; who asked is in the audit."""

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from mappings.maps import load_maps
from server.access.context import SYSTEM
from server.feeds import FeedCollector, http, server_context
from server.feeds.demographics import Demographics
from server.feeds.header import read_header
from server.feeds.service import FeedService, Port
from server.feeds.wiring import Wire, Wiring
from server.fhir.errors import StoreUnavailable
from server.interactions.audit_log import AuditLog
from server.interactions.services import Services
from server.uuid7 import new_id
from tests.feeds.conftest import BASE
from tests.feeds.outbound import put
from tests.feeds.test_demographics import PEOPLE, Desk, adt, desk, found, qbp
from tests.feeds.test_tls import House, house

__all__ = ["desk", "house"]

ASKER = Wire(senders=frozenset([("REG", "")]), queries="patients")


def fault(answer: list[str]) -> tuple[str, str]:
    """MSA-1, and the text of the error."""
    (err,) = [line.split("|") for line in answer if line.startswith("ERR")]
    return answer[1].split("|")[1], err[8]


async def test_a_huge_query_is_refused_without_being_read(desk: Desk) -> None:
    answer = await desk.ask(qbp("@PID.5.1^" + "x" * 10_000_000))

    assert fault(answer) == ("AR", "a query is not longer than 65536 bytes")
    assert sum(map(len, answer)) < 1000
    assert found(await desk.ask(qbp("@PID.3.1^1"))) == ["1 Müller^Anna"]  # and it goes on


@pytest.mark.parametrize("field", ["@PID.5.1^M", "@PID.3.1^1", "@PID.3.4.1^HOSP", "@PID.8^F"])
async def test_very_many_criteria_are_refused(desk: Desk, field: str) -> None:
    answer = await desk.ask(qbp("~".join([field] * 3000)))

    assert fault(answer) == ("AE", "a query has at most 50 criteria")


async def test_fifty_criteria_are_answered(desk: Desk) -> None:
    assert found(await desk.ask(qbp("~".join(["@PID.5.1^muller"] * 50)))) == [
        "1 Müller^Anna",
        "2 Müller^Bernd",
    ]


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ("@PID.7^00000000", "PID.7 is no date"),
        ("@PID.7^99991399", "PID.7 is no date"),
        ("@PID.7^19700230", "PID.7 is no date"),
        ("@PID.3.4.1^HOSP", "an authority is asked for with its number, PID.3.1"),
        ("@PID.5.1^x~@PID.3.4.1^HOSP", "an authority is asked for with its number, PID.3.1"),
        ("@PID.5.1^\\X0D\\", "nothing is asked for in QPD-3"),
        ('@PID.5.1^""', "a value holds no letter or digit to look for"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_nothing_breaks(
    desk: Desk, criteria: str, text: str
) -> None:
    assert fault(await desk.ask(qbp(criteria))) == ("AE", text)


@pytest.mark.parametrize("rcp", ["²^RD", "٣^RD", "-1^RD", "1e9^RD", "99999999999999999999^RD"])
async def test_an_odd_number_of_patients_is_the_usual_number(desk: Desk, rcp: str) -> None:
    answer = await desk.ask(qbp("@PID.5.1^mul*", rcp=rcp))

    assert len(found(answer)) == 3


async def test_no_more_than_two_hundred_come_at_once(desk: Desk) -> None:
    assert (await desk.ask(qbp("@PID.5.1^mul*", rcp="0^RD")))[2].endswith("|3|1|2")
    assert (await desk.ask(qbp("@PID.5.1^mul*", rcp="999999999^RD")))[2].endswith("|3|3|0")


async def test_other_delimiters_are_read_and_the_answer_has_the_usual(desk: Desk) -> None:
    text = (
        "MSH#*!%$#REG#HOSP#TELL#MAIN#20260316080000##QBP*Q22*QBP_Q21#Q1#P#2.5.1\r"
        "QPD#IHE PDQ Query#T|1#@PID.5.1*muller!@PID.5.2*anna#####***HOSP\r"
    )
    answer = await desk.ask(text.encode())

    assert found(answer) == ["1 Müller^Anna"]
    assert answer[3] == "QPD|IHE PDQ Query|T\\F\\1|@PID.5.1^muller~@PID.5.2^anna|||||^^^HOSP"


async def test_line_ends_and_frames_in_what_is_said_back_end_nothing(desk: Desk) -> None:
    """QPD and MSH are said back: an escape must not become a segment, or the end of the frame."""
    query = qbp("@PID.5.1^x\\X0D\\PID|9\\X1C0D\\").replace(b"|T1|", b"|T\\X0D\\MSA\\F\\AA\\F\\X|")
    answer = await desk.ask(query.replace(b"|REG|", b"|REG\\X1C0D\\|"))

    assert [line[:3] for line in answer] in (
        ["MSH", "MSA", "QAK", "QPD"],
        ["MSH", "MSA", "ERR"],  # another MSH-3 is another sender, who may not ask
    )
    assert found(await desk.ask(qbp("@PID.3.1^1"))) == ["1 Müller^Anna"]


async def test_without_a_control_id_the_answer_says_which_query_by_its_tag(desk: Desk) -> None:
    answer = await desk.ask(qbp("@PID.3.1^1").replace(b"|Q1|P|", b"||P|"))

    assert answer[1:3] == ["MSA|AA", "QAK|T1|OK|IHE PDQ Query|1|1|0"]
    assert answer[0].split("|")[9].startswith("Q")


@pytest.mark.parametrize(
    ("charset", "codec", "told"),
    [
        ("8859/1", "cp1252", "8859/1"),
        ("UNICODE UTF-8", "utf-8", "UNICODE UTF-8"),
        ("8859/5", "utf-8", "UNICODE UTF-8"),  # Cyrillic has no ü
        ("UNICODE UTF-32", "utf-8", "UNICODE UTF-8"),  # its bytes would end the frame
        ("KLINGON", "utf-8", "UNICODE UTF-8"),
    ],
)
async def test_the_answer_is_in_the_charset_of_the_asker_or_in_utf_8(
    desk: Desk, charset: str, codec: str, told: str
) -> None:
    await desk.send(qbp("@PID.5.1^muller~@PID.8^F", more=f"||||||{charset}"))
    frame = await asyncio.wait_for(desk._reader.readuntil(b"\x1c\r"), 10)
    lines = frame[1:-2].decode(codec).split("\r")

    assert lines[0].split("|")[17] == told
    assert "Müller" in next(line for line in lines if line.startswith("PID"))


async def test_bytes_that_are_in_no_charset_are_answered(desk: Desk) -> None:
    query = qbp("@PID.5.1^muller", more="||||||UNICODE UTF-8").replace(b"T1", b"T\xed\xa0\x80\xff")

    assert (await desk.ask(query))[1] == "MSA|AA|Q1"


async def test_no_qpd_and_no_criteria_are_refused(desk: Desk) -> None:
    head = qbp("").split(b"\r")[0] + b"\r"

    assert fault(await desk.ask(head)) == ("AE", "there is no QPD segment")
    assert fault(await desk.ask(qbp("@PID.5.1"))) == ("AE", "nothing is asked for in QPD-3")


@pytest.mark.parametrize("pointer", ["x", "W10", "\\X00\\", "a" * 5000])
async def test_a_continuation_that_nobody_gave_out_is_refused(desk: Desk, pointer: str) -> None:
    answer = await desk.ask(qbp("@PID.5.1^mul*", rcp="2^RD", pointer=pointer))

    assert fault(answer) == ("AE", "this continuation belongs to another query")


async def test_a_very_restricted_patient_is_not_there(desk: Desk, services: Services) -> None:
    """Not in the answer, not in its count, not behind its pointer, not by the number."""
    label = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    (anna,) = [
        version
        for version in await services.store.history(SYSTEM, "Patient", limit=10)
        if b'"91"' in (version.body or b"")
    ]
    resource = json.loads(anna.body or b"{}")
    resource["meta"] = {"security": [{"system": label, "code": "V"}]}
    await put(services, resource)

    answer = await desk.ask(qbp("@PID.5.1^mul*"))
    assert found(answer) == ["2 Müller^Bernd", "3 Mullerhaus^Anna"]
    assert answer[2] == "QAK|T1|OK|IHE PDQ Query|2|2|0"
    assert (await desk.ask(qbp("@PID.3.1^1")))[2] == "QAK|T1|NF|IHE PDQ Query|0|0|0"


# -- every way in ---------------------------------------------------------------------------------


async def filled(services: Services, wiring: Wiring, *ports: Port) -> FeedService:
    service = FeedService(services, load_maps(), list(ports), wiring=wiring)
    await service.start()
    for person in PEOPLE:
        body = adt(*person)
        await service.receive(body, "adt", read_header(body))
    await service.settle()
    return service


async def test_over_tls_the_certificate_says_who_may_ask(services: Services, house: House) -> None:
    wiring = Wiring({"desk": Wire(certificates=frozenset(["sender"]), queries="patients")})
    tls = server_context(house.server.cert, house.server.key, house.authority.cert)
    service = await filled(services, wiring, Port(tls=tls))
    port = service.listeners[0].port

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=house.client(house.sender)
    )
    assert found(await Desk(reader, writer).ask(qbp("@PID.3.1^1"))) == ["1 Müller^Anna"]
    writer.close()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=house.client(house.server)
    )
    answer = await Desk(reader, writer).ask(qbp("@PID.3.1^1"))
    writer.close()
    await service.stop(grace_s=2)

    assert answer[1] == "MSA|AR|Q1|this sender may not ask for patients"


async def test_over_http_a_query_is_answered_on_the_request(services: Services) -> None:
    async def admit(_header: bytes | None, feed: str) -> str:
        return feed

    service = await filled(services, Wiring({"desk": ASKER}))
    app = FastAPI()
    app.include_router(http.router(service, admit))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"Content-Type": "application/hl7-v2"}
        asked = [
            await client.post(f"/hl7v2/{feed}", content=qbp(criteria), headers=headers)
            for feed, criteria in (
                ("desk", "@PID.3.1^1"),
                ("desk", "@PID.5.1^nobody"),
                ("desk", ""),
                ("lab", "@PID.3.1^1"),
            )
        ]
    await service.stop()

    assert [answer.status_code for answer in asked] == [200, 200, 500, 400]
    assert found(asked[0].content.decode().split("\r")) == ["1 Müller^Anna"]
    assert b"QAK|T1|NF" in asked[1].content
    assert b"MSA|AE|Q1" in asked[2].content
    assert b"MSA|AR|Q1|this sender may not ask" in asked[3].content
    assert (service.counts["desk"].queries, service.counts["lab"].queries) == (3, 1)
    assert service.counts["lab"].refused == 1


async def test_in_a_batch_each_query_has_its_answer(desk: Desk) -> None:
    batch = (
        b"BHS|^~\\&|REG|HOSP|TELL|MAIN|20260316||||B1\r"
        + qbp("@PID.3.1^1")
        + qbp("@PID.3.1^2").replace(b"|Q1|", b"|Q2|")
        + b"BTS|2\r"
    )
    answer = await desk.ask(batch)

    assert [line[:3] for line in answer] == [
        "BHS", "MSH", "MSA", "QAK", "QPD", "PID", "MSH", "MSA", "QAK", "QPD", "PID", "BTS",
    ]  # fmt: skip
    assert [line for line in answer if line.startswith("MSA")] == ["MSA|AA|Q1", "MSA|AA|Q2"]
    assert found(answer) == ["1 Müller^Anna", "2 Müller^Bernd"]


async def test_queries_are_counted_by_feed_and_not_kept(services: Services) -> None:
    service = await filled(services, Wiring({"desk": ASKER}))
    for _ in range(3):
        body = qbp("@PID.3.1^1")
        header = read_header(body)
        assert header is not None
        await service.query(body, "desk", header)
    registry = CollectorRegistry()
    registry.register(FeedCollector(service))
    text = generate_latest(registry).decode()
    counts = await service.inbox.counts()
    await service.stop()

    assert 'tellonce_hl7v2_queries_total{feed="desk"} 3.0' in text
    assert "desk" not in counts


# -- audit ----------------------------------------------------------------------------------------


@pytest.fixture
async def audited(services: Services) -> AsyncIterator[tuple[FeedService, AuditLog]]:
    audit = AuditLog(services.store, services.now, new_id, BASE)
    await audit.start()
    service = await filled(replace(services, audit=audit), Wiring({"desk": ASKER}))
    yield service, audit
    await service.stop()
    await audit.stop()


async def asked(service: FeedService, body: bytes) -> list[str]:
    header = read_header(body)
    assert header is not None
    answers = await service.query(body, "desk", header, address="10.1.2.3")
    return [str(one, "utf-8") for one in answers if isinstance(one, bytes)]


async def events(service: FeedService, audit: AuditLog) -> list[tuple[Any, ...]]:
    """(patient, what was asked, outcome) of each event of a search."""
    await audit.settled()
    made = []
    for version in await service.services.store.changes(SYSTEM, limit=1000, type_="AuditEvent"):
        event = json.loads(version.body or b"{}")
        if event["subtype"][0]["code"] != "search-type":
            continue
        assert event["agent"][0]["network"] == {"address": "10.1.2.3", "type": "2"}
        named = [one["what"].get("reference") for one in event["entity"] if "what" in one]
        query = [b64decode(one["query"]).decode() for one in event["entity"] if "query" in one]
        made.append(([name for name in named if name], query, event["outcome"]))
    return made


async def test_each_patient_who_was_shown_has_one_event_and_the_question_one(
    audited: tuple[FeedService, AuditLog],
) -> None:
    service, audit = audited
    await asked(service, qbp("@PID.5.1^muller~@PID.3.1^1"))

    told = await events(service, audit)
    whole = "Patient?PID.5.1=muller&PID.3.1=1"
    assert [query for _, query, _ in told] == [["Patient?PID.5.1=&PID.3.1="], [whole]]
    assert [len(patients) for patients, _, _ in told] == [1, 0]


async def test_all_who_were_shown_are_told_once(audited: tuple[FeedService, AuditLog]) -> None:
    service, audit = audited
    await asked(service, qbp("@PID.5.1^mul*"))

    patients = [patient for named, _, _ in await events(service, audit) for patient in named]
    assert len(patients) == len(set(patients)) == 3


async def test_a_question_that_found_nobody_is_told(
    audited: tuple[FeedService, AuditLog],
) -> None:
    service, audit = audited
    await asked(service, qbp("@PID.5.1^nobody"))

    assert await events(service, audit) == [([], ["Patient?PID.5.1=nobody"], "0")]


class Full(AuditLog):
    """An audit that can keep nothing more."""

    def _demand_room(self) -> None:
        raise StoreUnavailable("no room")


async def test_what_cannot_be_told_is_not_answered(services: Services) -> None:
    full = Full(services.store, services.now, new_id, BASE)
    service = await filled(services, Wiring({"desk": ASKER}))
    service._demographics = Demographics(replace(services, audit=full), service.maps)
    (answer,) = await asked(service, qbp("@PID.5.1^muller"))
    await service.stop()

    assert answer.split("\r")[1].startswith("MSA|AR|Q1")
    assert "PID|" not in answer


async def test_where_audit_is_durable_it_is_on_disk_before_the_answer(services: Services) -> None:
    audit = AuditLog(services.store, services.now, new_id, BASE, durable=True)
    await audit.start()
    service = await filled(replace(services, audit=audit), Wiring({"desk": ASKER}))
    await asked(service, qbp("@PID.5.1^muller"))
    assert audit.waiting == 0
    await service.stop()
    await audit.stop()


async def test_no_log_holds_what_was_asked_or_found(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "server")
    for criteria in ("@PID.5.1^muller", "@PID.7^tomorrow", "@PID.99^Secret", "@PID.5.1^Secret"):
        await desk.ask(qbp(criteria))

    assert "uller" not in caplog.text
    assert "Secret" not in caplog.text
