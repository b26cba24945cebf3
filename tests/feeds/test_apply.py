"""Plans against a record: what is found, merged, written at once, or refused."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from mappings.feed import Feed
from mappings.plan import ExplainRow, Identity, Plan, PlannedResource, Unmapped
from server.access.context import SYSTEM
from server.feeds.apply import apply
from server.feeds.header import read_header
from server.feeds.inbox import Entry, Inbox
from server.feeds.refused import RefusedMessage
from server.fhir import json as fhir_json
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.port import CommitConflict

FEED = Feed("adt")
MSG = b"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260102||ADT^A04^ADT_A01|%d|P|2.5\r"
SYS = "urn:tellonce:authority:adt:H"


def planned(
    label: str, type_: str, *any_of: Sequence[tuple[str, str]], **values: Any
) -> PlannedResource:
    return PlannedResource(
        label, type_, values, Identity(tuple(tuple(a) for a in any_of)), frozenset(values)
    )


def patient(*numbers: str, **values: Any) -> PlannedResource:
    return planned(
        "Patient",
        "Patient",
        *([("identifier", f"{SYS}|{n}")] for n in numbers),
        identifier=[{"system": SYS, "value": n} for n in numbers],
        **values,
    )


def encounter(number: str, **values: Any) -> PlannedResource:
    return planned(
        "Encounter",
        "Encounter",
        [("identifier", f"{SYS}|{number}"), ("patient", "plan:Patient")],
        identifier=[{"system": SYS, "value": number}],
        subject={"reference": "plan:Patient"},
        **{"status": "in-progress", "class": {"code": "AMB"}, **values},
    )


def plan(*resources: PlannedResource, **options: Any) -> Plan:
    return Plan("ADT^A04", resources, "lane", "v1", **options)


class Applying:
    """A feed whose every message is a plan."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
        self.sent = 0

    async def received(self) -> Entry:
        self.sent += 1
        body = MSG % self.sent
        return (await self.inbox.receive(FEED, body, read_header(body))).entry

    async def __call__(self, what: Plan, feed: Feed = FEED) -> Entry:
        entry = await self.received()
        return await apply(
            self.services, entry, what, feed, finish=lambda done: replace(done, ack=b"ok")
        )


@pytest.fixture
def applying(services: Services) -> Applying:
    return Applying(services)


async def test_a_plan_makes_its_resources_and_references(
    applying: Applying, resources: Any
) -> None:
    entry = await applying(plan(patient("1", gender="female"), encounter("v1")))
    (made,) = await resources("Patient")
    (visit,) = await resources("Encounter")
    assert made == {
        "resourceType": "Patient",
        "id": made["id"],
        "identifier": [{"system": SYS, "value": "1"}],
        "gender": "female",
    }
    assert visit["subject"] == {"reference": f"Patient/{made['id']}"}
    assert entry.state == "applied"
    assert entry.produced == (
        f"Patient/{made['id']}/_history/1",
        f"Encounter/{visit['id']}/_history/1",
    )


async def test_the_same_plan_again_writes_no_version(
    applying: Applying, services: Services
) -> None:
    what = plan(patient("1", gender="female"), encounter("v1"))
    await applying(what)
    before = await services.store.history(SYSTEM, limit=100)
    entry = await applying(what)
    assert await services.store.history(SYSTEM, limit=100) == before
    assert entry.produced == ()
    assert entry.state == "applied"


async def test_a_change_writes_only_what_changed(applying: Applying) -> None:
    await applying(plan(patient("1", gender="female"), encounter("v1")))
    entry = await applying(plan(patient("1", gender="male"), encounter("v1")))
    (version,) = entry.produced
    assert version.startswith("Patient/")
    assert version.endswith("/_history/2")


async def test_provenance_names_the_versions_the_message_the_feed_and_the_maps(
    applying: Applying, resources: Any
) -> None:
    entry = await applying(plan(patient("1")))
    (made,) = await resources("Provenance")
    assert made == {
        "resourceType": "Provenance",
        "id": made["id"],
        "target": [{"reference": entry.produced[0]}],
        "recorded": made["recorded"],
        "policy": ["urn:tellonce:maps:v1"],
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A04"}],
            "text": "ADT^A04",
        },
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem"
                            "/provenance-participant-type",
                            "code": "assembler",
                        }
                    ]
                },
                "who": {
                    "type": "Device",
                    "identifier": {"system": "urn:tellonce:feed", "value": "adt"},
                    "display": "HL7v2 feed adt",
                },
                "onBehalfOf": {"type": "Organization", "display": "REG HOSP"},
            }
        ],
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": {
                        "system": "urn:ietf:rfc:3986",
                        "value": f"urn:uuid:{entry.id}",
                    },
                    "display": "HL7v2 message ADT^A04",
                },
            }
        ],
    }


async def test_the_outbox_row_carries_the_feed_s_mode(
    applying: Applying, services: Services
) -> None:
    entry = await applying(plan(patient("1")))
    (row,) = await services.store.outbox()
    assert row.topic == "feed"
    assert orjson.loads(row.payload) == {
        "message": entry.id,
        "feed": "adt",
        "mode": "live",
        "written": list(entry.produced),
    }


async def test_explain_rows_are_kept(applying: Applying) -> None:
    what = plan(
        patient("1"),
        explain=(ExplainRow("Patient.gender", "PID-8", "table AdministrativeSex", "male"),),
        unmapped=(Unmapped("Religion", "XX", "PID-17"),),
        warnings=("something odd",),
    )
    entry = await applying(what)
    assert await applying.inbox.explain(entry.id) == {
        "explain": [["Patient.gender", "PID-8", "table AdministrativeSex", "male"]],
        "unmapped": [["Religion", "XX", "PID-17"]],
        "warnings": ["something odd"],
    }
    assert entry.unmapped == ("Religion XX",)
    assert entry.warnings == ("something odd",)


async def test_identifiers_of_two_patients_are_a_conflict(applying: Applying) -> None:
    await applying(plan(patient("1")))
    await applying(plan(patient("2")))
    with pytest.raises(RefusedMessage) as refused:
        await applying(plan(patient("1", "2")))
    assert refused.value.reason == "patient-conflict"


def result(**values: Any) -> PlannedResource:
    return planned(
        "Observation",
        "Observation",
        [("identifier", f"{SYS}|r1")],
        identifier=[{"system": SYS, "value": "r1"}],
        subject={"reference": "plan:Patient"},
        **{"status": "final", "code": {"text": "pulse"}, **values},
    )


async def test_what_an_app_wrote_about_somebody_else_is_not_the_matter_of_a_message(
    applying: Applying, services: Services, resources: Any
) -> None:
    """Else who guesses the number of a result gets the result of another patient."""
    planted = {"resourceType": "Observation", "id": "o", "status": "final",
               "code": {"text": "pulse"}, "subject": {"reference": "Patient/ann"},
               "identifier": [{"system": SYS, "value": "r1"}]}  # fmt: skip
    await services.store.commit([to_write(planted, base_url=services.base_url, method="PUT")])
    with pytest.raises(RefusedMessage) as refused:
        await applying(plan(patient("1"), result(valueInteger=61)))
    assert refused.value.reason == "identity-conflict"
    assert refused.value.problem == (
        "Observation has an identifier of Observation/o, which is of another patient and was "
        "written by no feed"
    )
    (there,) = await resources("Observation")
    assert (there["subject"], "valueInteger" in there) == ({"reference": "Patient/ann"}, False)


async def test_a_result_of_a_feed_follows_its_patient(applying: Applying, resources: Any) -> None:
    await applying(plan(patient("1"), result()))
    await applying(plan(patient("2"), result()))
    (there,) = await resources("Observation")
    (second,) = (p for p in await resources("Patient") if p["identifier"][0]["value"] == "2")
    assert there["subject"] == {"reference": f"Patient/{second['id']}"}


async def test_what_an_app_wrote_about_the_same_patient_is_gone_on_with(
    applying: Applying, services: Services, resources: Any
) -> None:
    await applying(plan(patient("1")))
    (made,) = await resources("Patient")
    own = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "pulse"},
           "subject": {"reference": f"Patient/{made['id']}"},
           "identifier": [{"system": SYS, "value": "r1"}]}  # fmt: skip
    await services.store.commit([to_write(own, base_url=services.base_url, method="PUT")])
    await applying(plan(patient("1"), result(valueInteger=61)))
    (there,) = await resources("Observation")
    assert (there["id"], there["valueInteger"]) == ("o", 61)


async def test_another_person_under_a_known_number_is_refused(applying: Applying) -> None:
    await applying(plan(patient("1", birthDate="1950-01-01", gender="male")))
    with pytest.raises(RefusedMessage) as refused:
        await applying(plan(patient("1", birthDate="1980-01-01", gender="female")))
    assert refused.value.reason == "patient-overlay"
    assert refused.value.problem.endswith("but birth date and sex disagree")


async def test_a_feed_may_make_a_new_patient_instead(applying: Applying, resources: Any) -> None:
    feed = replace(FEED, on_conflict="create")
    await applying(plan(patient("1", birthDate="1950-01-01", gender="male")), feed)
    other = plan(patient("1", birthDate="1980-01-01", gender="female"))
    await applying(other, feed)
    await applying(other, feed)
    assert len(await resources("Patient")) == 2


async def test_a_resource_that_would_be_invalid_refuses_the_whole_message(
    applying: Applying, resources: Any
) -> None:
    with pytest.raises(RefusedMessage) as refused:
        await applying(plan(patient("1", birthDate="yesterday"), encounter("v1")))
    assert refused.value.reason == "invalid-resource"
    assert "Patient.birthDate" in refused.value.issues[0]
    assert await resources("Encounter") == []


async def test_a_reference_to_what_the_plan_does_not_make_is_a_fault_of_the_map(
    applying: Applying,
) -> None:
    with pytest.raises(RefusedMessage) as refused:
        await applying(plan(patient("1", managingOrganization={"reference": "plan:Organization"})))
    assert refused.value.reason == "map-error"


async def test_one_practitioner_named_twice_is_one(applying: Applying, resources: Any) -> None:
    doctor = planned(
        "Practitioner[1]",
        "Practitioner",
        [("identifier", "urn:d|7")],
        identifier=[{"system": "urn:d", "value": "7"}],
    )
    again = replace(doctor, label="Practitioner[2]", values={**doctor.values, "active": True})
    await applying(plan(doctor, again))
    (made,) = await resources("Practitioner")
    assert made["identifier"] == [{"system": "urn:d", "value": "7"}]


@pytest.mark.parametrize("number", ["4 East, room 3, bed B", "a|b", "a\\b"])
async def test_a_number_with_the_marks_of_a_search_is_still_one_number(
    applying: Applying, resources: Any, number: str
) -> None:
    await applying(plan(patient(number)))
    await applying(plan(patient(number)))
    assert len(await resources("Patient")) == 1


async def test_two_messages_racing_for_a_new_patient_make_one(
    applying: Applying, resources: Any
) -> None:
    await asyncio.gather(*(applying(plan(patient("1", gender="male"))) for _ in range(8)))
    assert len(await resources("Patient")) == 1


async def test_an_older_message_is_told_in_a_warning(applying: Applying, resources: Any) -> None:
    await applying(plan(replace(patient("1", gender="male"), precedence=200)))
    entry = await applying(plan(replace(patient("1", gender="female"), precedence=100)))
    assert (await resources("Patient"))[0]["gender"] == "male"
    assert "Patient.gender kept: the message is older" in entry.warnings


async def test_a_wrong_year_does_not_freeze_the_record(applying: Applying, resources: Any) -> None:
    year = 365 * 24 * 3600 * 1_000_000
    ahead = applying.services.now() + year
    entry = await applying(plan(replace(patient("1", gender="male"), precedence=ahead)))
    assert entry.warnings == ("Patient: its time is more than 5 minutes ahead and was not used",)
    await applying(plan(replace(patient("1", gender="female"), precedence=100)))
    assert (await resources("Patient"))[0]["gender"] == "female"


async def test_an_edit_through_rest_survives_a_feed_that_repeats_itself(
    applying: Applying, services: Services, resources: Any
) -> None:
    what = plan(patient("1", telecom=[{"value": "old"}]))
    await applying(what)
    (made,) = await resources("Patient")
    corrected = {**made, "telecom": [{"value": "new"}]}
    await services.store.commit(
        [to_write(corrected, base_url=services.base_url, method="PUT", if_version=1)]
    )
    await applying(what)
    assert (await resources("Patient"))[0]["telecom"] == [{"value": "new"}]


async def test_a_message_that_somebody_else_finished_is_not_applied_twice(
    applying: Applying,
) -> None:
    entry = await applying.received()
    await apply(applying.services, entry, plan(patient("1")), FEED, finish=lambda done: done)
    with pytest.raises(Exception, match="changed under this message"):
        await apply(applying.services, entry, plan(patient("2")), FEED, finish=lambda done: done)


async def test_what_is_stored_is_what_was_planned_decimals_included(
    applying: Applying, services: Services
) -> None:
    result = planned(
        "Observation",
        "Observation",
        status="final",
        code={"text": "K"},
        valueQuantity={"value": Decimal("4.50"), "unit": "mmol/L"},
    )
    entry = await applying(plan(result))
    type_, id_, _, _ = entry.produced[0].split("/")
    version = await services.store.read(SYSTEM, type_, id_)
    assert version is not None
    assert b'"value":4.50' in (version.body or b"")
    assert fhir_json.loads(version.body or b"")["valueQuantity"]["unit"] == "mmol/L"


async def test_the_inbox_refuses_two_entries_of_one_message(applying: Applying) -> None:
    body = MSG % 1
    first = await applying.inbox.receive(FEED, body, read_header(body))
    again = await applying.inbox.receive(FEED, body, read_header(body))
    assert again.repeated
    assert again.entry == first.entry
    with pytest.raises(CommitConflict):
        await applying.services.store.commit([], records=[replace(first.entry, rev=0).write()])
