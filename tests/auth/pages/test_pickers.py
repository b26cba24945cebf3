"""Choosing the patient and the visit."""

from typing import Any
from urllib.parse import urlencode

import pytest

from server.auth.records import Grant
from tests.auth.pages.house import (
    Browser,
    House,
    allow,
    path_of,
)


async def test_a_patient_is_not_asked_whose_record(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    assert page.title == "Allow Growth Chart? – Tellonce"
    assert "Anna Roe born 1 February 1980, female, number 1001" in page.words
    assert page.values("patient") == ["anna"]


async def test_who_acts_for_two_chooses_one_of_them(browser: Browser) -> None:
    await browser.log_in("mother")
    page = await browser.authorize()
    assert page.title == "Whose record? – Tellonce"
    assert page.values("patient") == ["kim", "lee"]
    assert "Anna" not in page.words
    chosen = await browser.submit(page, path_of(page), patient="lee")
    assert chosen.title == "Allow Growth Chart? – Tellonce"
    assert "See Lee Doe’s test results" in chosen.words
    back = await allow(browser, chosen)
    assert (await browser.token(back.sent["code"]))["patient"] == "lee"


@pytest.mark.parametrize("patient", ["anna", "nobody", "", "lee/../anna", "Patient/lee"])
async def test_a_patient_who_was_not_in_the_list_cannot_be_chosen(
    browser: Browser, patient: str
) -> None:
    await browser.log_in("mother")
    page = await browser.authorize()
    refused = await browser.submit(page, path_of(page), patient=patient)
    assert (refused.status, refused.title) == (404, "This patient cannot be chosen – Tellonce")
    again = await browser.get(path_of(page))
    assert again.title == "Whose record? – Tellonce"


async def test_a_clinician_searches_by_name_number_and_birth_date(browser: Browser) -> None:
    await browser.log_in("bell")
    page = await browser.authorize()
    assert page.title == "Find a patient – Tellonce"
    assert page.values("patient") == []
    here = path_of(page)
    found = await browser.get(f"{here}?name=do")
    assert found.values("patient") == ["kim", "lee"]
    assert "Kim Doe born 1 March 2015, number 1002" in found.words
    assert (await browser.get(f"{here}?name=lee+doe")).values("patient") == ["lee"]
    assert (await browser.get(f"{here}?identifier=1001")).values("patient") == ["anna"]
    assert (await browser.get(f"{here}?birthdate=1980-02-01")).values("patient") == ["anna"]
    none = await browser.get(f"{here}?name=zz")
    assert "No patient was found." in none.words


async def test_a_birth_date_that_is_none_is_said_at_the_field(browser: Browser) -> None:
    await browser.log_in("bell")
    page = await browser.authorize()
    wrong = await browser.get(f"{path_of(page)}?birthdate=tomorrow")
    assert (wrong.status, wrong.title) == (422, "Error: Find a patient – Tellonce")
    assert 'aria-describedby="birthdate-error"' in wrong.text


async def test_patients_are_shown_page_by_page(house: House, browser: Browser) -> None:
    for number in range(23):
        name = [{"family": "Many", "given": [f"N{number:02}"]}]
        await house.put({"resourceType": "Patient", "id": f"m{number:02}", "name": name})
    await browser.log_in("bell")
    page = await browser.authorize()
    page = await browser.get(f"{path_of(page)}?name=many")
    seen = page.values("patient")
    while "Show more patients" in page.words:
        link = next(part for part in page.text.split('"') if "page=" in part)
        page = await browser.get(link.replace("&amp;", "&"))
        seen += page.values("patient")
    assert seen == [f"m{number:02}" for number in range(23)]


@pytest.mark.parametrize("change", [lambda c: c[:-4] + "AAAA", lambda c: "x", lambda c: c[::-1]])
async def test_a_link_to_a_page_that_was_tampered_with_is_refused(
    house: House, browser: Browser, change: Any
) -> None:
    for number in range(11):
        name = [{"family": "Many", "given": [f"N{number:02}"]}]
        await house.put({"resourceType": "Patient", "id": f"m{number:02}", "name": name})
    await browser.log_in("bell")
    page = await browser.authorize()
    here = path_of(page)
    listed = await browser.get(f"{here}?name=many")
    link = next(part for part in listed.text.split('"') if "page=" in part)
    cursor = link.rpartition("page=")[2]
    tampered = await browser.get(f"{here}?{urlencode({'name': 'many', 'page': change(cursor)})}")
    assert tampered.status == 422
    assert tampered.values("patient") == []
    other = await browser.get(f"{here}?{urlencode({'name': 'doe', 'page': cursor})}")
    assert other.status == 422


@pytest.mark.smart(171, 364)
async def test_a_visit_is_chosen_where_the_app_asks_for_one(browser: Browser) -> None:
    await browser.log_in("anna")
    scope = "launch/patient launch/encounter patient/Observation.rs"
    page = await browser.authorize(scope=scope)
    assert page.title == "Which visit? – Tellonce"
    assert page.values("encounter") == ["visit-2", "visit-1", ""]
    assert "Emergency visit 1 February 2025 Outpatient visit 1 January 2025" in page.words
    chosen = await browser.submit(page, path_of(page), encounter="visit-1")
    assert "Outpatient visit 1 January 2025" in chosen.words
    back = await allow(browser, chosen)
    token = await browser.token(back.sent["code"])
    assert (token["patient"], token["encounter"]) == ("anna", "visit-1")


async def test_no_visit_is_a_choice_too(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize(scope="launch/patient launch/encounter patient/Observation.rs")
    chosen = await browser.submit(page, path_of(page), encounter="")
    back = await allow(browser, chosen)
    assert "encounter" not in await browser.token(back.sent["code"])


@pytest.mark.parametrize("encounter", ["visit-3", "nothing"])
async def test_a_visit_of_somebody_else_cannot_be_chosen(browser: Browser, encounter: str) -> None:
    await browser.log_in("anna")
    page = await browser.authorize(scope="launch/encounter patient/Observation.rs")
    refused = await browser.submit(page, path_of(page), encounter=encounter)
    assert (refused.status, refused.title) == (404, "This visit cannot be chosen – Tellonce")


async def test_another_patient_asks_for_the_visit_anew(browser: Browser) -> None:
    await browser.log_in("bell")
    page = await browser.authorize(scope="launch/encounter patient/Observation.rs")
    picker = path_of(page)
    visits = await browser.submit(page, picker, patient="anna")
    await browser.submit(visits, path_of(visits), encounter="visit-1")
    page = await browser.get(f"{picker}?name=kim")
    visits = await browser.submit(page, picker, patient="kim")
    assert visits.values("encounter") == ["visit-3", ""]


async def test_the_patient_of_another_window_is_not_mixed_in(browser: Browser) -> None:
    await browser.log_in("mother")
    picker = await browser.authorize()
    for_kim = await browser.submit(picker, path_of(picker), patient="kim")
    await browser.submit(picker, path_of(picker), patient="lee")
    refused = await allow(browser, for_kim)
    assert (refused.status, refused.title) == (409, "Another patient was chosen – Tellonce")


async def test_consent_cannot_be_reached_around_the_choice_of_a_patient(browser: Browser) -> None:
    await browser.log_in("mother")
    picker = await browser.authorize()
    consent = path_of(picker).replace("/patient", "/consent")
    assert (await browser.get(consent)).title == "Whose record? – Tellonce"
    around = await browser.submit(
        picker, consent, decision="allow", scope="patient/Observation.rs", patient="kim"
    )
    assert around.title == "Whose record? – Tellonce"


async def test_what_one_person_chose_another_does_not_inherit(
    house: House, browser: Browser
) -> None:
    await browser.log_in("bell")
    page = await browser.authorize()
    chosen = await browser.submit(page, path_of(page), patient="kim")
    other = house.browser()
    await other.log_in("anna")
    theirs = await other.get(path_of(chosen))
    assert theirs.values("patient") == ["anna"]


async def test_who_lost_sight_of_the_patient_can_allow_nothing_more(
    house: House, browser: Browser
) -> None:
    await browser.log_in("bell")
    page = await browser.authorize()
    chosen = await browser.submit(page, path_of(page), patient="kim")
    user = await house.users.get("bell")
    assert user is not None
    await house.users.set_roles("bell", ["admin"])
    refused = await allow(browser, chosen)
    assert refused.status == 404
    assert await house.store.find_records(Grant.KIND) == []


async def test_who_may_see_no_record_is_told_what_to_do(house: House, browser: Browser) -> None:
    await browser.log_in("ops")
    page = await browser.authorize()
    assert "There is no record that you may open." in page.words
    back = await browser.submit(page, path_of(page), decision="deny")
    assert back.sent["error"] == "access_denied"
