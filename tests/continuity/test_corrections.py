"""Corrections find their readers (C11)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import SYSTEM, AccessContext, Permit
from server.continuity.citations import Cited, remember
from server.continuity.corrections.watch import Corrections
from server.continuity.showing import unpack
from server.interactions.services import Policy
from server.rest import Limits
from server.store.port import RecordWrite
from tests.continuity.extracting import KNOWN, put
from tests.rest.house import STORES, Clock, House

DOCTOR = AccessContext("user/doc", "app", (Permit("*"),), person="Practitioner/doc")
PATIENT = AccessContext(
    "user/a", "app", (Permit("*", compartment="Patient/a"),), person="Patient/a"
)
NOBODY = AccessContext("user/doc", "app", ())


class World:
    """A server with its watcher, and readers whose rights the test changes."""

    def __init__(self, house: House, client: httpx.AsyncClient) -> None:
        self.house, self.client = house, client
        self.rights: dict[str, AccessContext | None] = {"user/doc": DOCTOR, "user/a": PATIENT}
        self.watcher = self.another()

    def another(self, **more: Any) -> Corrections:
        return Corrections(self.house.services, self.reader, owner="one", **more)

    async def reader(self, principal: str) -> AccessContext | None:
        return self.rights.get(principal)

    async def look(self) -> None:
        while await self.watcher.step():
            pass

    async def shown(
        self, *sources: str, access: AccessContext = DOCTOR, patient: str = "Patient/a", **more: Any
    ) -> None:
        at = self.house.clock()
        one = Cited(
            "story", patient, frozenset(sources), at, access.principal, access.person, **more
        )
        await remember(self.house.services, access, one)

    async def told(self) -> list[tuple[str, str, list[str]]]:
        """Return recipient, sentence and what it is about, of each Communication."""
        found = (await self.client.get("/Communication?_sort=_lastUpdated")).json()
        return [
            (
                one["resource"]["recipient"][0]["reference"],
                one["resource"]["payload"][0]["contentString"],
                [about["reference"] for about in one["resource"]["about"]],
            )
            for one in found.get("entry", ())
        ]

    async def tasks(self) -> list[dict[str, Any]]:
        found = (await self.client.get("/Task")).json()
        return [one["resource"] for one in found.get("entry", ())]


@pytest.fixture(params=STORES)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = Clock()
    policy = Policy(delete="allow")
    house = House(STORES[request.param](tmp_path, clock), clock, policy, Limits())
    async with house.client() as client:
        made = World(house, client)
        await put(client, {"resourceType": "Patient", "id": "a", "name": [{"family": "Doe"}]})
        await put(client, weight(70))
        await made.look()
        yield made
    await house.app.stop(grace_s=5)
    await house.store.close()


def weight(value: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "w",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": "Patient/a"},
        "valueQuantity": {"value": value},
        **more,
    }


WAS = "What you were shown in a story on 2026-01-02"
AGAIN = "Please look at it again."


async def test_a_changed_value_is_told_once(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))

    await world.look()
    await world.look()

    assert await world.told() == [
        ("Practitioner/doc", f"{WAS} was changed. {AGAIN}", ["Observation/w/_history/2"])
    ]


async def test_the_message_names_no_content_and_says_what_it_is(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    await world.look()

    (entry,) = (await world.client.get("/Communication")).json()["entry"]
    found = {k: v for k, v in entry["resource"].items() if k not in ("id", "meta")}

    assert found == {
        "resourceType": "Communication",
        "status": "completed",
        "category": [
            {
                "coding": [
                    {
                        "system": "https://tellonce.org/fhir/CodeSystem/communication-category",
                        "code": "correction",
                    }
                ],
                "text": "Correction",
            }
        ],
        "subject": {"reference": "Patient/a"},
        "about": [{"reference": "Observation/w/_history/2"}],
        "sent": "2026-01-02T03:04:05.678Z",
        "recipient": [{"reference": "Practitioner/doc"}],
        "payload": [{"contentString": f"{WAS} was changed. {AGAIN}"}],
    }


@pytest.mark.parametrize(
    "changed",
    [
        weight(70, meta={"tag": [{"code": "x"}]}),
        weight(
            70,
            text={
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
            },
        ),
        weight(70, note=[{"text": "added, and nothing taken back"}]),
        weight(70.0, issued="2026-01-02T00:00:00Z"),
    ],
)
async def test_what_takes_nothing_back_is_no_correction(
    world: World, changed: dict[str, Any]
) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, changed)

    await world.look()

    assert await world.told() == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("entered-in-error", "was entered in error"),
        ("corrected", "was corrected"),
        ("amended", "was corrected"),
        ("cancelled", "was cancelled"),
    ],
)
async def test_a_status_that_corrects_is_told(world: World, status: str, told: str) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(70, status=status))

    await world.look()

    assert [one[1] for one in await world.told()] == [f"{WAS} {told}. {AGAIN}"]


async def test_a_deletion_is_told(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await world.client.delete("/Observation/w")

    await world.look()

    assert await world.told() == [
        (
            "Practitioner/doc",
            f"{WAS} was removed from the record. {AGAIN}",
            ["Observation/w/_history/1"],
        )
    ]


async def test_what_moves_to_another_record_is_told_without_saying_which(world: World) -> None:
    await put(world.client, {"resourceType": "Patient", "id": "b"})
    await world.shown("Observation/w/_history/1", access=PATIENT)
    await put(world.client, weight(70, subject={"reference": "Patient/b"}))

    await world.look()

    assert await world.told() == [
        (
            "Patient/a",
            f"{WAS} does not belong to this patient's record. {AGAIN}",
            ["Observation/w/_history/1"],
        )
    ]
    assert "Patient/b" not in (await world.client.get("/Communication")).text


async def test_a_merge_is_told_to_all_who_were_shown_the_record_in_one_message_each(
    world: World,
) -> None:
    await put(world.client, {"resourceType": "Patient", "id": "b"})
    await world.shown("Observation/w/_history/1")
    await world.shown("Observation/w/_history/1", access=PATIENT)
    link = [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    merged = {"resourceType": "Patient", "id": "a", "link": link, "name": [{"family": "Doe"}]}
    moved = weight(70, subject={"reference": "Patient/b"})
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in (merged, moved)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await world.client.post("/", json=bundle)).status_code == 200

    await world.look()

    assert sorted((who, about) for who, _, about in await world.told()) == [
        ("Patient/a", ["Patient/a/_history/2", "Observation/w/_history/1"]),
        ("Practitioner/doc", ["Patient/a/_history/2", "Observation/w/_history/1"]),
    ]


async def test_taking_the_link_away_again_is_told_as_well(world: World) -> None:
    link = [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    await put(world.client, {"resourceType": "Patient", "id": "a", "link": link})
    await world.look()
    await world.shown("Observation/w/_history/1")
    await put(world.client, {"resourceType": "Patient", "id": "a"})

    await world.look()

    assert [one[2] for one in await world.told()] == [["Patient/a/_history/3"]]


async def test_only_the_element_that_was_shown_counts(world: World) -> None:
    telecom = [{"system": "phone", "value": "1"}, {"system": "email", "value": "e"}]
    person = {"resourceType": "Patient", "id": "a", "telecom": telecom}
    await put(world.client, person)
    await world.look()
    await world.shown("Patient/a/_history/2#Patient.telecom[0]")

    await put(world.client, {**person, "telecom": [*telecom[::-1]], "gender": "female"})
    await put(world.client, {**person, "telecom": [telecom[0]]})
    await world.look()
    before = await world.told()
    await put(world.client, {**person, "telecom": [{"system": "phone", "value": "2"}]})
    await world.look()

    assert before == []
    assert [one[2] for one in await world.told()] == [["Patient/a/_history/5"]]


async def test_who_lost_access_is_not_told(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await world.shown("Observation/w/_history/1", access=PATIENT)
    world.rights["user/doc"] = NOBODY
    world.rights["user/a"] = None
    await put(world.client, weight(7))

    await world.look()

    assert await world.told() == []


async def test_who_may_not_see_the_correction_is_not_told(world: World) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    hidden = f"{label['system']}|{label['code']}"
    world.rights["user/doc"] = AccessContext(
        "user/doc", "app", (Permit("*", hidden=(hidden,)),), person="Practitioner/doc"
    )
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7, meta={"security": [label]}))

    await world.look()

    assert await world.told() == []


async def test_what_is_told_bears_the_labels_and_the_release_of_what_it_tells_of(
    world: World,
) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    held = {
        "url": "https://tellonce.org/fhir/StructureDefinition/release",
        "extension": [
            {"url": "hold", "valueString": "not final"},
            {"url": "rule", "valueString": "unfinished-results"},
        ],
    }
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7, meta={"security": [label]}, extension=[held]))

    await world.look()

    (entry,) = (await world.client.get("/Communication")).json()["entry"]
    assert entry["resource"]["meta"]["security"] == [label]
    assert entry["resource"]["extension"] == [
        {
            "url": "https://tellonce.org/fhir/StructureDefinition/release",
            "extension": [{"url": "hold", "valueString": "not final"}],
        }
    ]


async def test_who_corrects_knows_it_and_is_not_told(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    agent = {"who": {"identifier": {"system": "urn:tellonce:principal", "value": "user/doc"}}}
    provenance = {
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/w/_history/2"}],
        "recorded": "2026-01-02T03:04:05Z",
        "agent": [agent],
    }
    await both(world, weight(7), provenance)

    await world.look()

    assert await world.told() == []


@pytest.mark.parametrize("mode", ["backload", "replay"])
async def test_nothing_goes_out_for_a_feed_that_is_not_live(world: World, mode: str) -> None:
    await world.shown("Observation/w/_history/1")
    provenance = {
        "resourceType": "Provenance",
        "meta": {"tag": [{"system": "urn:tellonce:feed-mode", "code": mode}]},
        "target": [{"reference": "Observation/w/_history/2"}],
        "recorded": "2026-01-02T03:04:05Z",
        "agent": [{"who": {"identifier": {"system": "urn:tellonce:feed", "value": "lab"}}}],
    }
    await both(world, weight(7), provenance)

    await world.look()

    assert await world.told() == []


async def both(world: World, *resources: dict[str, Any]) -> None:
    entries = [
        {
            "resource": one,
            "request": {
                "method": "PUT" if "id" in one else "POST",
                "url": f"{one['resourceType']}/{one['id']}" if "id" in one else one["resourceType"],
            },
        }
        for one in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await world.client.post("/", json=bundle)
    assert answer.status_code == 200, answer.text


async def test_what_was_corrected_between_reading_and_showing_is_told(world: World) -> None:
    await put(world.client, weight(7))
    await world.look()

    await world.shown("Observation/w/_history/1")
    await world.look()
    await world.look()

    assert [one[2] for one in await world.told()] == [["Observation/w/_history/2"]]


async def test_a_restart_goes_on_without_a_gap_and_tells_nothing_twice(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    await world.look()
    await put(world.client, weight(8))

    world.watcher = world.another(limit=1)
    await world.look()
    # As if the position had been restored from a backup.
    await world.house.store.commit([], records=[RecordWrite("corrections", "cursor", b"0")])
    await world.look()

    assert [one[2] for one in await world.told()] == [
        ["Observation/w/_history/2"],
        ["Observation/w/_history/3"],
    ]


async def test_two_processes_tell_once(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    other = world.another()

    await world.look()
    while await other.step():
        pass

    assert len(await world.told()) == 1


async def test_it_looks_by_itself_and_one_process_at_a_time(world: World) -> None:
    other = Corrections(world.house.services, world.reader, owner="two", poll_s=0.01)
    running = [asyncio.create_task(one.run()) for one in (world.another(poll_s=0.01), other)]
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    for _ in range(500):
        if await world.told():
            break
        await asyncio.sleep(0.02)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    held = await world.house.store.get_record("lease", "corrections")
    assert len(await world.told()) == 1
    assert held is not None
    assert held.rev <= 3  # taken, perhaps taken over, given back


async def test_a_first_start_tells_nothing_of_the_past(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    await world.house.store.commit([], records=[RecordWrite("corrections", "cursor", None)])
    await world.house.store.commit([], records=[])

    assert await world.watcher.step() is True
    assert await world.told() == []


async def test_a_form_that_cites_what_is_corrected_is_to_be_looked_at_again(world: World) -> None:
    source = {"url": "source", "valueReference": {"reference": "Observation/w/_history/1"}}
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "r",
        "status": "completed",
        "subject": {"reference": "Patient/a"},
        "author": {"reference": "Practitioner/doc"},
        "item": [
            {
                "linkId": "w",
                "extension": [{"url": KNOWN, "extension": [source]}],
                "answer": [{"valueDecimal": 70}],
            }
        ],
    }
    await put(world.client, response)
    await world.look()
    await put(world.client, weight(7))
    await world.look()

    (task,) = await world.tasks()
    assert {
        k: task[k] for k in ("status", "intent", "focus", "for", "owner", "reasonReference")
    } == {
        "status": "requested",
        "intent": "proposal",
        "focus": {"reference": "QuestionnaireResponse/r/_history/1"},
        "for": {"reference": "Patient/a"},
        "owner": {"reference": "Practitioner/doc"},
        "reasonReference": {"reference": "Observation/w/_history/2"},
    }


async def test_people_find_what_they_were_told_by_search(world: World) -> None:
    await world.shown("Observation/w/_history/1")
    await put(world.client, weight(7))
    await world.look()

    found = [
        (await world.client.get(f"/Communication?{asked}")).json()["total"]
        for asked in (
            "recipient=Practitioner/doc&category=correction",
            "recipient=Practitioner/other&category=correction",
            "subject=Patient/a&sent=2026-01-02",
        )
    ]

    assert found == [1, 0, 1]


async def test_a_document_that_cites_an_old_version_is_to_be_looked_at_at_once(
    world: World,
) -> None:
    await put(world.client, weight(7))
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "story"},
        "subject": {"reference": "Patient/a"},
        "date": "2026-01-02",
        "author": [{"reference": "Practitioner/doc"}],
        "title": "Story",
        "section": [{"section": [{"entry": [{"reference": "Observation/w/_history/1"}]}]}],
    }
    await put(world.client, composition)
    await world.look()

    assert [one["focus"]["reference"] for one in await world.tasks()] == [
        "Composition/c/_history/1"
    ]


async def test_a_medication_that_belongs_to_nobody_finds_its_readers(world: World) -> None:
    await put(world.client, {"resourceType": "Medication", "id": "m", "code": {"text": "aspirin"}})
    await world.shown("Medication/m/_history/1")
    await put(world.client, {"resourceType": "Medication", "id": "m", "code": {"text": "heparin"}})

    await world.look()

    assert [one[2] for one in await world.told()] == [["Medication/m/_history/2"]]


async def test_showing_the_same_again_writes_nothing(world: World) -> None:
    await world.shown("Observation/w/_history/1", "Patient/a/_history/1")
    (before,) = await world.house.store.find_records("shown")
    await world.shown("Observation/w/_history/1")
    (after,) = await world.house.store.find_records("shown")

    assert (before.rev, after.rev) == (1, 1)
    assert before.tag == "Patient/a"
    assert set(unpack(before.value)["of"]) == {"Observation/w", "Patient/a"}


async def test_a_program_without_a_person_is_nobody_who_reads(world: World) -> None:
    await world.shown("Observation/w/_history/1", access=SYSTEM)
    await put(world.client, weight(7))

    await world.look()

    assert await world.told() == []
