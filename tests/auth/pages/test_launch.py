"""EHR launch: handles, and the small EHR of our own."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from server.auth.records import Grant, Launch, key_of
from server.store.port import RecordWrite
from tests.auth.pages.house import APP, BASE, MINUTE, ORIGIN, Browser, House, Page, allow, path_of

EHR = {"Authorization": "Bearer administrator"}
SCOPE = "launch patient/Observation.rs openid fhirUser"


async def ask(
    browser: Browser, body: dict[str, Any], headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    answer = await browser.client.post(
        "/auth/launch", json=body, headers=EHR if headers is None else headers
    )
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


async def launched(browser: Browser, handle: str, **more: str | None) -> Page:
    return await browser.authorize(launch=handle, **{"scope": SCOPE, **more})


@pytest.mark.smart(168, 169, 170, 171, 172, 173, 174, 176, 178, 352, 359, 361, 362)
async def test_what_an_ehr_launches_with_comes_beside_the_token(
    house: House, browser: Browser
) -> None:
    context = [{"reference": "ImagingStudy/1"}, {"reference": "Encounter/2", "role": "urn:other"}]
    status, made = await ask(
        browser,
        {
            "user": "bell",
            "client": "chart",
            "patient": "anna",
            "encounter": "visit-1",
            "fhirContext": context,
            "intent": "reconcile-medications",
            "need_patient_banner": False,
            "tenant": "north",
        },
    )
    assert status == 200
    address = urlsplit(made["url"])
    assert address.geturl().startswith(f"{APP}/launch?")
    assert parse_qs(address.query) == {"iss": [BASE], "launch": [made["launch"]]}
    await browser.log_in("bell")
    page = await launched(browser, made["launch"])
    assert page.title == "Allow Growth Chart? – Tellonce"
    assert "Anna Roe" in page.words
    assert "Choose another patient" not in page.words
    token = await browser.token((await allow(browser, page)).sent["code"])
    said = ("patient", "encounter", "fhirContext", "intent", "need_patient_banner", "tenant")
    assert {name: token[name] for name in said} == {
        "patient": "anna",
        "encounter": "visit-1",
        "fhirContext": context,
        "intent": "reconcile-medications",
        "need_patient_banner": False,
        "tenant": "north",
    }


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "client is missing: the id of the app"),
        ({"client": "unknown", "user": "bell"}, "there is no app unknown that can be started"),
        ({"client": "chart"}, "user is missing, or no user of this server"),
        ({"client": "chart", "user": "nobody"}, "user is missing, or no user of this server"),
        ({"client": "chart", "user": "bell", "color": "red"}, "color is not a member of a launch"),
        (
            {"client": "chart", "user": "bell", "patient": "nobody"},
            "there is no such patient whose record the user may open",
        ),
        (
            {"client": "chart", "user": "anna", "patient": "kim"},
            "there is no such patient whose record the user may open",
        ),
        (
            {"client": "chart", "user": "bell", "patient": "anna", "encounter": "visit-3"},
            "there is no such encounter of the patient",
        ),
        (
            {"client": "chart", "user": "bell", "encounter": "visit-3"},
            "an encounter is of a patient: send patient too",
        ),
        (
            {"client": "chart", "user": "bell", "need_patient_banner": "yes"},
            "need_patient_banner is true or false",
        ),
        (
            {"client": "chart", "user": "bell", "fhirContext": {}},
            "fhirContext is a list of objects",
        ),
        (
            {"client": "chart", "user": "bell", "intent": 7},
            "intent is a text of at most 256 characters",
        ),
    ],
)
async def test_a_launch_that_cannot_be_is_refused_with_the_reason(
    browser: Browser, body: dict[str, Any], told: str
) -> None:
    assert await ask(browser, body) == (400, {"error": "invalid", "error_description": told})


@pytest.mark.smart(177, 178, 188)
@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "Patient/anna"},
        {"reference": "Encounter/visit-1"},
        {"type": "ImagingStudy"},
        {"reference": "ImagingStudy/1", "role": "relative"},
        {"reference": "ImagingStudy/1", "role": ""},
    ],
)
async def test_a_fhir_context_that_smart_does_not_allow_is_refused(
    browser: Browser, wrong: dict[str, Any]
) -> None:
    body = {"client": "chart", "user": "bell", "patient": "anna", "fhirContext": [wrong]}
    status, told = await ask(browser, body)
    assert status == 400
    assert told["error_description"].startswith("fhirContext: each names a reference")


async def test_a_launch_is_used_once(browser: Browser) -> None:
    _, made = await ask(browser, {"client": "chart", "user": "bell", "patient": "anna"})
    await browser.log_in("bell")
    assert (await launched(browser, made["launch"])).title == "Allow Growth Chart? – Tellonce"
    again = await launched(browser, made["launch"])
    assert again.sent["error"] == "invalid_request"


async def test_a_launch_that_nobody_made_is_refused(browser: Browser) -> None:
    await browser.log_in("bell")
    assert (await launched(browser, "guessed")).sent["error"] == "invalid_request"


async def test_a_launch_waits_five_minutes(house: House, browser: Browser) -> None:
    _, made = await ask(browser, {"client": "chart", "user": "bell", "patient": "anna"})
    await browser.log_in("bell")
    house.clock.at += 5 * MINUTE
    assert (await launched(browser, made["launch"])).sent["error"] == "invalid_request"


async def test_a_launch_of_another_user_is_refused(browser: Browser) -> None:
    _, made = await ask(browser, {"client": "chart", "user": "bell", "patient": "anna"})
    await browser.log_in("anna")
    page = await launched(browser, made["launch"])
    assert (page.status, page.title) == (403, "This app was started by somebody else – Tellonce")


async def test_a_launch_for_another_app_is_refused(house: House, browser: Browser) -> None:
    await house.add_client("other")
    _, made = await ask(browser, {"client": "other", "user": "bell", "patient": "anna"})
    await browser.log_in("bell")
    assert (await launched(browser, made["launch"])).sent["error"] == "invalid_request"


async def test_only_an_ehr_or_an_administrator_launches_for_others(
    house: House, browser: Browser
) -> None:
    body = {"client": "chart", "user": "bell", "patient": "anna"}
    assert (await ask(browser, body, {}))[0] == 401
    assert (await ask(browser, body, {"Authorization": "Bearer wrong"}))[0] == 401
    for id_, scope, user in (
        ("ehr", "launch system/Patient.rs", None),
        ("not", "system/*.rs", None),
        ("app", "launch", "anna"),
    ):
        grant = Grant(id_, "ehr", user, scope)
        await house.store.commit([], records=[RecordWrite(Grant.KIND, id_, grant.pack())])
    assert (await ask(browser, body, {"Authorization": "Bearer grant ehr"}))[0] == 200
    assert (await ask(browser, body, {"Authorization": "Bearer grant not"}))[0] == 403
    assert (await ask(browser, body, {"Authorization": "Bearer grant app"}))[0] == 403


async def test_a_session_launches_for_its_own_user_with_its_token(
    house: House, browser: Browser
) -> None:
    page = await browser.log_in("bell")
    body = {"client": "chart", "patient": "anna"}
    assert (await ask(browser, body, {}))[0] == 403
    assert (await ask(browser, {**body, "csrf": "wrong"}, {}))[0] == 403
    others = {**body, "csrf": page.csrf, "user": "anna"}
    assert (await ask(browser, others, {}))[0] == 403
    status, made = await ask(browser, {**body, "csrf": page.csrf}, {})
    assert status == 200
    record = await house.store.get_record(Launch.KIND, key_of(made["launch"]))
    assert record is not None
    assert Launch.unpack(record.value).user == "bell"
    foreign = {"Origin": "https://evil.example"}
    answer = await browser.client.post(
        "/auth/launch", json={**body, "csrf": page.csrf}, headers=foreign
    )
    assert answer.status_code == 403


async def test_a_clinician_starts_an_app_from_here(house: House, browser: Browser) -> None:
    await house.add_client("plain", name="No launch", launch_uri=None)
    await browser.log_in("bell")
    apps = await browser.get("/auth/launch")
    assert apps.values("app") == ["chart"]
    find = await browser.get("/auth/launch/patient?app=chart")
    assert find.title == "Find a patient – Tellonce"
    found = await browser.get("/auth/launch/patient?app=chart&name=anna")
    assert found.values("patient") == ["anna"]
    visits = await browser.get("/auth/launch/patient?app=chart&patient=anna")
    assert visits.title == "Which visit? – Tellonce"
    assert f"form-action 'self' {APP};" in visits.headers["content-security-policy"]
    away = await browser.submit(
        visits, "/auth/launch", app="chart", patient="anna", encounter="visit-2"
    )
    assert away.status == 303
    assert away.location.startswith(f"{APP}/launch?iss=https%3A%2F%2Frecord.example%2Ffhir&launch=")
    page = await launched(browser, away.sent["launch"])
    assert "Emergency visit" in page.words
    token = await browser.token((await allow(browser, page)).sent["code"])
    assert (token["patient"], token["encounter"]) == ("anna", "visit-2")


async def start(browser: Browser) -> str:
    await browser.log_in("bell")
    visits = await browser.get("/auth/launch/visit?app=chart&patient=anna")
    away = await browser.submit(visits, "/auth/launch", app="chart", patient="anna", encounter="")
    return away.sent["launch"]


async def test_a_launch_of_another_session_is_refused(house: House, browser: Browser) -> None:
    other = house.browser()
    await other.log_in("bell")
    house.clock.at += MINUTE
    handle = await start(browser)
    page = await launched(other, handle)
    assert (page.status, page.title) == (403, "This app was started elsewhere – Tellonce")


async def test_who_was_logged_out_meanwhile_logs_in_and_goes_on(
    house: House, browser: Browser
) -> None:
    handle = await start(browser)
    browser.client.cookies.clear()
    house.clock.at += MINUTE
    form = await launched(browser, handle)
    assert form.title == "Log in – Tellonce"
    page = await browser.log_in("bell", form.values("next")[0])
    assert page.title == "Allow Growth Chart? – Tellonce"


async def test_a_logout_ends_launches_that_were_not_used(house: House, browser: Browser) -> None:
    handle = await start(browser)
    await browser.submit(await browser.get("/auth/"), "/auth/logout")
    assert await house.store.get_record(Launch.KIND, key_of(handle)) is None


@pytest.mark.parametrize(
    ("app", "patient", "encounter", "status"),
    [
        ("chart", "nobody", "", 404),
        ("chart", "anna", "visit-3", 404),
        ("unknown", "anna", "", 404),
        ("", "", "", 404),
    ],
)
async def test_a_form_that_was_tampered_with_starts_nothing(
    house: House, browser: Browser, app: str, patient: str, encounter: str, status: int
) -> None:
    page = await browser.log_in("bell")
    answer = await browser.submit(
        page, "/auth/launch", app=app, patient=patient, encounter=encounter
    )
    assert answer.status == status
    assert await house.store.find_records(Launch.KIND) == []


async def test_patients_are_no_clinicians(browser: Browser) -> None:
    page = await browser.log_in("anna")
    assert "Start an app" not in page.words
    for path in ("/auth/launch", "/auth/launch/patient?app=chart", "/auth/launch/visit?app=chart"):
        assert (await browser.get(path)).status == 403
    started = await browser.submit(page, "/auth/launch", app="chart", patient="anna")
    assert started.status == 403


async def test_an_app_cannot_choose_another_patient_than_it_was_launched_with(
    browser: Browser,
) -> None:
    handle = await start(browser)
    page = await launched(browser, handle)
    picker = path_of(page).replace("/consent", "/patient")
    assert (await browser.get(picker)).status == 409
    assert (await browser.submit(page, picker, patient="kim")).status == 409
    assert ORIGIN in str(page.answer.url)
