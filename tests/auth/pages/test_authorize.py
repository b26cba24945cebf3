"""From an app's request to a code: who may go on, what is chosen, what is allowed."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from server.auth.records import Code, Grant, key_of
from tests.auth.pages.house import (
    APP,
    MINUTE,
    PASSWORD,
    Browser,
    House,
    Page,
    authorize_path,
    opened,
)

VITALS = (
    "patient/Observation.rs?category="
    "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
)


def path_of(page: Page) -> str:
    return urlsplit(str(page.answer.url)).path


async def allow(browser: Browser, page: Page, **more: Any) -> Page:
    fields = {"scope": page.ticked, "patient": page.values("patient")[0], **more}
    return await browser.submit(page, path_of(page), decision="allow", **fields)


@pytest.mark.smart(48, 53, 56, 57, 59)
async def test_who_is_not_logged_in_logs_in_allows_and_comes_back_with_a_code(
    browser: Browser,
) -> None:
    form = await browser.authorize()
    assert form.title == "Log in – Tellonce"
    assert "Growth Chart asks to open a record." in form.words
    page = await browser.submit(
        form, "/auth/login", name="anna", password=PASSWORD, next=form.values("next")[0]
    )
    assert page.title == "Allow Growth Chart? – Tellonce"
    back = await allow(browser, page)
    assert back.status == 303
    assert back.location.startswith(f"{APP}/cb?code=")
    assert back.sent["state"] == "s-1"
    assert "iss" not in back.sent


@pytest.mark.smart(49)
async def test_an_app_may_ask_by_post_from_its_own_page(browser: Browser) -> None:
    await browser.log_in("anna")
    asked = urlsplit(authorize_path()).query
    answer = await browser.client.post(
        "/auth/authorize",
        content=asked,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": APP,
            "Sec-Fetch-Site": "cross-site",
        },
    )
    assert answer.status_code == 303
    page = await browser.get(answer.headers["location"])
    assert page.title == "Allow Growth Chart? – Tellonce"


@pytest.mark.smart(54)
async def test_a_refusal_is_told_to_the_app(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    back = await browser.submit(page, path_of(page), decision="deny")
    assert back.location.startswith(f"{APP}/cb?error=access_denied")
    assert back.sent["state"] == "s-1"
    assert "code" not in back.sent


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ({"client_id": "unknown"}, "Unknown app – Tellonce"),
        ({"client_id": None}, "Unknown app – Tellonce"),
        ({"redirect_uri": "https://evil.example/cb"}, "Unknown address – Tellonce"),
        ({"redirect_uri": f"{APP}/cb?x=1"}, "Unknown address – Tellonce"),
        ({"redirect_uri": None}, "Unknown address – Tellonce"),
    ],
)
async def test_an_unknown_app_or_address_is_told_in_a_page_and_nowhere_else(
    browser: Browser, asked: dict[str, str | None], title: str
) -> None:
    page = await browser.authorize(**asked)
    assert (page.status, page.title) == (400, title)
    assert "location" not in page.headers
    assert "evil" not in page.text


async def test_other_mistakes_of_an_app_are_told_to_the_app(browser: Browser) -> None:
    page = await browser.authorize(code_challenge_method="plain")
    assert page.status == 303
    assert page.sent["error"] == "invalid_request"
    assert page.location.startswith(f"{APP}/cb?")


async def test_a_patient_is_not_asked_whose_record(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    assert page.title == "Allow Growth Chart? – Tellonce"
    assert "Anna Roe born 1 February 1980, female, number 1001" in page.words
    assert page.values("patient") == ["anna"]


@pytest.mark.smart(164, 168, 169, 170)
async def test_a_patient_is_in_context_without_launch_patient_too(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize(scope="patient/Observation.rs")
    back = await allow(browser, page)
    token = await browser.token(back.sent["code"])
    assert token["patient"] == "anna"
    assert token["scope"] == "patient/Observation.rs"


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


@pytest.mark.smart(171)
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


async def test_each_thing_asked_for_is_said_and_can_be_unticked(browser: Browser) -> None:
    await browser.log_in("anna")
    scope = "openid fhirUser offline_access patient/Observation.rs patient/Condition.rs"
    page = await browser.authorize(scope=scope)
    assert page.ticked == [
        "patient/Observation.rs",
        "patient/Condition.rs",
        "openid",
        "fhirUser",
        "offline_access",
    ]
    assert "See your test results, vital signs and other observations" in page.words
    assert "Keep its access when you are not using it, until you remove it" in page.words
    back = await allow(browser, page, scope=["patient/Condition.rs", "openid"])
    token = await browser.token(back.sent["code"])
    assert token["scope"].split() == ["openid", "patient/Condition.rs"]
    assert "refresh_token" not in token


async def test_a_part_can_be_allowed_instead_of_the_whole(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    assert VITALS in page.values("scope")
    back = await allow(browser, page, scope=["launch/patient", VITALS])
    token = await browser.token(back.sent["code"])
    assert token["scope"] == f"launch/patient {VITALS}"


@pytest.mark.parametrize(
    "scope",
    ["patient/*.rs", "patient/Observation.cruds", "patient/Observation.rs ", "offline_access", ""],
)
async def test_what_was_not_offered_cannot_be_allowed(
    house: House, browser: Browser, scope: str
) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    refused = await allow(browser, page, scope=["launch/patient", scope])
    assert (refused.status, refused.title) == (400, "This was not asked for – Tellonce")
    assert await house.store.find_records(Grant.KIND) == []
    assert await house.store.find_records(Code.KIND) == []


async def test_nothing_ticked_is_asked_about(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    again = await allow(browser, page, scope=[])
    assert (again.status, again.title) == (422, "Error: Allow Growth Chart? – Tellonce")
    assert '<a href="#asks">' in again.text


async def test_an_app_that_asks_to_write_is_warned_of(browser: Browser) -> None:
    await browser.log_in("anna")
    reading = await browser.authorize(scope="patient/Observation.rs")
    assert "This app asks to change the record." not in reading.words
    writing = await browser.authorize(scope="patient/Observation.cruds")
    assert "This app asks to change the record." in writing.words
    assert "changes the record" in writing.words


async def test_it_is_said_who_registered_the_app(house: House, browser: Browser) -> None:
    await house.add_client("new", registered_by="itself", name="City Hospital")
    await browser.log_in("anna")
    known = await browser.authorize()
    assert "was registered by those who run Tellonce, on 2 January 2026" in known.words
    stranger = await browser.authorize(client_id="new")
    assert "Nobody at Tellonce has checked this app. It registered itself" in stranger.words
    assert "know app.example , where you go on afterwards" in stranger.words


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


async def test_a_request_is_answered_once(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    await allow(browser, page)
    again = await allow(browser, page)
    assert (again.status, again.title) == (400, "This page has expired – Tellonce")
    assert "Please go back to the app and start again" in again.words


async def test_a_request_waits_ten_minutes(house: House, browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    house.clock.at += 11 * MINUTE
    late = await allow(browser, page)
    assert (late.status, late.title) == (400, "This page has expired – Tellonce")


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


async def test_prompt_none_shows_no_page(browser: Browser) -> None:
    stranger = await browser.authorize(prompt="none")
    assert stranger.sent["error"] == "login_required"
    await browser.log_in("anna")
    asked = await browser.authorize(prompt="none")
    assert asked.sent["error"] == "consent_required"
    scope = "launch/encounter patient/Observation.rs"
    chooses = await browser.authorize(prompt="none", scope=scope)
    assert chooses.sent["error"] == "interaction_required"


async def test_prompt_login_asks_for_the_password_again_once(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    house.clock.at += MINUTE
    form = await browser.authorize(prompt="login")
    assert form.title == "Log in – Tellonce"
    page = await browser.submit(
        form, "/auth/login", name="anna", password=PASSWORD, next=form.values("next")[0]
    )
    assert page.title == "Allow Growth Chart? – Tellonce"


async def test_a_login_that_is_older_than_max_age_is_asked_for_again(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    house.clock.at += 2 * MINUTE
    assert (await browser.authorize(max_age="300")).title == "Allow Growth Chart? – Tellonce"
    assert (await browser.authorize(max_age="60")).title == "Log in – Tellonce"


async def test_consent_is_asked_for_each_time_unless_the_operator_says_otherwise(
    browser: Browser,
) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    await browser.token((await allow(browser, page)).sent["code"])
    assert (await browser.authorize()).title == "Allow Growth Chart? – Tellonce"


async def test_an_operator_may_let_the_same_consent_count_again() -> None:
    async with opened(remember_consent=True) as house:
        browser = house.browser()
        await browser.log_in("anna")
        page = await browser.authorize()
        await browser.token((await allow(browser, page)).sent["code"])
        assert "code" in (await browser.authorize()).sent
        assert "code" in (await browser.authorize(prompt="none")).sent
        for more in ({"scope": "patient/*.rs"}, {"prompt": "consent"}):
            assert (await browser.authorize(**more)).title == "Allow Growth Chart? – Tellonce"


async def test_forms_may_lead_to_the_address_of_the_app_and_to_no_other(browser: Browser) -> None:
    form = await browser.authorize()
    await browser.log_in("mother")
    picker = await browser.authorize()
    consent = await browser.submit(picker, path_of(picker), patient="kim")
    for page in (form, picker, consent):
        policy = page.headers["content-security-policy"]
        assert f"form-action 'self' {APP};" in policy


async def test_an_app_of_a_device_comes_back_by_its_own_scheme(
    house: House, browser: Browser
) -> None:
    await house.add_client("phone", redirect_uris=("com.example.app:/cb",))
    await browser.log_in("anna")
    page = await browser.authorize(client_id="phone", redirect_uri="com.example.app:/cb")
    assert "form-action 'self' com.example.app:;" in page.headers["content-security-policy"]
    assert "you go on at the app com.example.app on this device" in page.words
    assert (await allow(browser, page)).location.startswith("com.example.app:/cb?code=")


async def test_who_may_see_no_record_is_told_what_to_do(house: House, browser: Browser) -> None:
    await browser.log_in("ops")
    page = await browser.authorize()
    assert "There is no record that you may open." in page.words
    back = await browser.submit(page, path_of(page), decision="deny")
    assert back.sent["error"] == "access_denied"


@pytest.mark.smart(100)
async def test_logging_out_ends_online_access_and_leaves_offline_access(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    for lasting in ("online_access", "offline_access"):
        page = await browser.authorize(scope=f"patient/Observation.rs {lasting}")
        await browser.token((await allow(browser, page)).sent["code"])
    records = await house.store.find_records(Grant.KIND)
    assert len(records) == 2
    home = await browser.get("/auth/")
    await browser.submit(home, "/auth/logout")
    (left,) = await house.store.find_records(Grant.KIND)
    assert Grant.unpack(left.value).refresh == "offline"


async def test_the_address_of_a_request_is_not_kept_in_the_clear(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    page = await browser.authorize()
    id_ = path_of(page).split("/")[3]
    pending = await house.context.authorize.pending(id_)
    (record,) = await house.store.find_records("pending")
    assert record.key == key_of(id_)
    assert replace(pending, id="").pack() == record.value
