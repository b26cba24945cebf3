"""Login, logout, sessions."""

import pytest

from server.auth.limits import Rate
from server.auth.records import Session, key_of
from tests.auth.pages.house import MINUTE, ORIGIN, PASSWORD, Browser, House, opened

COOKIE = "__Host-tellonce"


async def test_a_person_logs_in_and_sees_the_start_page(browser: Browser) -> None:
    page = await browser.log_in("anna")
    assert (page.status, page.title) == (200, "Start – Tellonce")
    assert "Hello, Anna Roe" in page.words


async def test_the_cookie_is_locked_to_this_host_and_to_https(browser: Browser) -> None:
    form = await browser.get("/auth/login")
    answer = await browser.submit(
        form, "/auth/login", follow=False, name="anna", password=PASSWORD, next=""
    )
    assert answer.status == 303
    assert answer.location == f"{ORIGIN}/auth/"
    (cookie,) = [
        one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}=")
    ]
    value, *attributes = cookie.split("; ")
    assert len(value) == len(COOKIE) + 1 + 43  # 256 bits in base64url
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=lax", "Secure"]


async def test_on_plain_http_the_cookie_has_a_name_that_browsers_keep() -> None:
    async with opened(origin="http://127.0.0.1:8080") as house:
        browser = house.browser()
        await browser.log_in("anna")
        assert "tellonce" in browser.client.cookies
        assert COOKIE not in browser.client.cookies


async def test_the_cookie_is_kept_as_a_hash_only(house: House, browser: Browser) -> None:
    await browser.log_in("anna")
    cookie = browser.client.cookies[COOKIE]
    (record,) = await house.store.find_records(Session.KIND)
    assert record.key == key_of(cookie)
    assert cookie.encode() not in record.value


async def test_a_login_makes_a_new_session_and_ends_the_one_before(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    before = browser.client.cookies[COOKIE]
    again = await browser.get("/auth/login?again=1")
    await browser.submit(again, "/auth/login", name="anna", password=PASSWORD, next="")
    assert browser.client.cookies[COOKIE] != before
    stranger = house.browser()
    stranger.client.cookies.set(COOKIE, before)
    assert (await stranger.get("/auth/")).title == "Log in – Tellonce"


async def test_a_planted_cookie_is_not_taken_over(house: House, browser: Browser) -> None:
    browser.client.cookies.set(COOKIE, "planted" * 7, domain="record.example", path="/")
    await browser.log_in("anna")
    assert await house.store.get_record(Session.KIND, key_of("planted" * 7)) is None
    values = [one.value for one in browser.client.cookies.jar if one.name == COOKIE]
    assert "planted" * 7 not in values


async def test_half_an_hour_without_a_page_logs_out(house: House, browser: Browser) -> None:
    await browser.log_in("anna")
    house.clock.at += 29 * MINUTE
    assert (await browser.get("/auth/")).title == "Start – Tellonce"
    house.clock.at += 29 * MINUTE
    assert (await browser.get("/auth/")).title == "Start – Tellonce"
    house.clock.at += 30 * MINUTE
    assert (await browser.get("/auth/")).title == "Log in – Tellonce"


async def test_twelve_hours_after_the_login_everybody_is_logged_out(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    for _ in range(28):
        house.clock.at += 25 * MINUTE
        assert (await browser.get("/auth/")).title == "Start – Tellonce"
    house.clock.at += 20 * MINUTE
    assert (await browser.get("/auth/")).title == "Log in – Tellonce"


async def test_logging_out_ends_the_session_on_the_server(house: House, browser: Browser) -> None:
    page = await browser.log_in("anna")
    cookie = browser.client.cookies[COOKIE]
    left = await browser.submit(page, "/auth/logout")
    assert "You are logged out." in left.words
    assert COOKIE not in browser.client.cookies
    assert await house.store.find_records(Session.KIND) == []
    browser.client.cookies.set(COOKIE, cookie, domain="record.example", path="/")
    assert (await browser.get("/auth/")).title == "Log in – Tellonce"


async def test_somebody_who_is_locked_out_is_logged_out_at_once(
    house: House, browser: Browser
) -> None:
    await browser.log_in("anna")
    await house.users.set_active("anna", False)
    assert (await browser.get("/auth/")).title == "Log in – Tellonce"


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD)])
async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(
    browser: Browser, name: str, password: str
) -> None:
    page = await browser.log_in(name, password=password)
    assert (page.status, page.title) == (403, "Error: Log in – Tellonce")
    assert "You are not logged in The name or the password is not right." in page.words
    assert COOKIE not in browser.client.cookies


async def test_what_is_missing_is_said_at_the_field_and_above(browser: Browser) -> None:
    page = await browser.log_in("", password="")
    assert page.status == 422
    assert '<a href="#name">Enter your user name.</a>' in page.text
    assert '<a href="#password">Enter your password.</a>' in page.text
    assert 'aria-invalid="true" aria-describedby="name-error"' in page.text


async def test_too_many_tries_are_told_when_to_come_back() -> None:
    async with opened(rates={"login_user": Rate(2, 1)}) as house:
        browser = house.browser()
        for _ in range(2):
            assert (await browser.log_in("anna", password="wrong")).status == 403
        page = await browser.log_in("anna")
        assert page.status == 429
        assert page.headers["retry-after"] == "60"
        assert "Too many tries. Please try again in 60 seconds." in page.words
        house.clock.at += MINUTE
        assert (await browser.log_in("anna")).title == "Start – Tellonce"


async def test_right_passwords_use_up_no_tries() -> None:
    async with opened(rates={"login_user": Rate(2, 1)}) as house:
        for _ in range(4):
            assert (await house.browser().log_in("anna")).title == "Start – Tellonce"


async def test_the_password_is_never_on_a_page(browser: Browser) -> None:
    page = await browser.log_in("anna", password="not-the-right-one")
    assert "not-the-right-one" not in page.text


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/auth/",
        "/\\evil.example",
        "/auth/../../x",
        "/fhir/Patient",
        "javascript:alert(1)",
        "/auth/\r\nX: y",
    ],
)
async def test_a_login_leads_to_no_page_but_ours(browser: Browser, wanted: str) -> None:
    form = await browser.get("/auth/login")
    page = await browser.submit(
        form, "/auth/login", follow=False, name="anna", password=PASSWORD, next=wanted
    )
    assert page.location == f"{ORIGIN}/auth/"


async def test_a_page_is_gone_back_to_after_the_login(browser: Browser) -> None:
    form = await browser.get("/auth/apps")
    assert form.title == "Log in – Tellonce"
    assert form.values("next") == ["/auth/apps"]
    page = await browser.submit(
        form, "/auth/login", name="anna", password=PASSWORD, next="/auth/apps"
    )
    assert page.title == "Apps with access – Tellonce"


async def test_logins_and_logouts_are_told(house: House, browser: Browser) -> None:
    await browser.log_in("anna", password="wrong")
    await browser.log_in("nobody")
    page = await browser.log_in("anna")
    await browser.submit(page, "/auth/logout")
    assert await house.heard() == [
        ("110122", "user/anna", "4"),
        ("110122", "anybody", "4"),
        ("110122", "user/anna", "0"),
        ("110123", "user/anna", "0"),
    ]


async def test_a_stranger_cannot_fill_the_disk_with_failed_logins() -> None:
    async with opened(rates={"login_user": Rate(5, 1)}) as house:
        browser = house.browser()
        for _ in range(30):
            await browser.log_in("anna", password="wrong password")
        for _ in range(30):
            await browser.log_in("nobody", password="wrong password")
        heard = await house.heard()
    told = [principal for code, principal, _ in heard if code == "110122"]
    assert told.count("user/anna") == 5
    assert told.count("anybody") == 20
