"""What a destination is told of a change of the record, whoever made it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mappings.emit_functions import FUNCTIONS
from mappings.emit_run import Scope
from mappings.encode import Field
from mappings.parse import parse
from server.interactions.services import Services
from tests.feeds.outbound import Routed, delete, feeding, patient, put, visit, ward

SNOMED = "http://snomed.info/sct"
ALL = "[ADT, ADT-person, ADT-merge, ORU, SIU, ORM, MDM]"


async def routed_as(services: Services, folder: Path, more: str) -> Routed:
    return Routed(services, folder, ward(messages=ALL, more=more))


async def routed(services: Services, folder: Path, **changes: Any) -> Routed:
    return Routed(services, folder, ward(messages=ALL), **changes)


async def test_a_course_of_a_visit_is_told_event_by_event(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    place = {"location": {"display": "Ward 2"}, "status": "active"}
    moved = [{**visit()["location"][0], "status": "completed"}, place]
    course = [
        (visit(status="planned"), "ADT^A05"),
        (visit(), "ADT^A01"),
        (visit(location=moved), "ADT^A02"),
        (visit(), "ADT^A12"),
        (visit(priority={"text": "urgent"}), "ADT^A08"),
        (visit(status="onleave"), "ADT^A21"),
        (visit(), "ADT^A22"),
        (visit(status="finished"), "ADT^A03"),
        (visit(), "ADT^A13"),
        (visit(status="cancelled"), "ADT^A11"),
    ]
    await put(services, patient())
    assert await to.types() == ["ADT^A28"]
    for resource, event in course:
        await put(services, resource)
        assert await to.types() == [event]


async def test_an_outpatient_is_registered_and_a_plan_cancelled(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    ambulatory = {"code": "AMB"}
    await put(services, patient(), visit(status="arrived", **{"class": ambulatory}))
    assert await to.types() == ["ADT^A04"]
    await put(services, visit(id="v2", status="planned"))
    await put(services, visit(id="v2", status="cancelled"))
    assert await to.types() == ["ADT^A05", "ADT^A38"]


async def test_a_patient_in_the_commit_of_a_visit_is_told_once(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient(), visit())
    (message,) = await to.parsed()
    assert message.type == "ADT^A01"
    assert message.get("PID-5") == "Gray"
    assert message.get("PV1-3.9") == "Ward 1"


async def test_a_change_that_no_field_shows_is_not_sent(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient())
    await put(services, patient(meta={"tag": [{"code": "seen"}]}))
    assert await to.types() == ["ADT^A28"]
    await put(services, patient(birthDate="1985-02-01"))
    assert await to.types() == ["ADT^A31"]


async def test_what_is_gone_is_deleted_at_the_receiver(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    phone = [{"system": "phone", "value": "555", "use": "work"}]
    await put(services, patient(telecom=phone))
    await put(services, patient())
    created, updated = await to.parsed()
    assert created.get("PID-14") == "555"
    assert updated.get("PID-14") == '""'


async def test_a_merge_names_the_survivor_and_who_is_gone(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    other = [{"system": "urn:oid:1.2.3", "value": "88"}]
    await put(services, patient(), patient("bea", identifier=other))
    await to.new()
    link = [{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}]
    await put(services, patient("bea", identifier=other, active=False, link=link))
    (message,) = await to.parsed()
    assert message.type == "ADT^A40"
    assert message.get("PID-3") == "77"
    assert message.get("MRG-1") == "88"


async def test_who_is_taken_apart_again_is_told_as_a_person_of_their_own(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    link = [{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}]
    await put(services, patient(), patient("bea"))
    await put(services, patient("bea", active=False, link=link))
    await put(services, patient("bea", active=True))
    assert await to.types() == ["ADT^A28", "ADT^A28", "ADT^A40", "ADT^A28"]


async def test_a_deleted_visit_is_cancelled(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient(), visit())
    await delete(services, "Encounter", "v1")
    assert await to.types() == ["ADT^A01", "ADT^A11"]


def result(value: float, status: str = "final") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "k",
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": "Patient/ada"},
        "valueQuantity": {"value": value, "unit": "mmol/L"},
    }


REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "r",
    "status": "final",
    "code": {"text": "Electrolytes"},
    "subject": {"reference": "Patient/ada"},
    "result": [{"reference": "Observation/k"}],
}


async def test_a_result_that_changes_alone_is_told_by_its_report(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient(), result(4), REPORT)
    await put(services, result(5, "corrected"))
    first, second = [m for m in await to.parsed() if m.type == "ORU^R01"]
    assert [first.get("OBX-5"), first.get("OBX-11")] == ["4", "F"]
    assert [second.get("OBX-5"), second.get("OBX-11")] == ["5", "C"]
    assert second.get("OBR-25") == "F"


async def test_a_deleted_report_takes_its_results_back(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient(), result(4.0), REPORT)
    await to.new()
    await delete(services, "DiagnosticReport", "r")
    (message,) = await to.parsed()
    assert (message.type, message.get("OBR-25"), message.get("OBX-11")) == ("ORU^R01", "X", "D")


async def test_a_report_that_was_an_error_is_taken_back(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    await put(services, patient(), result(4.0), REPORT)
    await to.new()
    await put(services, {**REPORT, "status": "entered-in-error"})
    (message,) = await to.parsed()
    assert (message.type, message.get("OBR-25")) == ("ORU^R01", "X")
    await delete(services, "DiagnosticReport", "r")
    assert await to.new() == []


async def test_a_vital_sign_goes_only_to_who_asks_for_it(
    services: Services, tmp_path: Path
) -> None:
    plain = await routed(services, tmp_path)
    await put(services, patient(), result(4))
    assert await plain.types() == ["ADT^A28"]
    text = ward(messages="[ORU-observation]").replace("ward", "vitals")
    asking = Routed(services, tmp_path, text)
    assert await asking.types() == ["ORU^R01"]


async def test_an_order_is_placed_changed_and_cancelled(services: Services, tmp_path: Path) -> None:
    to = await routed(services, tmp_path)
    order = {
        "resourceType": "ServiceRequest",
        "id": "o",
        "status": "active",
        "intent": "order",
        "code": {"text": "Chest X-ray"},
        "subject": {"reference": "Patient/ada"},
    }
    await put(services, patient())
    await put(services, {**order, "status": "draft"})
    await put(services, order)
    await put(services, {**order, "priority": "stat"})
    await put(services, {**order, "status": "on-hold", "priority": "stat"})
    await put(services, {**order, "status": "revoked", "priority": "stat"})
    orders = [m for m in await to.parsed() if m.type == "ORM^O01"]
    assert [m.get("ORC-1") for m in orders] == ["NW", "XO", "HD", "CA"]
    assert [m.get("ORC-2") for m in orders] == ["o", "o", "o", "o"]


async def test_an_appointment_is_booked_moved_changed_and_missed(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    slot = {
        "resourceType": "Appointment",
        "id": "a",
        "status": "booked",
        "start": "2026-03-01T10:00:00Z",
        "end": "2026-03-01T10:30:00Z",
        "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"}],
    }
    moved = {**slot, "start": "2026-03-01T11:00:00Z", "end": "2026-03-01T11:30:00Z"}
    await put(services, patient())
    for one in (slot, moved, {**moved, "comment": "fasting"}, {**moved, "status": "noshow"}):
        await put(services, one)
    found = [m for m in await to.parsed() if m.type.startswith("SIU")]
    assert [m.event for m in found] == ["S12", "S13", "S14", "S26"]
    assert found[1].get("SCH-11.4") == "20260301110000+0000"
    assert found[3].get("SCH-25") == "Noshow"


async def test_a_document_goes_out_with_its_data_and_is_taken_back(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    letter = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "subject": {"reference": "Patient/ada"},
        "content": [{"attachment": {"contentType": "application/pdf", "data": "JVBERg=="}}],
    }
    await put(services, patient())
    await put(services, letter)
    await put(services, {**letter, "status": "entered-in-error"})
    sent, gone = [m for m in await to.parsed() if m.type.startswith("MDM")]
    assert [sent.type, sent.get("OBX-2"), sent.get("OBX-5.5")] == ["MDM^T02", "ED", "JVBERg=="]
    assert gone.type == "MDM^T11"


async def test_a_document_without_its_content_is_told_as_a_notice(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    notice = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "docStatus": "preliminary",
        "subject": {"reference": "Patient/ada"},
        "content": [{"attachment": {"contentType": "text/plain", "title": "letter"}}],
    }
    text = [{"attachment": {"contentType": "text/plain", "data": "aGVsbG8="}}]
    amended = {"relatesTo": [{"code": "appends", "target": {"identifier": {"value": "D1"}}}]}
    await put(services, patient())
    assert await to.types() == ["ADT^A28"]
    for change, event in (
        (notice, "T01"),
        ({**notice, "docStatus": "final"}, "T03"),
        ({**notice, "docStatus": "final", "description": "a letter"}, "T07"),
        ({**notice, "docStatus": "final", "description": "a letter", "content": text}, "T08"),
        ({**notice, "content": text}, "T04"),
        ({**notice, "status": "entered-in-error"}, "T11"),
        ({**notice, "id": "e", **amended}, "T05"),
        ({**notice, "id": "f", **amended, "content": text}, "T06"),
    ):
        await put(services, change)
        assert await to.types() == [f"MDM^{event}"]


A08 = """MSH|^~\\&|REG|HOSP|T|M|{at}||ADT^A08|{id}|P|2.5
EVN||{at}
PID|1||77^^^HOSP^MR||{name}||19700503|F
PV1|1|N
"""


async def test_nothing_goes_back_to_the_feed_it_came_from(
    services: Services, tmp_path: Path
) -> None:
    to = Routed(services, tmp_path, ward(more="not_from: [reg-in]"))
    async with feeding(services) as receive:
        await receive(A08.format(at="20260102030000", id="1", name="Doe^Jane"), "reg-in")
        await receive(A08.format(at="20260102030100", id="2", name="Dow^Jane"), "other")
    assert await to.types() == ["ADT^A31"]


async def test_without_more_words_a_destination_is_the_feed_of_its_name(
    services: Services, tmp_path: Path
) -> None:
    to = Routed(services, tmp_path, ward())
    async with feeding(services) as receive:
        await receive(A08.format(at="20260102030000", id="1", name="Doe^Jane"), "ward")
    assert await to.types() == []


async def test_a_feed_that_is_not_live_makes_nothing_go_out(
    services: Services, tmp_path: Path
) -> None:
    to = Routed(services, tmp_path, ward())
    async with feeding(services, mode="backload") as receive:
        await receive(A08.format(at="20260102030000", id="1", name="Doe^Jane"))
    assert await to.types() == []


async def test_two_systems_that_correct_each_other_come_to_an_end(
    services: Services, tmp_path: Path
) -> None:
    to = Routed(services, tmp_path, ward())
    async with feeding(services) as receive:
        for n in range(14):
            text = A08.format(at=f"202601020300{n:02d}", id=n, name=f"{'Doe' * (n + 1)}^Jane")
            await receive(text, "left" if n % 2 else "right")
    found = await to.new()
    assert [m.state for m in found] == ["waiting"] * 10 + ["parked"] * 4
    assert found[-1].reason == "loop"


async def test_a_new_destination_is_told_of_what_changes_from_then_on(
    services: Services, tmp_path: Path
) -> None:
    await put(services, patient())
    to = Routed(services, tmp_path, ward().replace("beginning", "now"))
    assert await to.types() == []
    await put(services, patient(gender="male"))
    assert await to.types() == ["ADT^A31"]


async def test_a_destination_gets_the_events_and_the_classes_it_asks_for(
    services: Services, tmp_path: Path
) -> None:
    text = ward(messages="{ADT: {events: [A01, A03], when: class = IMP}}")
    to = Routed(services, tmp_path, text)
    await put(services, patient(), visit())
    await put(services, visit(priority={"text": "urgent"}))
    await put(services, visit(status="finished"))
    await put(services, visit(id="v2", **{"class": {"code": "EMER"}}))
    assert await to.types() == ["ADT^A01", "ADT^A03"]


async def test_a_message_without_a_patient_is_parked_with_the_reason(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    alone = visit()
    del alone["subject"]
    await put(services, alone)
    (message,) = await to.new()
    assert (message.state, message.reason) == ("parked", "incomplete")


async def test_a_patient_that_comes_later_is_in_the_message_that_is_retried(
    services: Services, tmp_path: Path
) -> None:
    routed = Routed(services, tmp_path, ward(messages="[ADT]"))
    await put(services, visit())
    (parked,) = await routed.new()
    assert (parked.state, parked.reason) == ("parked", "incomplete")
    assert await routed.queue.body(parked.id) == b""
    assert await routed.router.remade(parked) == b""
    await put(services, patient())
    again = parse(await routed.router.remade(parked))
    assert (again.control_id, again.get("PID-5.1")) == (parked.control_id, "Gray")


async def test_a_rule_that_fails_parks_its_own_message_and_stops_no_other(
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(scope: Scope, _values: Sequence[Any]) -> Field:
        return [[scope.here["gender"]]]

    monkeypatch.setitem(FUNCTIONS, "broken", broken)
    overlay = "emit: ADT-person\nfor: ward\nset:\n  PID-8: {fn: broken}\n"
    routed = Routed(services, tmp_path, ward(messages="[ADT-person]"), overlay=overlay)
    await put(services, {k: v for k, v in patient().items() if k != "gender"})
    await put(services, patient("bea"))
    parked, waiting = await routed.new()
    assert (parked.state, parked.reason, parked.type) == ("parked", "unmade", "ADT")
    assert parked.problem == "ADT-person failed: KeyError"
    assert (waiting.state, waiting.type) == ("waiting", "ADT^A28")
    assert await routed.router.remade(parked) == b""
    assert "destination ward: ADT-person of Patient/ada/_history/1 failed: KeyError" in caplog.text


async def test_a_sender_and_a_receiver_may_have_all_parts_of_an_hd(
    services: Services, tmp_path: Path
) -> None:
    names = "sender: TELLONCE^1.2.3^ISO|STMARY\nreceiver: WARD|STMARY^1.2.4^ISO"
    to = await routed_as(services, tmp_path, names)
    await put(services, patient())
    (message,) = await to.new()
    assert (await to.queue.body(message.id)).startswith(
        b"MSH|^~\\&|TELLONCE^1.2.3^ISO|STMARY|WARD|STMARY^1.2.4^ISO|"
    )


async def test_ids_are_in_commit_order_and_control_ids_never_the_same(
    services: Services, tmp_path: Path
) -> None:
    to = await routed(services, tmp_path)
    for n in range(20):
        await put(services, patient(f"p{n}"))
    found = await to.new()
    assert [m.about for m in found] == [f"Patient/p{n}/_history/1" for n in range(20)]
    assert len({m.control_id for m in found}) == 20
    assert {len(m.control_id) for m in found} == {20}
