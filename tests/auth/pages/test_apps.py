"""Apps with access: what is shown, and taking it back."""

import pytest

from server.auth.records import Grant
from server.store.port import RecordWrite
from tests.auth.pages.house import MINUTE, SECOND, START, Browser, House

DAY = 1440 * MINUTE


async def grant(house: House, id_: str, user: str, patient: str | None, **more: object) -> None:
    kept = Grant(
        id_,
        client=str(more.pop("client", "chart")),
        user=user,
        scope=str(more.pop("scope", "patient/Observation.rs")),
        patient=patient,
        created=START,
        **more,  # type: ignore[arg-type]
    )
    await house.store.commit([], records=[RecordWrite(Grant.KIND, id_, kept.pack(), tag=user)])


async def test_an_app_is_shown_with_what_it_may_do(house: House, browser: Browser) -> None:
    await grant(house, "g1", "anna", "anna", used=START + 3 * DAY, refresh="offline")
    await browser.log_in("anna")
    page = await browser.get("/auth/apps")
    assert (
        "Growth Chart Record your record Allowed 2 January 2026 Last used 5 January 2026 "
        "Ends when you take it away It may see your test results, vital signs and other "
        "observations Take access away"
    ) in page.words


async def test_grants_of_one_app_for_one_record_are_one(house: House, browser: Browser) -> None:
    await grant(house, "g1", "anna", "anna")
    await grant(house, "g2", "anna", "anna", scope="patient/Condition.rs")
    await browser.log_in("anna")
    page = await browser.get("/auth/apps")
    assert page.words.count("Take access away") == 1
    assert page.values("grant") == ["g1", "g2"]
    assert "see your health problems and diagnoses" in page.words


async def test_taking_access_away_works_at_once(house: House, browser: Browser) -> None:
    await grant(house, "g1", "anna", "anna")
    await browser.log_in("anna")
    page = await browser.get("/auth/apps")
    gone = await browser.submit(page, "/auth/apps/revoke", grant="g1")
    assert "The app has no access any more." in gone.words
    assert "No app may open a record in your name." in gone.words
    assert await house.store.get_record(Grant.KIND, "g1") is None
    assert ("110137", "user/anna", "0") in await house.heard()


@pytest.mark.parametrize("ids", [["g2"], ["g1", "g2"], ["unknown"], []])
async def test_only_what_is_ones_own_can_be_taken_away(
    house: House, browser: Browser, ids: list[str]
) -> None:
    await grant(house, "g1", "anna", "anna")
    await grant(house, "g2", "mother", "kim")
    await browser.log_in("anna")
    page = await browser.get("/auth/apps")
    refused = await browser.submit(page, "/auth/apps/revoke", grant=ids)
    assert refused.status == 404
    assert len(await house.store.find_records(Grant.KIND)) == 2


async def test_nothing_is_taken_away_by_following_a_link(house: House, browser: Browser) -> None:
    await grant(house, "g1", "anna", "anna")
    await browser.log_in("anna")
    assert (await browser.get("/auth/apps/revoke?grant=g1")).status == 405
    assert await house.store.get_record(Grant.KIND, "g1") is not None


async def test_who_acts_for_children_sees_the_apps_for_their_records(
    house: House, browser: Browser
) -> None:
    await grant(house, "g1", "mother", "kim")
    await grant(house, "g2", "mother", "lee")
    await browser.log_in("mother")
    page = await browser.get("/auth/apps")
    assert "Record the record of Kim Doe" in page.words
    assert "Record the record of Lee Doe" in page.words
    assert "see Lee Doe’s test results" in page.words


async def test_a_patient_sees_what_others_allowed_for_the_record(
    house: House, browser: Browser
) -> None:
    await house.add_user("kim", "patient", "Patient/kim", "Kim Doe")
    await grant(house, "g1", "mother", "kim")
    await grant(house, "g2", "mother", "lee")
    await browser.log_in("kim")
    page = await browser.get("/auth/apps")
    assert page.values("grant") == ["g1"]
    assert "Allowed 2 January 2026, by Mary Doe" in page.words
    assert "or somebody who acts for you" in page.words


async def test_a_clinician_sees_what_apps_may_do_in_their_name(
    house: House, browser: Browser
) -> None:
    await grant(house, "g1", "bell", None, scope="user/Observation.rs", used=START + SECOND)
    await browser.log_in("bell")
    page = await browser.get("/auth/apps")
    assert "Record many records" in page.words
    assert "observations of the patients whose records you may open" in page.words


async def test_an_app_that_is_registered_no_more_can_still_be_removed(
    house: House, browser: Browser
) -> None:
    await grant(house, "g1", "anna", "anna", client="gone")
    await browser.log_in("anna")
    page = await browser.get("/auth/apps")
    assert page.values("grant") == ["g1"]
    await browser.submit(page, "/auth/apps/revoke", grant="g1")
    assert await house.store.get_record(Grant.KIND, "g1") is None
