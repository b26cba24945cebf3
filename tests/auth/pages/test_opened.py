"""Who opened my record."""

from typing import Any
from urllib.parse import unquote

import pytest

from server.access.context import SYSTEM, AccessContext, Permit, Trace
from server.audit.audit_event import Event, audit_event
from server.auth.pages.opened import with_events
from server.interactions.prepare import to_write
from server.search.marks import RELEASE_URL
from tests.auth.pages.house import BASE, MINUTE, START, Browser, House

VERY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


async def tell(house: House, number: int = 0, **more: object) -> None:
    told = {
        "at": START + number * MINUTE,
        "action": "R",
        "interaction": "read",
        "access": by("user/bell", "chart", "Practitioner/bell"),
        "patient": "Patient/anna",
        "data": (("Observation/o1", ""),),
        **more,
    }
    event = Event(**told)  # type: ignore[arg-type]
    for reference, _ in event.data:
        type_, id_ = reference.split("/")
        if await house.store.read(SYSTEM, type_, id_) is None:
            await put(house, type_, id_, str(event.patient))
    await house.store.commit([audit_event(event, house.services.new_id(), BASE)])


async def put(house: House, type_: str, id_: str, patient: str, **more: Any) -> None:
    of = {"reference": patient}
    made = {"resourceType": type_, "id": id_, "subject": of, "patient": of, **more}
    await house.store.commit([to_write(made, base_url=BASE, method="PUT")])


def by(principal: str, client: str, person: str | None = None) -> AccessContext:
    return AccessContext(principal, client, (), person, trace=Trace("request-7", "10.0.0.1"))


async def test_it_is_told_who_in_which_role_with_which_app_did_what_and_when(
    house: House, browser: Browser
) -> None:
    await tell(house)
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert page.title == "Who opened my record – Tellonce"
    assert (
        "Friday, 2 January 2026 03:04 Dr. Bell (clinician) opened your test results, vital signs "
        "and other observations, with Growth Chart"
    ) in page.words


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"performer": [{"reference": "Practitioner/fox"}]}, "Dr. Ida Fox (clinician) opened"),
        ({}, "fox (clinician) opened"),
    ],
)
async def test_who_has_no_name_of_a_login_has_that_of_the_record(
    house: House, browser: Browser, place: dict[str, Any], told: str
) -> None:
    """If the record of the person who looks refers to them: the rest is not theirs to see."""
    await house.add_user("fox", "practitioner", "Practitioner/fox")
    name = [{"prefix": ["Dr."], "text": "Dr. Ida Fox"}]
    result = {"status": "final", "subject": {"reference": "Patient/anna"}, "code": {"text": "x"}}
    for resource in (
        {"resourceType": "Practitioner", "id": "fox", "name": name},
        {"resourceType": "Observation", "id": "o1", **result, **place},
    ):
        await house.put(resource)
    await tell(house, access=by("user/fox", "chart", "Practitioner/fox"))
    await browser.log_in("anna")
    assert f"03:04 {told}" in (await browser.get("/auth/opened")).words


async def test_who_has_no_login_any_more_keeps_the_name_of_the_record(
    house: House, browser: Browser
) -> None:
    await tell(house, access=by("user/kims", "chart", "Patient/anna"))
    await browser.log_in("anna")
    words = (await browser.get("/auth/opened")).words
    assert "03:04 Anna Roe (has no login any more) opened" in words


async def test_technical_details_are_there_for_who_wants_them(
    house: House, browser: Browser
) -> None:
    await tell(house)
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    details = page.text[page.text.index("<details>") : page.text.index("</details>")]
    assert "03:04, Patient/anna, Observation/o1, request request-7" in details
    assert "10.0.0.1" not in page.text


async def test_the_same_thing_many_times_is_one_line(house: House, browser: Browser) -> None:
    for number in range(5):
        await tell(house, number, data=((f"Observation/o{number}", ""),))
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert page.words.count("Dr. Bell") == 1
    assert "03:04 to 03:08 Dr. Bell" in page.words
    assert "– 5 times" in page.words


async def test_days_are_apart_and_the_newest_is_first(house: House, browser: Browser) -> None:
    await tell(house)
    await tell(house, 1440)
    await browser.log_in("anna")
    words = (await browser.get("/auth/opened")).words
    assert words.index("Saturday, 3 January 2026") < words.index("Friday, 2 January 2026")


QUESTION = {"query": f"{BASE}/Condition?patient=anna", "data": ()}


@pytest.mark.parametrize(
    ("interaction", "more", "told"),
    [
        ("search-type", QUESTION, "looked for your health problems and diagnoses"),
        ("create", {"data": (("Immunization/i", "1"),)}, "added your immunizations"),
        ("update", {"data": (("Patient/anna", "3"),)}, "changed your name, birth date and contact"),
        ("delete", {"data": (("Goal/g", "14"),)}, "removed your health goals"),
        ("grant", {"data": ()}, "allowed an app to open your record, with Growth Chart"),
    ],
)
async def test_what_was_done_is_in_plain_words(
    house: House, browser: Browser, interaction: str, more: dict[str, object], told: str
) -> None:
    await tell(house, interaction=interaction, **more)
    await browser.log_in("anna")
    assert told in (await browser.get("/auth/opened")).words


async def test_a_refusal_is_told_as_one(house: House, browser: Browser) -> None:
    await tell(house, outcome="4")
    await browser.log_in("anna")
    words = (await browser.get("/auth/opened")).words
    assert "tried, and was not allowed: opened your test results" in words


async def test_oneself_is_called_you(house: House, browser: Browser) -> None:
    await tell(house, access=by("user/anna", "chart", "Patient/anna"))
    await browser.log_in("anna")
    assert "03:04 You opened your test results" in (await browser.get("/auth/opened")).words


async def test_programs_without_a_person_are_folded_away(house: House, browser: Browser) -> None:
    await tell(house, access=by("client/lab", "lab"))
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert (
        "1 entry more: programs, and your own visits to these pages 03:04 lab opened" in page.words
    )


async def test_nobody_sees_who_opened_the_record_of_somebody_else(
    house: House, browser: Browser
) -> None:
    await tell(house)
    await tell(house, patient="Patient/kim", data=(("Condition/c", ""),))
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert "health problems" not in page.words
    assert (await browser.get("/auth/opened?patient=kim")).status == 404
    await browser.log_in("bell")
    clinician = await house.browser().log_in("bell", "/auth/opened")
    assert (clinician.status, clinician.title) == (403, "There is no record of yours – Tellonce")


async def test_who_acts_for_two_sees_one_record_at_a_time(house: House, browser: Browser) -> None:
    await tell(house, patient="Patient/kim")
    await tell(house, patient="Patient/lee", data=(("Condition/c", ""),))
    await browser.log_in("mother")
    kim = await browser.get("/auth/opened?patient=kim")
    assert kim.title == "Who opened Kim Doe’s record – Tellonce"
    assert "opened their test results" in kim.words
    assert "health problems" not in kim.words
    assert "Other records: Lee Doe" in kim.words


async def test_what_is_confidential_is_not_there_for_who_is_not_cleared(
    house: House, browser: Browser
) -> None:
    await tell(house, patient="Patient/kim", data=(("Condition/c", ""),), labels=(VERY,))
    await tell(house, patient="Patient/kim")
    await browser.log_in("mother")
    words = (await browser.get("/auth/opened?patient=kim")).words
    assert "test results" in words
    assert "health problems" not in words


HELD = {"extension": [{"url": RELEASE_URL, "extension": [{"url": "hold", "valueCode": "x"}]}]}
NOTES = {"meta": {"security": [{"system": ACT_CODE, "code": "PSYTHPN"}]}}


@pytest.mark.parametrize(("hidden", "told"), [(HELD, False), (NOTES, True)])
async def test_what_the_person_does_not_see_yet_is_not_named(
    house: House, browser: Browser, hidden: dict[str, Any], told: bool
) -> None:
    """What was labelled later is told without a name, what is on hold not at all."""
    await put(house, "Observation", "held-one", "Patient/anna", **hidden)
    await tell(house, data=(("Observation/held-one", ""),))
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert ("Dr. Bell (clinician) opened your record, with Growth Chart" in page.words) is told
    assert "held-one" not in page.text


async def test_that_a_result_was_opened_is_told_when_it_is_released(
    house: House, browser: Browser
) -> None:
    await put(house, "Observation", "held-one", "Patient/anna", **HELD)
    await tell(house, data=(("Observation/held-one", ""),))
    await browser.log_in("anna")
    assert "Dr. Bell" not in (await browser.get("/auth/opened")).words
    await put(house, "Observation", "held-one", "Patient/anna")
    assert "Dr. Bell" in (await browser.get("/auth/opened")).words


def test_what_is_not_released_yet_is_not_told_of_before() -> None:
    own = Permit("*", compartment="Patient/anna", hidden=(VERY,), released=START)
    doing = frozenset(("read", "search"))
    assert with_events(AccessContext("user/anna", "pages", (own,)), "anna").permits == (
        Permit("AuditEvent", doing, "Patient/anna", hidden=(VERY,), released=START),
    )


async def test_older_entries_are_on_further_pages(house: House, browser: Browser) -> None:
    for number in range(103):
        await tell(house, number, data=((f"Observation/o{number}", ""),))
    await browser.log_in("anna")
    page = await browser.get("/auth/opened")
    assert "– 100 times" in page.words
    link = next(part for part in page.text.split('"') if "page=" in part).replace("&amp;", "&")
    assert "– 3 times" in (await browser.get(link)).words
    await browser.log_in("anna")
    tampered = await browser.get(unquote(link)[:-6] + "AAAAAA")
    assert tampered.status == 400


async def test_nothing_yet_is_said(browser: Browser) -> None:
    await browser.log_in("anna")
    assert "Nobody has opened this record yet." in (await browser.get("/auth/opened")).words
