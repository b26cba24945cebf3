"""That something is withheld: told to whom the policy entitles, and to nobody else (C7)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from server.access.context import AccessContext
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import Policy, load_policy
from server.access.policy_file import PolicyError
from server.access.scopes import parse
from server.auth.person import Rights
from server.auth.records import User
from server.continuity.summary.document import summary
from server.continuity.withheld import is_withheld
from server.operations.known_answers import answer
from tests.continuity.story_house import sentences, services, told
from tests.continuity.story_record import RECORD, Resource
from tests.rest.house import START

NOTE = "Some information is withheld from you."
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
SECRET = {"meta": {"security": [{"system": f"{V3}ActCode", "code": "PSYTHPN"}]}}
HIDDEN = [{**one, **SECRET} if one["id"] == "pen" else one for one in RECORD]
WITHOUT = [one for one in RECORD if one["id"] != "pen"]

ROE = Person("roe", ("practitioner",), "Practitioner/roe")
ADA = Person("ada", ("patient",), "Patient/ada")


def entitling(folder: Path) -> Policy:
    site = folder / "site.yaml"
    site.write_text("roles: {practitioner: {told-of-withheld: yes}}")
    return load_policy(site)


def caller(policy: Policy, person: Person, scope: str = "user/*.rs") -> AccessContext:
    patient = "Patient/ada" if scope.startswith("patient/") else None
    made, beyond = (
        permits(policy, person, parse(scope), patient, START, beyond=beyond)
        for beyond in (False, True)
    )
    return AccessContext(f"user/{person.login}", "app", made, person.fhir_user, beyond=beyond)


async def says(record: Sequence[Resource], access: AccessContext) -> bool:
    return await is_withheld(await services(record), access, "Patient/ada")


async def test_who_may_know_it_is_told_and_nothing_more(tmp_path: Path) -> None:
    access = caller(entitling(tmp_path), ROE)
    with_it = await told(HIDDEN, access, since=1)
    without = await told(WITHOUT, access, since=1)
    assert [one.text for one in sentences(with_it) if one.kind == "withheld"] == [NOTE]
    assert [one for one in sentences(with_it) if one.kind != "withheld"] == sentences(without)


async def test_the_summary_says_it_too(tmp_path: Path) -> None:
    access = caller(entitling(tmp_path), ROE)
    made = (await summary(await services(HIDDEN), access, "ada"))["entry"][0]["resource"]
    assert made["extension"] == [
        {"url": "https://tellonce.org/fhir/StructureDefinition/withheld", "valueBoolean": True}
    ]
    assert "Some information was withheld from who asked for it." in made["text"]["div"]


def test_the_answers_to_a_form_say_it_first() -> None:
    assert answer((), START, withheld=True) == {
        "resourceType": "Parameters",
        "parameter": [{"name": "withheld", "valueBoolean": True}],
    }
    assert answer((), START) == {"resourceType": "Parameters"}


async def test_a_login_has_what_the_policy_entitles_to(tmp_path: Path) -> None:
    house = await services(HIDDEN)
    doctor = User("roe", "x", ("practitioner",), "Practitioner/roe")
    entitled = await Rights(house, entitling(tmp_path)).of_user(doctor, START)
    usual = await Rights(house, load_policy()).of_user(doctor, START)
    assert await is_withheld(house, entitled, "Patient/ada")
    assert not await is_withheld(house, usual, "Patient/ada")


async def test_nothing_is_said_where_nothing_is_withheld(tmp_path: Path) -> None:
    access = caller(entitling(tmp_path), ROE)
    assert not await says(WITHOUT, access)
    assert NOTE not in str((await told(WITHOUT, access)).composition)


async def test_a_label_within_the_clearance_withholds_nothing(tmp_path: Path) -> None:
    open_to_her = {"meta": {"security": [{"system": f"{V3}ActCode", "code": "HIV"}]}}
    record = [{**one, **open_to_her} if one["id"] == "pen" else one for one in RECORD]
    assert not await says(record, caller(entitling(tmp_path), ROE))


async def test_what_is_hidden_of_another_patient_is_not_told(tmp_path: Path) -> None:
    other = {"resourceType": "Observation", "id": "x", "status": "final", "code": {"text": "x"},
             "subject": {"reference": "Patient/bo"}, **SECRET}  # fmt: skip
    bo = {"resourceType": "Patient", "id": "bo"}
    assert not await says([*WITHOUT, bo, other], caller(entitling(tmp_path), ROE))


async def test_scopes_limit_what_may_be_told(tmp_path: Path) -> None:
    policy = entitling(tmp_path)
    assert await says(HIDDEN, caller(policy, ROE, "patient/AllergyIntolerance.rs"))
    assert not await says(HIDDEN, caller(policy, ROE, "patient/Observation.rs"))


@pytest.mark.parametrize(
    ("person", "scope"),
    [
        (ROE, "user/*.rs"),
        (ADA, "patient/*.rs"),
        (Person("lab", service=True), "system/*.rs"),
    ],
    ids=["a clinician by default", "the patient", "a service"],
)
async def test_who_is_not_entitled_gets_what_a_record_without_it_gives(
    tmp_path: Path, person: Person, scope: str
) -> None:
    policy = load_policy() if person is ROE else entitling(tmp_path)
    access = caller(policy, person, scope)
    assert access.beyond == ()
    made = [await told(record, access, since=1) for record in (HIDDEN, WITHOUT)]
    if not person.service:  # who is cleared for all of it
        assert made[0].composition == made[1].composition
    assert NOTE not in str(made[0].composition)


async def test_a_story_for_the_patient_says_nothing_of_it(tmp_path: Path) -> None:
    access = caller(entitling(tmp_path), ROE)
    made = [await told(one, access, audience="patient", since=1) for one in (HIDDEN, WITHOUT)]
    assert made[0].composition == made[1].composition


async def test_what_the_clearance_would_open_opens_nothing(tmp_path: Path) -> None:
    access = caller(entitling(tmp_path), ROE)
    house = await services(HIDDEN)
    assert await house.store.read(access, "AllergyIntolerance", "pen") is None
    shut = replace(access, permits=())
    assert await house.store.read(shut, "Patient", "ada") is None


@pytest.mark.parametrize("role", ["patient", "proxy", "admin"])
def test_no_patient_proxy_or_administrator_can_be_entitled(tmp_path: Path, role: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"roles:\n  {role}: {{told-of-withheld: yes}}")
    with pytest.raises(PolicyError) as caught:
        load_policy(site)
    assert str(caught.value) == (
        "site.yaml:2: told-of-withheld is for roles whose record is 'everyone': who treats patients"
    )
