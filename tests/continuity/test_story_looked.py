"""New since this department last looked: known from AuditEvents, on every store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from server import rest
from server.access.context import AccessContext, Permit
from server.auth.departments import Departments
from server.auth.passwords import Passwords
from server.auth.users import Users
from server.continuity.site import Site
from server.operations import explain_access, operations
from tests.audit.house import AuditedHouse, data, interaction, patients, query
from tests.continuity.story_record import ADA, ADA_HERSELF, Resource, concept, of
from tests.rest.house import CALLERS, STORES, Clock, authenticate, told

HOUR = 3_600_000_000
ALL = (Permit("*"),)
WARD, LAB = "Organization/ward", "Organization/lab"
CALLERS.setdefault("nora", AccessContext("user/nora", "app", ALL, person="Practitioner/nora"))
CALLERS.setdefault("nils", AccessContext("user/nils", "app", ALL, person="Practitioner/nils"))
CALLERS.setdefault("lea", AccessContext("user/lea", "app", ALL, person="Practitioner/lea"))
CALLERS.setdefault("role", AccessContext("user/role", "app", ALL, person="Practitioner/role"))
CALLERS.setdefault(
    "ada",
    AccessContext("user/ada", "app", (Permit("*", compartment="Patient/ada"),),
                  person="Patient/ada"),
)  # fmt: skip


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AuditedHouse]:
    clock = Clock()
    made = AuditedHouse(STORES[request.param](tmp_path, clock), clock)
    users = Users(made.store, Passwords(), clock)
    for name, department in (("nora", WARD), ("nils", WARD), ("lea", LAB)):
        await users.add(
            name,
            roles=["practitioner"],
            fhir_user=f"Practitioner/{name}",
            departments=[department],
        )
    site = Site(departments=Departments(users))
    made.app = rest.build(
        replace(made.services),
        authenticate=authenticate,
        operations=operations(explain_access.nobody, site),
    )
    await made.audit.start()
    async with made.client() as admin:
        for one in (ADA_HERSELF, *ROLES):
            await admin.put(f"/{one['resourceType']}/{one['id']}", json=one)
    yield made
    await made.app.stop(grace_s=5)
    await made.audit.stop()
    await made.store.close()


ROLES: list[Resource] = [
    of("Practitioner", "role"),
    of("PractitionerRole", "r", practitioner={"reference": "Practitioner/role"}, active=True,
       organization={"reference": WARD},
       healthcareService=[{"reference": "HealthcareService/cardiology"}]),
]  # fmt: skip


async def story(house: AuditedHouse, caller: str, query_: str = "") -> httpx.Response:
    async with house.client(caller) as client:
        return await client.get(f"/Patient/ada/$story{query_}")


async def new(house: AuditedHouse, caller: str, query_: str = "") -> list[str] | None:
    """Return what a caller is told as new, ``None`` where nothing can be compared."""
    answer = await story(house, caller, query_)
    assert answer.status_code == 200, answer.text
    for section in answer.json()["section"]:
        if section["code"]["coding"][0]["code"] == "changes":
            return [one["extension"][1]["valueString"] for one in section["extension"]]
    return None


async def visit(house: AuditedHouse, id_: str, subject: Resource) -> None:
    made = of("Encounter", id_, status="finished", subject=subject, **{"class": {"code": "AMB"}})
    async with house.client() as admin:
        assert (await admin.put(f"/Encounter/{id_}", json=made)).status_code == 201


async def add(house: AuditedHouse, id_: str) -> None:
    house.clock.at += HOUR
    async with house.client() as admin:
        gout = of("Condition", id_, subject=ADA, code=concept(id_))
        assert (await admin.put(f"/Condition/{id_}", json=gout)).status_code == 201
    house.clock.at += HOUR


async def test_the_first_look_compares_with_nothing(house: AuditedHouse) -> None:
    await add(house, "gout")
    assert await new(house, "nora") is None


async def test_what_changed_since_a_colleague_looked_is_new(house: AuditedHouse) -> None:
    await story(house, "nils")
    await add(house, "gout")
    assert await new(house, "nora") == ["Gout; author unknown, undated."]


async def test_the_reader_s_own_sitting_is_not_the_look_before(house: AuditedHouse) -> None:
    await story(house, "nora")
    await add(house, "gout")
    for _ in range(3):
        assert await new(house, "nora") == ["Gout; author unknown, undated."]
        house.clock.at += HOUR // 3
    house.clock.at += HOUR
    assert await new(house, "nora") is None


async def test_another_department_s_look_does_not_count(house: AuditedHouse) -> None:
    await story(house, "nora")
    await add(house, "gout")
    await story(house, "lea")
    await add(house, "ache")
    assert await new(house, "nils") == [
        "Ache; author unknown, undated.",
        "Gout; author unknown, undated.",
    ]


async def test_reading_one_resource_or_one_visit_is_no_look_at_the_whole(
    house: AuditedHouse,
) -> None:
    await story(house, "nora")
    await add(house, "gout")
    await visit(house, "x", ADA)
    async with house.client("nils") as nils:
        await nils.get("/Patient/ada")
        await nils.get("/Condition?patient=ada")
        of_one = await nils.get("/Patient/ada/$story?encounter=Encounter/x")
        assert of_one.status_code == 200
    house.clock.at += HOUR
    assert "Gout; author unknown, undated." in (await new(house, "nora") or ())


async def test_everything_is_a_look_at_the_whole(house: AuditedHouse) -> None:
    await story(house, "nora")
    await add(house, "gout")
    async with house.client("nils") as nils:
        await nils.get("/Patient/ada/$everything")
    house.clock.at += HOUR
    assert await new(house, "nora") is None


async def test_roles_name_departments_as_well(house: AuditedHouse) -> None:
    await story(house, "role")
    await add(house, "gout")
    assert await new(house, "nora", "?department=Organization/ward") == [
        "Gout; author unknown, undated."
    ]
    house.clock.at += HOUR
    await add(house, "ache")
    named = "?department=HealthcareService/cardiology"
    assert await new(house, "role", named) == [
        "Ache; author unknown, undated.",
        "Gout; author unknown, undated.",
    ]


async def test_patients_are_compared_with_their_own_look(house: AuditedHouse) -> None:
    await story(house, "ada")
    await add(house, "gout")
    await story(house, "nora")
    house.clock.at += HOUR
    told_ = await new(house, "ada")
    assert told_ is not None
    assert told_[0].startswith("You have this on file: gout.")


async def test_a_time_that_is_asked_for_counts_instead(house: AuditedHouse) -> None:
    await add(house, "gout")
    await story(house, "nils")
    house.clock.at += HOUR
    assert await new(house, "nora", "?since=2026-01-02T03:30:00Z") == [
        "Gout; author unknown, undated."
    ]


async def test_when_another_department_looked_is_not_told(house: AuditedHouse) -> None:
    await story(house, "lea")
    await add(house, "gout")
    answer = await story(house, "nora", "?department=Organization/lab")
    assert told(answer)[:2] == (403, "forbidden")


@pytest.mark.parametrize(
    ("asked", "expression"),
    [
        ("audience=robot", ["audience"]),
        ("since=yesterday", ["since"]),
        ("department=Patient/x", ["department"]),
        ("encounter=Patient/x", ["encounter"]),
        ("document=maybe", ["document"]),
        ("colour=red", ["colour"]),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    house: AuditedHouse, asked: str, expression: list[str]
) -> None:
    status, _, told_of = told(await story(house, "nora", f"?{asked}"))
    assert (status, told_of) == (400, expression)


async def test_a_visit_that_is_not_there_or_is_anothers_has_no_story(house: AuditedHouse) -> None:
    await visit(house, "zoes", {"reference": "Patient/zoe"})
    assert told(await story(house, "nora", "?encounter=Encounter/none")) == (
        404,
        "not-found",
        ["encounter"],
    )
    status, _, place = told(await story(house, "nora", "?encounter=Encounter/zoes"))
    assert (status, place) == (400, ["encounter"])


async def test_a_look_is_in_the_audit_and_what_was_shown_is_remembered(house: AuditedHouse) -> None:
    await add(house, "gout")
    before = len(await house.events())
    await story(house, "nora", "?since=2020")
    (event,) = await house.new_events(before)
    assert interaction(event) == "operation"
    assert patients(event) == ["Patient/ada"]
    assert query(event) == "Patient/ada/$story"
    assert data(event) == []
    records = await house.store.find_records("shown", tag="Patient/ada")
    assert len(records) == 1
    assert b"Condition/gout" in records[0].value


async def test_a_caller_who_may_not_read_audit_events_is_compared_all_the_same(
    house: AuditedHouse,
) -> None:
    reads = frozenset(("read", "search"))
    some = (Permit("Patient", reads), Permit("Condition", reads))  # type: ignore[arg-type]
    CALLERS.setdefault("limited", AccessContext("user/nils", "app", some))
    await story(house, "nora")
    await add(house, "gout")
    assert await new(house, "limited") == ["Gout; author unknown, undated."]
