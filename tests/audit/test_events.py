"""Every request is told of: what an AuditEvent says, and whom it is shown to."""

from typing import Any

import pytest

from server.audit.codes import DCM
from tests.audit.house import AuditedHouse, data, interaction, patients, query
from tests.rest.house import bundle, entry, observation, patient

RESTRICTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "code": "R",
}


@pytest.fixture
async def two(house: AuditedHouse) -> AuditedHouse:
    """Two patients with a result each."""
    async with house.client() as admin:
        for who in ("a", "b"):
            await admin.put(f"/Patient/{who}", json=patient(who))
            result = observation(f"Patient/{who}", f"o-{who}")
            await admin.put(f"/Observation/o-{who}", json=result)
    return house


async def told_of(house: AuditedHouse, caller: str, method: str, address: str, **more: Any) -> Any:
    """Return the answer to a request, and the AuditEvents that it made."""
    before = len(await house.events())
    async with house.client(caller) as client:
        answer = await client.request(method, address, **more)
    return answer, await house.new_events(before)


async def test_a_read_says_who_what_whose_and_when(two: AuditedHouse) -> None:
    _, (event,) = await told_of(
        two, "anna", "GET", "/Observation/o-a", headers={"X-Request-Id": "req-7"}
    )

    event.pop("id")
    event.pop("meta")
    assert event == {
        "resourceType": "AuditEvent",
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
        },
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "read"}],
        "action": "R",
        "recorded": "2026-01-02T03:04:05.678Z",
        "outcome": "0",
        "agent": [
            {
                "type": {"coding": [{"system": DCM, "code": "110152"}]},
                "who": {"identifier": {"value": "app"}},
                "requestor": False,
                "network": {"address": "127.0.0.1", "type": "2"},
            },
            {
                "type": {"coding": [{"system": DCM, "code": "110153"}]},
                "who": {"identifier": {"value": "tellonce"}},
                "requestor": False,
                "network": {"address": "http://fhir.test/fhir", "type": "5"},
            },
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                            "code": "IRCP",
                        }
                    ]
                },
                "who": {
                    "reference": "Practitioner/anna",
                    "identifier": {"system": "urn:tellonce:principal", "value": "user/anna"},
                },
                "requestor": True,
            },
        ],
        "source": {"observer": {"identifier": {"value": "tellonce"}}},
        "entity": [
            {
                "what": {"reference": "Patient/a"},
                "type": _entity_type("1"),
                "role": _role("1"),
            },
            {
                "what": {"reference": "Observation/o-a/_history/1"},
                "type": _entity_type("2"),
                "role": _role("4"),
            },
            {
                "what": {"identifier": {"value": "req-7"}},
                "type": {
                    "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
                    "code": "XrequestId",
                },
            },
        ],
    }


def _entity_type(code: str) -> dict[str, str]:
    return {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": code}


def _role(code: str) -> dict[str, str]:
    return {"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": code}


@pytest.mark.parametrize(
    ("method", "address", "body", "code"),
    [
        ("GET", "/Observation/o-a", None, "read"),
        ("HEAD", "/Observation/o-a", None, "read"),
        ("GET", "/Observation/o-a/_history/1", None, "vread"),
        ("GET", "/Observation/o-a/_history", None, "history-instance"),
        ("GET", "/Observation?patient=a", None, "search-type"),
        ("GET", "/?_type=Observation&subject=Patient/a", None, "search-system"),
        ("GET", "/Patient/a/Observation", None, "search-type"),
        ("GET", "/Patient/a/$everything", None, "operation"),
        ("GET", "/Observation/$lastn?patient=a", None, "operation"),
        ("GET", "/Observation/o-a/$meta", None, "operation"),
        ("PUT", "/Observation/o-a", observation("Patient/a", "o-a", code="1"), "update"),
        ("POST", "/Observation", observation("Patient/a"), "create"),
        ("DELETE", "/Observation/o-a", None, "delete"),
    ],
)
async def test_what_concerns_one_patient_is_one_event(
    two: AuditedHouse, method: str, address: str, body: Any, code: str
) -> None:
    answer, events = await told_of(two, "anna", method, address, json=body)

    assert answer.is_success
    assert [interaction(event) for event in events] == [code]
    assert patients(events[0]) == ["Patient/a"]
    assert events[0]["outcome"] == "0"


async def test_a_page_of_two_patients_is_an_event_of_each_and_one_with_the_question(
    two: AuditedHouse,
) -> None:
    _, events = await told_of(two, "anna", "GET", "/Observation?patient=a,b&_count=9")

    assert [(patients(event), query(event)) for event in events] == [
        (["Patient/b"], "Observation?patient=&_count="),
        (["Patient/a"], "Observation?patient=&_count="),
        ([], "Observation?patient=a%2Cb&_count=9"),
    ]


async def test_a_question_about_another_who_is_not_there_is_not_told_to_the_patient(
    two: AuditedHouse,
) -> None:
    _, events = await told_of(two, "anna", "GET", "/Observation?patient=a,z")

    assert [(patients(event), query(event)) for event in events] == [
        (["Patient/a"], "Observation?patient="),
        ([], "Observation?patient=a%2Cz"),
    ]


async def test_a_search_without_results_is_told(two: AuditedHouse) -> None:
    _, (event,) = await told_of(two, "anna", "GET", "/Observation?code=none")

    assert (interaction(event), patients(event), query(event)) == (
        "search-type", [], "Observation?code=none",
    )  # fmt: skip


async def test_includes_are_told(two: AuditedHouse) -> None:
    async with two.client() as admin:
        made = {
            "resourceType": "List", "id": "l", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Observation/o-b"}}],
        }  # fmt: skip
        await admin.put("/List/l", json=made)

    _, events = await told_of(two, "anna", "GET", "/List?_id=l&_include=List:item")

    assert [patients(event) for event in events] == [["Patient/b"], []]


@pytest.mark.parametrize(
    ("caller", "method", "address", "status"),
    [
        ("reader", "GET", "/Patient/a", 403),
        ("anna", "GET", "/Patient/none", 404),
        ("patient-a", "GET", "/Observation/o-b", 404),
        ("anna", "GET", "/Observation?no-such=1&patient=a:b:c", 400),
        ("anna", "GET", "/Nothing", 404),
        ("anna", "PUT", "/Patient", 400),
        ("anna", "GET", "/Patient/a//x", 400),
    ],
)
async def test_what_fails_is_told_with_its_status_and_of_nobody(
    two: AuditedHouse, caller: str, method: str, address: str, status: int
) -> None:
    headers = {"Prefer": "handling=strict"}
    answer, (event,) = await told_of(two, caller, method, address, headers=headers)

    assert answer.status_code == status
    assert (event["outcome"], event["outcomeDesc"][:3]) == ("4", str(status))
    assert patients(event) == data(event) == []


async def test_metadata_and_options_are_not_told(two: AuditedHouse) -> None:
    _, events = await told_of(two, "anna", "GET", "/metadata")
    _, more = await told_of(two, "anna", "OPTIONS", "/Patient/a")

    assert events == more == []


async def test_strangers_are_counted_and_told_of_once_a_minute(house: AuditedHouse) -> None:
    async with house.client(None) as stranger:
        for _ in range(30):
            assert (await stranger.get("/Patient/a")).status_code == 401
    await house.audit.stop()

    (event,) = await house.kept("AuditEvent")
    assert event["type"] == {"system": DCM, "code": "110113"}
    assert event["outcomeDesc"] == "30 requests without a valid token"
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"


async def test_the_labels_of_what_was_seen_are_those_of_the_event(house: AuditedHouse) -> None:
    made = observation("Patient/a", "o", meta={"security": [RESTRICTED]})
    _, (written,) = await told_of(house, "anna", "PUT", "/Observation/o", json=made)
    _, (read,) = await told_of(house, "anna", "GET", "/Observation/o")
    _, (found,) = await told_of(house, "anna", "GET", "/Observation?patient=a")

    for event in (written, read, found):
        assert event["meta"]["security"] == [RESTRICTED]
    (provenance,) = await house.kept("Provenance")
    assert provenance["meta"]["security"] == [RESTRICTED]


async def test_a_transaction_is_an_event_of_each_patient_with_what_is_theirs(
    house: AuditedHouse,
) -> None:
    sent = bundle(
        "transaction",
        entry("PUT", "Patient/a", patient("a")),
        entry("PUT", "Observation/1", observation("Patient/a", "1")),
        entry("PUT", "Observation/2", observation("Patient/b", "2")),
        entry("PUT", "Organization/o", {"resourceType": "Organization", "id": "o", "name": "O"}),
    )
    _, events = await told_of(house, "anna", "POST", "", json=sent)

    assert [(interaction(event), patients(event), data(event)) for event in events] == [
        ("transaction", ["Patient/a"], ["Patient/a/_history/1", "Observation/1/_history/1"]),
        ("transaction", ["Patient/b"], ["Observation/2/_history/1"]),
        ("transaction", [], ["Organization/o/_history/1"]),
    ]


async def test_each_entry_of_a_batch_is_told(two: AuditedHouse) -> None:
    sent = bundle(
        "batch",
        entry("GET", "Observation/o-a"),
        entry("GET", "Observation/none"),
        entry("PUT", "Observation/o-b", observation("Patient/b", "o-b")),
        entry("PUT", "Observation/o-b", observation("Patient/b", "other")),
    )
    _, events = await told_of(two, "anna", "POST", "", json=sent)

    found = [(interaction(event), event["outcome"], patients(event)) for event in events]
    assert sorted(found) == [
        ("read", "0", ["Patient/a"]),
        ("read", "4", []),
        ("update", "0", ["Patient/b"]),
        ("update", "4", []),
    ]


async def test_what_a_conditional_create_finds_is_told_as_read(two: AuditedHouse) -> None:
    answer, (event,) = await told_of(
        two, "anna", "POST", "/Observation",
        json=observation("Patient/a"), headers={"If-None-Exist": "_id=o-a"},
    )  # fmt: skip

    assert answer.status_code == 200
    assert (interaction(event), patients(event)) == ("read", ["Patient/a"])


async def test_a_patient_sees_the_events_of_his_own_record_and_no_others(two: AuditedHouse) -> None:
    await told_of(two, "anna", "GET", "/Observation?patient=a,b")
    await told_of(two, "anna", "GET", "/Observation/o-b")

    answer, _ = await told_of(two, "patient-a", "GET", "/AuditEvent?_count=100")

    found = [one["resource"] for one in answer.json()["entry"]]
    assert {tuple(patients(event)) for event in found} == {("Patient/a",)}
    assert "Patient/b" not in answer.text
    assert "o-b" not in answer.text


async def test_a_backend_service_has_no_user(two: AuditedHouse) -> None:
    _, (event,) = await told_of(two, "service", "GET", "/Observation/o-a")

    assert [agent["requestor"] for agent in event["agent"]] == [True, False]
    assert event["agent"][0]["who"] == {"identifier": {"value": "loader"}}


async def test_a_deletion_is_told_to_whom_it_concerned(two: AuditedHouse) -> None:
    _, (event,) = await told_of(two, "anna", "DELETE", "/Observation/o-a")

    assert (patients(event), data(event)) == (["Patient/a"], ["Observation/o-a/_history/2"])


async def test_an_asynchronous_request_is_told_when_it_is_taken_and_when_it_runs(
    two: AuditedHouse,
) -> None:
    _, events = await told_of(
        two, "anna", "GET", "/Observation?patient=a", headers={"Prefer": "respond-async"}
    )
    await two.app.stop(grace_s=5)

    assert (await two.events())[-1] not in events[:1]
    assert [interaction(event) for event in (await two.events())[-2:]] == ["search-type"] * 2
