"""What audit is told of an HL7v2 message: one event for each patient, committed with its writes."""

from dataclasses import replace
from itertools import count

from server.audit.codes import DCM
from server.interactions.services import Services
from server.uuid7 import new_id
from tests.audit.house import AuditedHouse, interaction, patients
from tests.feeds.test_apply import Applying, encounter, patient, plan

V = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def ticking(house: AuditedHouse) -> Services:
    ticks = count(1_767_323_045_000_000, 1000)
    return replace(house.services, now=lambda: next(ticks), new_id=new_id)


async def test_a_message_is_an_event_of_its_patient_with_what_it_wrote(
    house: AuditedHouse,
) -> None:
    services = ticking(house)
    done = await Applying(services)(plan(patient("1"), encounter("7")))

    (event,) = await house.kept("AuditEvent")
    (written,) = await house.kept("Patient")
    assert (event["type"]["system"], event["type"]["code"]) == (DCM, "110107")
    assert interaction(event) == "transaction"
    assert patients(event) == [f"Patient/{written['id']}"]
    listed = [one["what"] for one in event["entity"] if one["role"]["code"] == "4"]
    assert listed[0] == {"identifier": {"value": f"urn:uuid:{done.id}"}}
    assert [one["reference"] for one in listed[1:]] == list(done.produced)
    assert event["agent"][0]["who"]["identifier"]["value"] == "REG HOSP"
    assert event["agent"][2]["who"]["identifier"]["value"] == "feed/adt"


async def test_what_changes_nothing_makes_no_event(house: AuditedHouse) -> None:
    services = ticking(house)
    send = Applying(services)
    await send(plan(patient("1")))
    await send(plan(patient("1")))

    assert len(await house.kept("AuditEvent")) == 1


async def test_the_provenance_of_a_message_is_seen_by_its_patient(house: AuditedHouse) -> None:
    services = ticking(house)
    label = {"security": [{"system": V, "code": "R"}]}
    await Applying(services)(plan(patient("1"), encounter("7", meta=label)))

    (provenance,) = await house.kept("Provenance")
    (event,) = await house.kept("AuditEvent")
    (person,) = await house.kept("Patient")
    assert provenance["meta"]["security"] == event["meta"]["security"] == label["security"]
    found = await house.seen_by_patient(person["id"], "Provenance")
    assert found == [provenance["id"]]
