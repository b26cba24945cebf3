"""Allowing what an app asks for: all of it, some of it, nothing."""

import pytest

from server.auth.records import Code, Grant
from tests.auth.pages.house import (
    APP,
    Browser,
    House,
    allow,
    opened,
    path_of,
)

VITALS = (
    "patient/Observation.rs?category="
    "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
)


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
