"""Receivers that misbehave, over real sockets: nothing is lost, nothing overtakes."""

import asyncio
import ssl
import subprocess
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mappings.maps import load_maps
from mappings.parse import parse
from server.feeds.framing import frame
from server.feeds.outbound import OutboundCollector, worker
from server.feeds.outbound import queue as queues
from server.feeds.outbound import service as serving
from server.feeds.outbound.connection import read_answer
from server.feeds.outbound.queue import Message, Queue, is_paused, set_paused
from server.feeds.tls import UnusableTls
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.store import lease
from tests.feeds.outbound import (
    MAPS,
    Receiver,
    accept,
    ack,
    answering,
    patient,
    put,
    receiver,
    sending,
    site,
    until,
    visit,
    ward,
)


async def state(services: Services, count: int, name: str = "ward") -> list[Message]:
    """Return the first ``count`` messages, when there are so many, whatever state they have."""
    own = Queue(services.store, name)
    found: list[Message] = []

    async def enough() -> bool:
        found[:] = [m for s in queues.STATES for m in await own.of_state(s)]
        return len(found) >= count

    await until(enough)
    return sorted(found, key=lambda m: m.id)


async def settled(services: Services, states: list[str]) -> list[Message]:
    """Wait until the messages have these states, in order; return them."""
    found: list[Message] = []

    async def same() -> bool:
        found[:] = await state(services, len(states))
        return [m.state for m in found] == states

    try:
        await until(same)
    except TimeoutError:
        assert [m.state for m in found] == states
    return found


async def test_messages_arrive_in_order_on_one_connection(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to, sending(services, site(tmp_path, ward(to.port))):
        for n in range(30):
            await put(services, patient(f"p{n}", identifier=[{"value": str(n)}]))
        bodies = await to.until(30)
        await settled(services, ["sent"] * 30)
    assert [parse(body).get("PID-3") for body in bodies] == [str(n) for n in range(30)]
    assert to.connections == 1


async def test_what_is_not_answered_is_sent_again_under_its_control_id(
    services: Services, tmp_path: Path
) -> None:
    async def third_time(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        if len(to.got) >= 3:
            await accept(to, message, writer)

    async with receiver(third_time) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await to.until(3)
        (message,) = await settled(services, ["sent"])
    assert to.got[0] == to.got[1] == to.got[2]
    assert to.connections == 3
    assert message.unanswered == 2


async def test_an_answer_to_another_message_ends_nothing(
    services: Services, tmp_path: Path
) -> None:
    async def confused(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(ack(message, id_="SOMETHING")) + frame(b"not HL7 at all"))
        if len(to.got) > 1:
            await accept(to, message, writer)

    async with receiver(confused) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await settled(services, ["sent"])
    assert len(to.got) == 2


async def test_a_receiver_that_babbles_is_one_line_of_the_log(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def babble(_to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00" * 999 + frame(b"nonsense") * 40 + frame(ack(message)) * 2)

    async with receiver(babble) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await put(services, patient("bea"))
        await settled(services, ["sent", "sent"])
    said = [r.getMessage() for r in caplog.records if "no message of ours" in r.getMessage()]
    assert said == [
        "destination ward: 40 answers to no message of ours",
        "destination ward: 41 answers to no message of ours",  # the second ACK of the first too
    ]


async def test_a_late_answer_is_not_taken_for_that_of_the_next_message(
    services: Services, tmp_path: Path
) -> None:
    async def late(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        if len(to.got) > 1:
            writer.write(frame(ack(to.got[0], "AR")))  # to the first sending of the first
        await accept(to, message, writer) if len(to.got) > 1 else None

    first, second = patient("p1"), patient("p2")
    async with receiver(late) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, first)
        await put(services, second)
        messages = await state(services, 2)
        await until(lambda: _all_ended(services, 2))
    assert to.ids[-1] == messages[1].control_id


async def _all_ended(services: Services, count: int) -> bool:
    return all(m.state in ("sent", "parked", "held") for m in await state(services, count))


async def test_ae_is_tried_again_and_then_parked_with_what_the_receiver_said(
    services: Services, tmp_path: Path
) -> None:
    behave = answering("AE", "AE", "AE")
    async with receiver(behave) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        (message,) = await settled(services, ["parked"])
        await put(services, patient("bea"))
        await settled(services, ["parked", "sent"])
    assert (message.reason, message.attempts) == ("AE", 3)
    assert message.problem == "the receiver answered AE: no bed"
    assert len(set(to.ids[:3])) == 1


async def test_ar_is_parked_at_once_and_holds_its_patient_alone(
    services: Services, tmp_path: Path
) -> None:
    async with receiver(answering("AR")) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await settled(services, ["parked"])
        await put(services, visit())
        await put(services, patient("bea"))
        await settled(services, ["parked", "held", "sent"])
        assert to.types == ["ADT^A28", "ADT^A28"]
        parked, held, _ = await state(services, 3)
        await queues.retry(Queue(services.store, "ward"), parked, now=services.now())
        await settled(services, ["sent", "sent", "sent"])
    assert to.ids[2:] == [parked.control_id, held.control_id]


async def test_what_could_not_be_written_holds_its_patient_from_the_first_moment(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port, more="charset: 8859/1"))
        async with sending(services, folder):
            await put(services, patient("bea"))
            await to.until(1)  # which patients are held was just looked up
            await put(services, patient(name=[{"family": "Łaska"}]))
            await put(services, patient(name=[{"family": "Laska"}]))
            await settled(services, ["sent", "parked", "held"])
    assert len(to.got) == 1


async def test_a_merge_waits_for_what_is_parked_of_either_patient(
    services: Services, tmp_path: Path
) -> None:
    link = [{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}]
    async with (
        receiver(answering("AA", "AR")) as to,
        sending(services, site(tmp_path, ward(to.port))),
    ):
        await put(services, patient())
        await put(services, patient("bea"))
        await put(services, patient("bea", active=False, link=link))
        await put(services, patient(gender="other"))
        _, parked, _, _ = await settled(services, ["sent", "parked", "held", "held"])
        await queues.retry(Queue(services.store, "ward"), parked, now=services.now())
        await settled(services, ["sent", "sent", "sent", "sent"])
    assert to.types == ["ADT^A28", "ADT^A28", "ADT^A28", "ADT^A40", "ADT^A31"]


async def test_the_bytes_of_a_message_that_is_retried_are_kept_until_it_went(
    services: Services, tmp_path: Path
) -> None:
    async with receiver(answering("AR")) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        (parked,) = await settled(services, ["parked"])
    own = Queue(services.store, "ward")
    skipped = await queues.skip(own, parked, "not now", now=services.now())
    await queues.retry(own, skipped, now=services.now())
    await services.store.expire_records(services.now() + 31 * 86_400_000_000)
    assert await own.body(parked.id) == to.got[0]


async def test_skipping_lets_what_was_held_go_on(services: Services, tmp_path: Path) -> None:
    async with receiver(answering("AR")) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await put(services, visit())
        parked, _ = await settled(services, ["parked", "held"])
        own = Queue(services.store, "ward")
        with pytest.raises(ValueError, match="say why"):
            await queues.skip(own, parked, " ", now=services.now())
        await queues.skip(own, parked, "a test of theirs", now=services.now())
        await settled(services, ["skipped", "sent"])
    assert to.types == ["ADT^A28", "ADT^A01"]


@pytest.mark.parametrize(
    ("policy", "states"),
    [("hold", ["parked", "waiting", "waiting"]), ("continue", ["parked", "sent", "sent"])],
)
async def test_a_parked_message_holds_the_queue_or_nothing_as_the_destination_says(
    services: Services, tmp_path: Path, policy: str, states: list[str]
) -> None:
    folder = site(tmp_path)
    async with receiver(answering("AR")) as to:
        (folder / "ward.yaml").write_text(ward(to.port, more=f"on_parked: {policy}"))
        await put(services, patient())
        await put(services, visit())
        await put(services, patient("bea"))
        async with sending(services, folder):
            await settled(services, states)
            await asyncio.sleep(0.1)
            assert len(to.got) == (1 if policy == "hold" else 3)


async def test_a_connection_cut_in_the_middle_is_made_anew(
    services: Services, tmp_path: Path
) -> None:
    async def cut(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        if len(to.got) <= 3:
            writer.write(frame(ack(message))[:20])
            writer.transport.abort() if len(to.got) % 2 else writer.close()
        else:
            await accept(to, message, writer)

    async with receiver(cut) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await settled(services, ["sent"])
    assert len(to.got) == 4
    assert len(set(to.ids)) == 1


async def test_a_receiver_that_is_away_gets_everything_when_it_is_back(
    services: Services, tmp_path: Path
) -> None:
    to = Receiver()
    await to.start()
    port = to.port
    await to.stop()
    async with sending(services, site(tmp_path, ward(port))) as service:
        for n in range(5):
            await put(services, patient(f"p{n}"))
        await until(lambda: _lost(service))
        await to.start(port)
        await to.until(5)
        await settled(services, ["sent"] * 5)
    await to.stop()
    assert len(to.got) == 5


async def _lost(service: serving.OutboundService) -> bool:
    found = service.stats()["ward"]
    return found.counts.lost >= 2 and found.lag_s >= 0 and not found.connected


async def test_an_answer_in_pieces_is_one_answer(services: Services, tmp_path: Path) -> None:
    async def slow(_to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in frame(ack(message)):
            writer.write(bytes([byte]))
            await writer.drain()

    async with receiver(slow) as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await settled(services, ["sent"])
    assert len(to.got) == 1


async def test_enhanced_mode_ends_with_the_accept_acknowledgement(
    services: Services, tmp_path: Path
) -> None:
    text = "ack: enhanced"
    async with (
        receiver(answering("CE", "CA", "CR")) as to,
        sending(services, site(tmp_path, ward(to.port, more=text))),
    ):
        await put(services, patient())
        await put(services, patient("bea"))
        await settled(services, ["sent", "parked"])
    assert [parse(to.got[0]).get(f"MSH-{n}") for n in (15, 16)] == ["AL", "NE"]


async def test_the_application_s_answer_is_waited_for_where_it_is_asked(
    services: Services, tmp_path: Path
) -> None:
    async def both(to: Receiver, message: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(ack(message, "CA")))
        if len(to.got) > 1:
            writer.write(frame(ack(message, "AR" if len(to.got) == 2 else "AA")))

    text = "ack: enhanced-application\non_parked: continue"
    async with (
        receiver(both) as to,
        sending(services, site(tmp_path, ward(to.port, more=text))),
    ):
        await put(services, patient())
        await put(services, patient("bea"))
        await settled(services, ["parked", "sent"])
    assert len(to.got) == 3


async def test_messages_that_are_never_answered_are_parked_where_it_is_said(
    services: Services, tmp_path: Path
) -> None:
    async def silent(_to: Receiver, _message: bytes, _writer: asyncio.StreamWriter) -> None:
        return

    folder = site(tmp_path)
    async with receiver(silent) as to:
        text = ward(to.port).replace("attempts: 3", "attempts: 3, unanswered: 2")
        (folder / "ward.yaml").write_text(text.replace("0.3", "0.1"))
        async with sending(services, folder):
            await put(services, patient())
            (message,) = await settled(services, ["parked"])
    assert message.reason == "unanswered"
    assert len(to.got) == 2


async def test_a_paused_destination_waits_and_goes_on(services: Services, tmp_path: Path) -> None:
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port, more="paused: true"))
        async with sending(services, folder) as service:
            await put(services, patient())
            await settled(services, ["waiting"])
            await asyncio.sleep(0.1)
            assert to.got == []
            assert service.stats()["ward"].paused
            assert await is_paused(services.store, "ward", default=True)
            await set_paused(services.store, "ward", False)
            await settled(services, ["sent"])


async def test_several_destinations_do_not_wait_for_each_other(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to:
        away = ward(1).replace("ward", "away")
        folder = site(tmp_path, ward(to.port), away=away)
        async with sending(services, folder):
            await put(services, patient())
            await to.until(1)
            (waits,) = await state(services, 1, "away")
            assert waits.state == "waiting"


async def test_a_restart_sends_what_waits_and_nothing_twice(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port))
        async with sending(services, folder):
            await put(services, patient())
            await settled(services, ["sent"])
        await put(services, patient("bea"))
        async with sending(services, folder):
            await settled(services, ["sent", "sent"])
    assert len(to.got) == 2


async def test_a_second_process_sends_nothing_while_the_first_holds_the_lease(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port))
        async with sending(services, folder, owner="one"):
            await put(services, patient())
            await to.until(1)
            async with sending(services, folder, owner="two") as second:
                await put(services, patient("bea"))
                await settled(services, ["sent", "sent"])
                assert second.stats()["ward"].counts.sent == 0
        async with sending(services, folder, owner="two"):  # given back, so taken at once
            await put(services, patient("cy"))
            await to.until(3)


async def test_the_lease_of_a_process_that_died_is_taken_when_it_ends(
    services: Services, tmp_path: Path
) -> None:
    ends = services.now() + 300_000
    await lease.acquire(services.store, "outbound/ward", "gone", now=services.now(), ttl=300_000)
    async with receiver() as to, sending(services, site(tmp_path, ward(to.port)), owner="two"):
        await put(services, patient())
        await to.until(1)
        assert services.now() >= ends


async def test_a_store_that_cannot_write_costs_a_repetition_and_no_message(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, failing = services.store.commit, [True]

    async def broken(*args: object, **more: object) -> object:
        records = more.get("records") or ()
        if failing and any(getattr(r, "tag", "") == "sent" for r in records):  # type: ignore[attr-defined]
            failing.clear()
            raise StoreUnavailable("the disk is full")
        return await commit(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(services.store, "commit", broken)
    async with receiver() as to, sending(services, site(tmp_path, ward(to.port))):
        await put(services, patient())
        await put(services, patient("bea"))
        await settled(services, ["sent", "sent"])
    assert to.types == ["ADT^A28", "ADT^A28"]


async def test_changed_files_take_effect_without_a_restart(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "RELOAD_S", 0.02)
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port).replace("0.3", "0.4"))
        maps = MAPS.__class__.__new__(MAPS.__class__)
        maps.adopt(MAPS)
        service = serving.OutboundService(services, maps, [folder], owner="one", poll_s=0.02)
        await service.start()
        (folder / "ward.yaml").write_text(ward(to.port, more="receiver: NEW|"))
        maps.adopt(load_maps([folder]))
        numbers = count()

        async def told_anew() -> bool:
            await put(services, patient(f"p{next(numbers)}"))
            await asyncio.sleep(0.05)
            return any(parse(body).get("MSH-5") == "NEW" for body in to.got)

        await until(told_anew)
        await service.stop()
    assert len(set(to.ids)) == len(to.got)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, signed by itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1,DNS:lab.test"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    return cert, key


async def test_mutual_tls_and_a_name_that_is_checked(services: Services, tmp_path: Path) -> None:
    folder = site(tmp_path)
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    to = Receiver()
    server = await asyncio.start_server(to._serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    good = "tls: {ca: cert.pem, cert: cert.pem, key: key.pem, name: lab.test}"
    (folder / "ward.yaml").write_text(ward(port, more=good))
    async with sending(services, folder):
        await put(services, patient())
        await to.until(1)
    (folder / "ward.yaml").write_text(ward(port, more=good.replace("lab.test", "other.test")))
    async with sending(services, folder) as service:
        await put(services, patient("bea"))
        await until(lambda: _lost(service))
    server.close()
    assert len(to.got) == 1


async def test_a_certificate_that_is_none_is_told_at_the_start(
    services: Services, tmp_path: Path
) -> None:
    folder = site(tmp_path, ward(more="tls: {ca: no.pem}"))
    with pytest.raises(UnusableTls, match=r"no\.pem"):
        serving.OutboundService(services, MAPS, [folder], owner="one")


@pytest.mark.parametrize(
    "body", [b"", b"PID|1", b"MSH|^~\\&|A", b"MSH|^~\\&|A\rMSA|AA", b"\xff\xfe", b"MSH"]
)
def test_what_is_no_acknowledgement_is_none(body: bytes) -> None:
    assert read_answer(body) is None


def test_an_error_segment_says_why() -> None:
    answer = read_answer(b"MSH|^~\\&|A\rMSA|AE|7|bad\rERR||PID^1|101|E||||no name\r")
    assert answer is not None
    assert (answer.code, answer.control_id) == ("AE", "7")
    assert answer.text == "bad PID^1 101 E no name"


async def test_metrics_and_logs_name_destinations_and_no_patients(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with (
        receiver(answering("AR")) as to,
        sending(services, site(tmp_path, ward(to.port))) as service,
    ):
        await put(services, patient())
        await settled(services, ["parked"])
        registry = CollectorRegistry()
        registry.register(OutboundCollector(service))
        told = generate_latest(registry).decode()
    assert 'tellonce_outbound_parked_total{destination="ward"} 1.0' in told
    assert 'tellonce_outbound_sent_total{destination="ward"} 1.0' in told
    assert 'tellonce_outbound_held{destination="ward"} 0.0' in told
    assert "Gray" not in told + caplog.text
    assert "ada" not in told + caplog.text


async def test_a_long_queue_is_made_piece_by_piece(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "QUEUE_MOST", 20)
    to = Receiver()
    await to.start()
    port = to.port
    await to.stop()
    for n in range(120):
        await put(services, patient(f"p{n}"))
    own = Queue(services.store, "ward")
    async with sending(services, site(tmp_path, ward(port))) as service:
        router = service._workers[0]._router
        router._limit = router._most = 10
        await until(lambda: _lost(service))
        await asyncio.sleep(0.2)
        assert 20 <= (await own.counts())["waiting"] <= 40
        await to.start(port)
        await to.until(120)
    await to.stop()
    assert len(set(to.ids)) == 120


async def test_a_message_that_could_not_be_made_is_made_when_it_is_retried(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to:
        folder = site(tmp_path, ward(to.port, more="charset: ASCII"))
        async with sending(services, folder):
            await put(services, patient(name=[{"family": "Ødegård"}]))
            (message,) = await settled(services, ["parked"])
        assert message.problem == "PID: ASCII has no character U+00D8"
        (folder / "ward.yaml").write_text(ward(to.port))
        await queues.retry(Queue(services.store, "ward"), message, now=services.now())
        async with sending(services, folder):
            await settled(services, ["sent"])
    (body,) = to.got
    assert parse(body).get("PID-5") == "Ødegård"
    assert parse(body).control_id == message.control_id
