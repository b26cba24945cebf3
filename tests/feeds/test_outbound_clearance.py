"""What bears a security label goes only to destinations that are cleared for it, and says so."""

from pathlib import Path
from typing import Any

import pytest

from server.feeds.outbound.preview import preview
from server.feeds.outbound.queue import retry
from server.interactions.services import Services
from tests.feeds.conftest import NOW
from tests.feeds.outbound import Routed, delete, feeding, patient, put, visit, ward

LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ALL = "[ADT, ADT-person, ADT-merge, ORU, ORU-observation, SIU, ORM, MDM]"


def marked(*codes: str) -> dict[str, Any]:
    """Meta with labels: levels, and sensitivities."""
    levels = ("U", "L", "M", "N", "R", "V")
    return {
        "meta": {"security": [{"system": LEVEL if c in levels else ACT, "code": c} for c in codes]}
    }


def to(services: Services, folder: Path, more: str = "") -> Routed:
    return Routed(services, folder, ward(messages=ALL, more=more))


async def withheld(routed: Routed) -> list[tuple[str, str, str, str]]:
    found = await routed.queue.of_state("withheld")
    return [(m.type, m.about, m.reason, m.problem) for m in found]


@pytest.mark.parametrize("code", ["R", "V", "HIV", "PSY"])
async def test_a_confidential_visit_is_withheld_and_listed(
    services: Services, tmp_path: Path, code: str
) -> None:
    ward = to(services, tmp_path)
    await put(services, patient())
    await put(services, visit(**marked(code)))

    assert await ward.types() == ["ADT^A28"]
    why = f"{code} is above what it may be told"
    assert await withheld(ward) == [("ADT^A01", "Encounter/v1/_history/1", "clearance", why)]
    (message,) = await ward.queue.of_state("withheld")
    assert await ward.queue.body(message.id) == b""
    assert (message.notes, message.size_bytes, ward.router.withheld) == ((), 0, 1)


@pytest.mark.parametrize(
    ("more", "codes", "sent"),
    [
        ("", ("N",), 1),
        ("clearance: R", ("R",), 1),
        ("clearance: R", ("V",), 0),
        ("clearance: V", ("V",), 1),
        ("clearance: V", ("HIV",), 0),
        ("sensitivities: [HIV, PSY]", ("HIV",), 1),
        ("sensitivities: [HIV]", ("HIV", "R"), 0),
        ("sensitivities: [HIV]\nclearance: R", ("HIV", "R"), 1),
        ("sensitivities: [HIV]\nclearance: R", ("HIV", "ETHUD"), 0),
        ("clearance: M", ("N",), 0),
        ("clearance: M", (), 1),
    ],
)
async def test_a_destination_gets_what_it_is_cleared_for(
    services: Services, tmp_path: Path, more: str, codes: tuple[str, ...], sent: int
) -> None:
    ward = to(services, tmp_path, more)
    await put(services, patient(), visit(**marked(*codes)))

    types = await ward.types()
    assert types.count("ADT^A01") == sent
    assert types == (["ADT^A01"] if sent else ["ADT^A28"])  # the person is told, the visit is not


@pytest.mark.parametrize(
    "label",
    [{"system": LEVEL, "code": "TOP"}, {"code": "R"}, {"system": ACT}, {"display": "secret"}],
    ids=["a level nobody knows", "no system", "no code", "neither"],
)
async def test_a_label_that_cannot_be_read_closes(
    services: Services, tmp_path: Path, label: dict[str, str]
) -> None:
    ward = to(services, tmp_path, "clearance: R")
    await put(services, patient(meta={"security": [label]}))

    assert await ward.types() == []


async def test_labels_of_other_systems_mean_nothing_here(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    await put(services, patient(meta={"security": [{"system": "urn:x", "code": "R"}]}))

    assert await ward.types() == ["ADT^A28"]


async def test_nothing_is_told_of_a_very_restricted_patient(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path, "clearance: R")
    await put(services, patient(**marked("V")))
    await put(services, visit())
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "Blood count"},
        "subject": {"reference": "Patient/ada"},
    }
    await put(services, report)

    assert await ward.types() == []
    assert [one[0] for one in await withheld(ward)] == ["ADT^A28", "ADT^A01", "ORU^R01"]


async def test_a_deletion_of_what_was_confidential_is_not_told(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    await put(services, patient())
    await put(services, visit(**marked("R")))
    await delete(services, "Encounter", "v1")

    assert await ward.types() == ["ADT^A28"]
    assert [one[0] for one in await withheld(ward)] == ["ADT^A01", "ADT^A11"]


async def test_what_goes_with_a_message_is_left_out_and_noted(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "patient": {"reference": "Patient/ada"},
        "code": {"text": "Abacavir"},
        **marked("HIV"),
    }
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/ada"},
        "code": {"text": "HIV disease"},
        **marked("HIV", "R"),
    }
    diagnosis = [{"condition": {"reference": "Condition/c1"}}]
    await put(services, patient(), allergy, condition, visit(diagnosis=diagnosis))

    (message,) = [m for m in await ward.new() if m.type == "ADT^A01"]
    body = (await ward.queue.body(message.id)).decode()
    assert [line[:3] for line in body.rstrip("\r").split("\r")] == ["MSH", "EVN", "PID", "PV1"]
    assert {note for note in message.notes if note.startswith("WITHHELD")} == {
        "WITHHELD AllergyIntolerance HIV",
        "WITHHELD Condition HIV",
        "WITHHELD Condition R",
    }


async def test_a_confidential_result_is_left_out_of_its_report(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    plain, secret = (
        {
            "resourceType": "Observation",
            "id": id_,
            "status": "final",
            "code": {"text": text},
            "subject": {"reference": "Patient/ada"},
            "valueString": "positive",
            **meta,
        }
        for id_, text, meta in (("o1", "Rubella", {}), ("o2", "Viral load", marked("HIV")))
    )
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "Serology"},
        "subject": {"reference": "Patient/ada"},
        "result": [{"reference": "Observation/o1"}, {"reference": "Observation/o2"}],
    }
    await put(services, patient(), plain, secret, report)

    made = [m for m in await ward.new() if m.type == "ORU^R01"]
    text = (await ward.queue.body(made[0].id)).decode()
    assert len(made) == 1
    assert text.count("OBX|") == 1
    assert "Rubella" in text
    assert "Viral load" not in text
    assert made[0].notes[-1] == "WITHHELD Observation HIV"


async def test_what_was_confidential_before_is_told_as_new(
    services: Services, tmp_path: Path
) -> None:
    """The destination never heard of it: an A08 of an unknown visit would be refused there."""
    ward = to(services, tmp_path)
    await put(services, patient(**marked("R")))
    await put(services, patient())

    assert await ward.types() == ["ADT^A28"]


async def test_what_is_confidential_now_is_told_no_more(services: Services, tmp_path: Path) -> None:
    ward = to(services, tmp_path)
    await put(services, patient())
    await put(services, visit())
    await put(services, visit(status="finished", **marked("R")))

    assert await ward.types() == ["ADT^A28", "ADT^A01"]
    assert [one[0] for one in await withheld(ward)] == ["ADT^A03"]


async def test_a_merge_names_nobody_who_is_above(services: Services, tmp_path: Path) -> None:
    ward = to(services, tmp_path)
    gone = patient(
        "bea", active=False, link=[{"other": {"reference": "Patient/ada"}, "type": "replaced-by"}]
    )
    await put(services, patient(**marked("R")), patient("bea"))
    await put(services, gone)

    assert "ADT^A40" not in await ward.types()


async def test_a_release_hold_is_about_patients_and_holds_nothing_back_here(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    hold = {
        "url": "https://tellonce.org/fhir/StructureDefinition/release",
        "extension": [{"url": "hold", "valueCode": "sensitive"}],
    }
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "Biopsy"},
        "subject": {"reference": "Patient/ada"},
        "extension": [hold],
    }
    await put(services, patient(), report)

    assert "ORU^R01" in await ward.types()


async def test_withheld_messages_go_when_the_destination_was_cleared(
    services: Services, tmp_path: Path
) -> None:
    before = to(services, tmp_path)
    await put(services, patient(**marked("R")))
    assert await before.types() == []
    (message,) = await before.queue.of_state("withheld")
    await retry(before.queue, message, now=NOW)

    assert await before.router.remade(message) == b""
    after = to(services, tmp_path, "clearance: R")
    assert b"|Gray^Ada|" in await after.router.remade(message)


async def test_a_preview_shows_the_type_and_the_reason_alone(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path)
    await put(services, patient(**marked("V")))

    assert await preview(services, ward.outlet, "Patient/ada") == [
        ("ADT^A28", ("it would be withheld: V",))
    ]


MARKS = [
    (("R",), "R^restricted^HL70177"),
    (("V",), "V^very restricted^HL70177"),
    (("HIV",), "HIV^HIV/AIDS information sensitivity^HL70177"),
    (
        ("PSY", "HIV", "R"),
        (
            "R^restricted^HL70177~HIV^HIV/AIDS information sensitivity^HL70177"
            "~PSY^psychiatry disorder information sensitivity^HL70177"
        ),
    ),
    (("N",), ""),
]


@pytest.mark.parametrize(("codes", "said"), MARKS)
async def test_an_order_carries_its_labels(
    services: Services, tmp_path: Path, codes: tuple[str, ...], said: str
) -> None:
    ward = to(services, tmp_path, "clearance: V\nsensitivities: [HIV, PSY]")
    order = {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": "active",
        "intent": "order",
        "code": {"text": "Viral load"},
        "subject": {"reference": "Patient/ada"},
        **marked(*codes),
    }
    await put(services, patient())
    await put(services, order)

    (_, message) = await ward.new()
    lines = (await ward.queue.body(message.id)).decode().split("\r")
    (orc,) = [line.split("|") for line in lines if line.startswith("ORC")]
    assert (orc[28] if len(orc) > 28 else "") == said


async def test_a_patient_and_a_visit_carry_the_protection_indicators(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path, "clearance: V\nsensitivities: [CEL]")
    await put(services, patient(**marked("CEL")), visit(**marked("R")))

    (message,) = await ward.parsed()
    assert (message.get("PD1-12"), message.get("PV2-22")) == ("Y", "Y")


async def test_a_document_carries_the_strictest_of_its_labels(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path, "clearance: R\nsensitivities: [PSY]")
    document = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/ada"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGVsbG8="}}],
        **marked("PSY", "R"),
    }
    await put(services, patient())
    await put(services, document)

    (_, message) = await ward.new()
    lines = (await ward.queue.body(message.id)).decode().split("\r")
    (txa,) = [line.split("|") for line in lines if line.startswith("TXA")]
    assert txa[18] == "R"
    assert "several security labels, and room for one: the strictest is sent" in message.notes


ORDER = """MSH|^~\\&|EHR|HOSP|T|M|20260102040000||ORM^O01^ORM_O01|1|P|2.5.1
PID|1||77^^^HOSP^MR||Gray^Ada||19850131|F
PD1||||||||||||Y
PV1|1|I|||||||||||||||||V1^^^HOSP^VN
PV2||||||||||||||||||||||Y
ORC|NW|P1^EHR|F1^LAB|||||||||||||||||||||||||HIV^HIV^HL70177
OBR|1|P1^EHR|F1^LAB|24331-1^Lipid panel^LN
"""


async def test_labels_that_came_by_hl7v2_go_out_as_they_came(
    services: Services, tmp_path: Path
) -> None:
    ward = to(services, tmp_path, "clearance: R\nsensitivities: [HIV]\nnot_from: [nobody]")
    async with feeding(services) as receive:
        await receive(ORDER)

    order = next(m for m in await ward.parsed() if m.type == "ORM^O01")
    assert (order.get("PD1-12"), order.get("PV2-22"), order.get("ORC-28.1")) == ("Y", "Y", "HIV")
