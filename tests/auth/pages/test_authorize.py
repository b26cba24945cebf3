"""From an app's request to a code: who may go on, what is chosen, what is allowed."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from server.auth.records import Grant, key_of
from tests.auth.pages.house import (
    APP,
    MINUTE,
    PASSWORD,
    SECOND,
    Browser,
    House,
    allow,
    authorize_path,
    path_of,
)


@pytest.mark.smart(48, 53, 56, 57, 59, 353)
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


@pytest.mark.smart(49, 354)
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


@pytest.mark.smart(164, 168, 169, 170, 363)
async def test_a_patient_is_in_context_without_launch_patient_too(browser: Browser) -> None:
    await browser.log_in("anna")
    page = await browser.authorize(scope="patient/Observation.rs")
    back = await allow(browser, page)
    token = await browser.token(back.sent["code"])
    assert token["patient"] == "anna"
    assert token["scope"] == "patient/Observation.rs"


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


async def test_who_was_logged_out_meanwhile_logs_in_and_goes_on(browser: Browser) -> None:
    start = await browser.log_in("anna")
    page = await browser.authorize()
    await browser.submit(start, "/auth/logout")
    form = await allow(browser, page)
    assert form.title == "Log in – Tellonce"
    assert "Growth Chart" in form.words
    fields = {"name": "anna", "password": PASSWORD, "next": form.values("next")[0]}
    again = await browser.submit(form, "/auth/login", **fields)
    assert again.title == "Allow Growth Chart? – Tellonce"


async def test_a_login_for_the_request_is_new_enough_for_any_max_age(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    house.clock.at += SECOND
    form = await browser.authorize(max_age="0")
    assert form.title == "Log in – Tellonce"
    house.clock.at += SECOND
    fields = {"name": "anna", "password": PASSWORD, "next": form.values("next")[0]}
    answer = await browser.submit(form, "/auth/login", follow=False, **fields)
    house.clock.at += SECOND
    page = await browser.get(urlsplit(answer.location).path)
    assert page.title == "Allow Growth Chart? – Tellonce"


@pytest.mark.parametrize(
    "more", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}]
)
@pytest.mark.parametrize("question", ["consent", "patient", "visit"])
async def test_no_question_is_shown_before_the_new_login_that_the_app_wants(
    house: House, browser: Browser, more: dict[str, str], question: str
) -> None:
    before = await browser.log_in("anna")
    house.clock.at += SECOND
    form = await browser.authorize(**more)
    asked = urlsplit(form.values("next")[0]).path
    assert (await browser.get(f"{asked}/{question}")).title == "Log in – Tellonce"
    fields = {"decision": "allow", "patient": "anna", "scope": "patient/Observation.rs"}
    page = await browser.submit(before, f"{asked}/{question}", **fields)
    assert page.title == "Log in – Tellonce"


async def test_a_login_that_is_older_than_max_age_is_asked_for_again(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    house.clock.at += 2 * MINUTE
    assert (await browser.authorize(max_age="300")).title == "Allow Growth Chart? – Tellonce"
    assert (await browser.authorize(max_age="60")).title == "Log in – Tellonce"


async def test_an_app_of_a_device_comes_back_by_its_own_scheme(
    house: House, browser: Browser
) -> None:
    await house.add_client("phone", redirect_uris=("com.example.app:/cb",))
    await browser.log_in("anna")
    page = await browser.authorize(client_id="phone", redirect_uri="com.example.app:/cb")
    assert "form-action 'self' com.example.app:;" in page.headers["content-security-policy"]
    assert "you go on at the app com.example.app on this device" in page.words
    assert (await allow(browser, page)).location.startswith("com.example.app:/cb?code=")


@pytest.mark.smart(100, 365, 366)
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
