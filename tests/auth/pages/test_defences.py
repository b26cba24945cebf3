"""What no page can forget: headers, tokens of forms, where they come from, the Host."""

import pytest

from server.auth.records import Session
from tests.auth.pages.house import ORIGIN, PASSWORD, Browser, House, authorize_path

EVERY_PAGE = ["/auth/login", "/auth/", "/auth/apps", "/auth/opened", "/auth/authorize"]


@pytest.mark.parametrize("path", EVERY_PAGE)
async def test_every_page_has_the_headers(browser: Browser, path: str) -> None:
    await browser.log_in("anna")
    headers = (await browser.get(path)).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-language"] == "en"


async def test_no_page_holds_a_script_a_style_or_a_foreign_address(browser: Browser) -> None:
    pages = [await browser.get("/auth/login")]
    await browser.log_in("anna")
    pages += [await browser.get(path) for path in EVERY_PAGE]
    pages.append(await browser.authorize(scope="patient/*.cruds openid fhirUser offline_access"))
    for page in pages:
        assert '<html lang="en">' in page.text
        for never in (
            "<script",
            "javascript:",
            " style=",
            "<style",
            " onclick",
            "http://",
            "@import",
        ):
            assert never not in page.text
        elsewhere = page.text.replace("https://app.example", "").replace(ORIGIN, "")
        assert "https://" not in elsewhere


async def test_names_from_the_record_and_from_apps_are_only_shown(
    house: House, browser: Browser
) -> None:
    evil = '"><script>alert(1)</script>'
    await house.add_client("evil", name=evil)
    await house.put({"resourceType": "Patient", "id": "anna", "name": [{"text": evil}]})
    await browser.log_in("anna")
    page = await browser.authorize(client_id="evil")
    assert page.title == f"Allow {evil}? – Tellonce"
    assert "<script" not in page.text


FORMS = ["/auth/login", "/auth/logout", "/auth/apps/revoke"]


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", [None, "", "wrong"])
async def test_a_form_without_the_token_of_the_session_is_refused(
    house: House, browser: Browser, path: str, token: str | None
) -> None:
    await browser.log_in("anna")
    fields = {} if token is None else {"csrf": token}
    page = await browser.post(path, {**fields, "name": "bell", "password": PASSWORD})
    assert (page.status, page.title) == (403, "This page is out of date – Tellonce")
    (record,) = await house.store.find_records(Session.KIND)
    assert record.tag == "anna"


async def test_the_token_of_another_session_is_refused(house: House, browser: Browser) -> None:
    other = await house.browser().log_in("bell")
    await browser.log_in("anna")
    page = await browser.post("/auth/logout", {"csrf": other.csrf})
    assert page.status == 403


async def test_nobody_is_logged_in_by_a_form_of_another_site(house: House) -> None:
    """Login CSRF: the attacker's own token is worth nothing in the victim's browser."""
    attacker, victim = house.browser(), house.browser()
    form = await attacker.get("/auth/login")
    page = await victim.post(
        "/auth/login", {"csrf": form.csrf, "name": "bell", "password": PASSWORD}
    )
    assert page.status == 403
    assert await house.store.find_records(Session.KIND) == []


@pytest.mark.parametrize(
    ("origin", "fetched", "status"),
    [
        (ORIGIN, "same-origin", 303),
        (ORIGIN, "", 303),
        ("", "", 303),
        ("null", "same-origin", 303),
        ("null", "", 403),
        ("null", "cross-site", 403),
        (ORIGIN, "same-site", 403),
        ("https://evil.example", "same-origin", 403),
        ("https://evil.example", "", 403),
        ("http://record.example", "", 403),
        ("", "none", 403),
    ],
)
async def test_a_form_is_taken_from_our_own_pages_only(
    browser: Browser, origin: str, fetched: str, status: int
) -> None:
    page = await browser.log_in("anna")
    answer = await browser.post(
        "/auth/logout",
        {"csrf": page.csrf},
        follow=False,
        headers={"Origin": origin, "Sec-Fetch-Site": fetched},
    )
    assert answer.status == status


HOSTS = ["evil.example", "record.example:444", "record.example.evil", "", "["]
PATHS = ["/auth/login", authorize_path(), "/auth/static/style.css"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "path", [*PATHS, "/", "/auth", "/auth/static/a%0D%0Ab", "/auth/apps?x=a+b%0d"]
)
async def test_who_asks_for_a_page_at_another_address_is_sent_on_to_our_own(
    browser: Browser, host: str, path: str
) -> None:
    answer = (await browser.get(path, follow=False, Host=host)).answer
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{ORIGIN}{path}"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_proxy_with_a_host_of_its_own_is_told_of_and_not_looped_through(
    browser: Browser,
) -> None:
    browser.client.headers["Host"] = "inner:8080"
    page = await browser.get("/auth/login")
    assert page.status == 421
    assert "inner" not in page.text
    assert '<a href="https://record.example/auth/">' in page.text


@pytest.mark.parametrize("host", HOSTS)
async def test_a_form_for_another_host_is_refused(browser: Browser, host: str) -> None:
    page = await browser.log_in("anna")
    sent = {"csrf": page.csrf}
    assert (await browser.post("/auth/logout", sent, headers={"Host": host or "x"})).status == 421
    assert (await browser.get("/auth/")).title == "Start – Tellonce"


@pytest.mark.parametrize("path", ["/", "/auth"])
async def test_the_name_of_the_server_alone_leads_to_the_start_page(
    browser: Browser, path: str
) -> None:
    answer = await browser.get(path, follow=False)
    assert answer.location == f"{ORIGIN}/auth/"
    assert (await browser.get(path)).title == "Log in – Tellonce"


async def test_a_page_can_be_asked_for_by_head(browser: Browser) -> None:
    answer = await browser.client.head("/auth/login")
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/html; charset=utf-8",
    )


async def test_links_are_made_from_the_base_url(browser: Browser) -> None:
    page = await browser.get("/auth/apps", follow=False, **{"X-Forwarded-Host": "evil.example"})
    assert page.location == f"{ORIGIN}/auth/login?next=%2Fauth%2Fapps"


async def test_a_form_that_is_too_large_or_none_is_refused(browser: Browser) -> None:
    page = await browser.log_in("anna")
    large = await browser.post("/auth/logout", {"csrf": page.csrf, "x": "y" * 70_000})
    assert large.status == 413
    json = await browser.post("/auth/logout", {}, headers={"Content-Type": "application/json"})
    assert json.status == 415
    many = await browser.post("/auth/logout", [("a", "b")] * 1001)
    assert many.status == 400


async def test_the_style_is_the_only_asset(browser: Browser) -> None:
    page = await browser.get("/auth/login")
    assert page.text.count('rel="stylesheet"') == 1
    style = await browser.get("/auth/static/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in style.text
    assert "set-cookie" not in style.headers
    assert (await browser.get("/auth/static/..%2fserve.py")).status == 404
    assert (await browser.get("/auth/static/page.html")).status == 404


@pytest.mark.smart(175)
async def test_the_style_for_apps_is_a_static_document(browser: Browser) -> None:
    style = await browser.get("/auth/static/smart-style.json")
    assert style.headers["content-type"] == "application/json"
    assert style.headers["access-control-allow-origin"] == "*"
    assert style.answer.json() == {
        "color_background": "#ffffff",
        "color_error": "#a3122c",
        "color_highlight": "#0b5c8a",
        "color_modal_backdrop": "#1c2530",
        "color_success": "#1d6b3a",
        "color_text": "#1c2530",
        "dim_border_radius": "8px",
        "dim_font_size": "16px",
        "dim_spacing_size": "16px",
        "font_family_body": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
        "font_family_heading": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    }
