"""Nobody writes into the record of a patient that is not theirs, beside their own or instead."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from server import rest
from server.access.context import AccessContext
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.proxy import Proxied
from server.access.scopes import parse
from tests.rest.house import BASE, START, House, bundle, entry

Resource = dict[str, Any]
POLICY = load_policy()
CHILDREN = tuple(
    Proxied(
        f"RelatedPerson/of-{child}",
        f"Patient/{child}",
        "parent",
        "patient/*.cruds",
        related={"resourceType": "RelatedPerson", "id": f"of-{child}",
                 "patient": {"reference": f"Patient/{child}"}},
        subject={"resourceType": "Patient", "id": child, "birthDate": "2020-05-05"},
    )
    for child in ("tim", "tom")
)  # fmt: skip
PEOPLE = {
    "ann": (Person("ann", ("patient",), "Patient/a"), "patient/*.cruds", "Patient/a"),
    "ann-user": (Person("ann", ("patient",), "Patient/a"), "user/*.cruds", None),
    "app-of-ann": (Person("bert", ("practitioner",), None), "patient/*.cruds", "Patient/a"),
    "ward": (Person("dora", ("practitioner",), None, ("Organization/ward",)), "user/*.cruds", None),
    "creator": (Person("d", ("practitioner",), None, ("Organization/ward",)), "user/*.cu", None),
    "bert": (Person("bert", ("practitioner",), None), "user/*.cruds", None),
    "root": (Person("root", ("admin",), None), "user/*.cruds", None),
    "lab": (Person("app", service=True), "system/Observation.rs", None),
    "mother": (Person("mother", (), None, (), CHILDREN), "user/*.cruds", None),
}
REFUSED = "would enter or leave that of another patient as well"


def ref(text: str) -> Resource:
    return {"reference": text}


def answers(subject: str, author: str, **more: Any) -> Resource:
    return {"resourceType": "QuestionnaireResponse", "status": "completed",
            "subject": ref(subject), "author": ref(author), **more}  # fmt: skip


def pulse(subject: str, *performers: str, **more: Any) -> Resource:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "pulse"},
            "subject": ref(subject), "performer": [ref(one) for one in performers],
            **more}  # fmt: skip


def visit(patient: str, ward: str) -> Resource:
    return {"resourceType": "Encounter", "id": f"of-{patient}", "status": "finished",
            "class": {"code": "AMB"}, "subject": ref(f"Patient/{patient}"),
            "serviceProvider": ref(f"Organization/{ward}")}  # fmt: skip


def context(name: str) -> AccessContext:
    person, scope, patient = PEOPLE[name]
    made = permits(POLICY, person, parse(scope), patient, START)
    principal = f"client/{person.login}" if person.service else f"user/{person.login}"
    return AccessContext(principal, "app", made, patient=patient, role="practitioner")


class Doors:
    def __init__(self, house: House) -> None:
        async def authenticate(authorization: bytes | None) -> AccessContext:
            return context((authorization or b"").decode())

        self.house = house
        services = replace(house.services, access_policy=POLICY)
        self.app = rest.build(services, authenticate=authenticate)

    async def send(self, who: str, method: str, path: str, body: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, json=body, headers={"Authorization": who})


@pytest.fixture
async def doors(house: House) -> AsyncIterator[Doors]:
    own = answers("Patient/a", "Patient/a", id="own")
    both = answers("Patient/b", "Patient/a", id="both")
    things = [
        *({"resourceType": "Patient", "id": one} for one in ("a", "b", "c", "tim", "tom")),
        visit("a", "ward"), visit("c", "ward"), visit("b", "elsewhere"), own, both,
    ]  # fmt: skip
    async with house.client() as client:
        for one in things:
            answer = await client.put(f"/{one['resourceType']}/{one['id']}", json=one)
            assert answer.status_code == 201, answer.text
    made = Doors(house)
    yield made
    await made.app.stop(grace_s=5)


@pytest.mark.parametrize("who", ["ann", "ann-user", "app-of-ann", "ward", "creator"])
@pytest.mark.parametrize("in_a_bundle", ["", "batch", "transaction"])
async def test_nobody_writes_into_another_record_beside_the_own(
    doors: Doors, who: str, in_a_bundle: str
) -> None:
    """R4 has an Observation in the record of its subject and in those of its performers."""
    sent = pulse("Patient/b", "Patient/a")
    if in_a_bundle:
        sent = bundle(in_a_bundle, entry("POST", "Observation", sent))
    answer = await doors.send(who, "POST", "" if in_a_bundle else "/Observation", sent)
    assert REFUSED in answer.text
    left = (await doors.send("bert", "GET", "/Patient/b/Observation", None)).json()
    assert left["total"] == 0


async def test_nothing_is_moved_into_another_record(doors: Doors) -> None:
    sent = answers("Patient/b", "Patient/a", id="own")
    answer = await doors.send("ann", "PUT", "/QuestionnaireResponse/own", sent)
    assert answer.status_code == 403
    assert REFUSED in answer.text


async def test_nothing_is_moved_out_of_another_record(doors: Doors) -> None:
    sent = answers("Patient/a", "Patient/a", id="both")
    answer = await doors.send("ann", "PUT", "/QuestionnaireResponse/both", sent)
    assert answer.status_code == 403
    assert REFUSED in answer.text


async def test_what_two_records_hold_may_change_where_it_stays_in_both(doors: Doors) -> None:
    sent = answers("Patient/b", "Patient/a", id="both", status="amended")
    answer = await doors.send("ann", "PUT", "/QuestionnaireResponse/both", sent)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", ["ward", "creator"])
async def test_a_department_writes_about_several_of_its_patients(doors: Doors, who: str) -> None:
    answer = await doors.send(who, "POST", "/Observation", pulse("Patient/a", "Patient/c"))
    assert answer.status_code == 201, answer.text


async def test_a_mother_writes_about_both_of_her_children(doors: Doors) -> None:
    sent = pulse("Patient/tim", "Patient/tom")
    assert (await doors.send("mother", "POST", "/Observation", sent)).status_code == 201
    sent = pulse("Patient/tim", "Patient/a")
    assert (await doors.send("mother", "POST", "/Observation", sent)).status_code == 403


async def test_who_sees_everybody_writes_about_everybody(doors: Doors) -> None:
    answer = await doors.send("bert", "POST", "/Observation", pulse("Patient/a", "Patient/b"))
    assert answer.status_code == 201, answer.text


async def test_the_refusal_does_not_tell_whether_the_other_patient_is_there(doors: Doors) -> None:
    for who in ("ann", "ward"):
        told = [
            (await doors.send(who, "POST", "/Observation", pulse(other, "Patient/a"))).text
            for other in ("Patient/b", "Patient/absent")
        ]
        assert told[0] == told[1]


@pytest.mark.parametrize("who", ["ann", "ann-user", "app-of-ann"])
async def test_nobody_plants_what_a_feed_would_take_for_somebody_elses_result(
    doors: Doors, who: str
) -> None:
    """Messages find what they are about by identifiers, whoever wrote them."""
    key = {"system": "urn:tellonce:key:default", "value": "7dfc6bae134c24eaae334112c1e1f1d6"}
    planted = pulse("Patient/a", "Patient/a", identifier=[key])
    answer = await doors.send(who, "POST", "/Observation", planted)
    assert answer.status_code == 403
    assert "the server's own" in answer.text
    other = {"system": "urn:tellonce:authority:default:LAB", "value": "P1"}
    sent = answers("Patient/a", "Patient/a", id="own", identifier=other)
    assert (await doors.send("ann", "PUT", "/QuestionnaireResponse/own", sent)).status_code == 403


FEED = {"who": {"identifier": {"system": "urn:tellonce:feed", "value": "main"}}}
LOGIN = {
    "who": {
        "reference": "Patient/a",
        "identifier": {"system": "urn:tellonce:principal", "value": "user/ann"},
    }
}
REPLAYED = {"tag": [{"system": "urn:tellonce:feed-mode", "code": "replay"}]}
NURSE = {"who": ref("Practitioner/bert")}


def origin(*agents: Resource, **more: Any) -> Resource:
    return {"resourceType": "Provenance", "recorded": "2026-01-02T03:00:00Z",
            "target": [ref("QuestionnaireResponse/own/_history/1")], "agent": list(agents),
            **more}  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (origin(FEED), "Provenance.agent.who"),
        (origin({**NURSE, "onBehalfOf": FEED["who"]}), "Provenance.agent.onBehalfOf"),
        (origin(NURSE, LOGIN), "Provenance.agent.who"),
        (origin(NURSE, meta=REPLAYED), "Provenance.meta.tag"),
    ],
    ids=["a feed", "on behalf of a feed", "another login", "a replay"],
)
@pytest.mark.parametrize("in_a_transaction", [False, True])
async def test_nobodys_app_says_what_the_server_says_of_where_things_come_from(
    doors: Doors, sent: Resource, named: str, in_a_transaction: bool
) -> None:
    """Whose word it is, whether it is told on, and who knows it already hang on these."""
    path = "" if in_a_transaction else "/Provenance"
    asked = bundle("transaction", entry("POST", "Provenance", sent)) if in_a_transaction else sent
    answer = await doors.send("bert", "POST", path, asked)
    assert answer.status_code == 403
    assert f"{named} has a system of urn:tellonce:" in answer.text


async def test_everybody_may_say_who_wrote_it(doors: Doors) -> None:
    answer = await doors.send("bert", "POST", "/Provenance", origin(NURSE))
    assert answer.status_code == 201, answer.text


async def test_what_a_feed_named_keeps_its_name_when_its_author_changes_it(doors: Doors) -> None:
    key = {"system": "urn:tellonce:key:default", "value": "7dfc6bae134c24eaae334112c1e1f1d6"}
    own = answers("Patient/a", "Patient/a", id="own", identifier=key)
    async with doors.house.client() as client:
        await client.put("/QuestionnaireResponse/own", json=own)
    sent = own | {"status": "amended"}
    assert (await doors.send("ann", "PUT", "/QuestionnaireResponse/own", sent)).status_code == 200


async def test_a_department_does_not_take_over_the_place_where_others_lie(doors: Doors) -> None:
    """An Encounter is at the department that manages one of its locations."""
    place = {"resourceType": "Location", "id": "icu", "name": "ICU",
             "managingOrganization": ref("Organization/elsewhere")}  # fmt: skip
    lying = visit("b", "elsewhere") | {"location": [{"location": ref("Location/icu")}]}
    async with doors.house.client() as client:
        await client.put("/Location/icu", json=place)
        await client.put("/Encounter/of-b", json=lying)
    taken = place | {"managingOrganization": ref("Organization/ward")}
    sent = bundle("transaction", entry("PUT", "Location/icu", taken))
    for who in ("ward", "creator"):
        assert (await doors.send(who, "PUT", "/Location/icu", taken)).status_code == 403
        assert (await doors.send(who, "PUT", "/Location?name=ICU", taken)).status_code == 403
        assert (await doors.send(who, "POST", "", sent)).status_code == 403
        assert (await doors.send(who, "DELETE", "/Location/icu", None)).status_code == 403
    assert (await doors.send("ward", "GET", "/Location/icu", None)).status_code == 200
    assert (await doors.send("ward", "POST", "/Location", place)).status_code == 201
    assert (await doors.send("ward", "GET", "/Patient/b", None)).status_code == 404
    assert (await doors.send("bert", "PUT", "/Location/icu", taken)).status_code == 200
    assert (await doors.send("ward", "GET", "/Patient/b", None)).status_code == 200


@pytest.mark.parametrize(
    ("who", "scope"),
    [("ann", "patient/Group.s"), ("root", "user/Group.s"), ("lab", "system/Group.s")],
)
async def test_a_refusal_names_the_scope_that_it_takes(doors: Doors, who: str, scope: str) -> None:
    answer = await doors.send(who, "GET", "/Group", None)
    assert answer.status_code == 403
    assert answer.json()["issue"][0]["diagnostics"] == (
        f"this token does not allow search of Group: it takes the scope {scope}, "
        "and a role that may do it"
    )
