"""docs/pages.md names every address of the pages."""

from pathlib import Path

from server.auth.pages import PAGES
from server.auth.pages.views import ALWAYS, policy

TEXT = (Path(__file__).parents[2] / "docs" / "pages.md").read_text("utf-8")


def test_every_address_is_on_the_page() -> None:
    for page in PAGES:
        path = page.path
        if path.startswith("/auth/authorize/{id}"):
            path = path.removeprefix("/auth/authorize/{id}")
        if path.startswith("/auth/launch/") or path == "/auth/apps/revoke":
            continue  # steps of the page above them
        assert path.replace("{name}", "") in TEXT


def test_the_headers_are_those_that_are_sent() -> None:
    words = " ".join(TEXT.split())
    assert f"Content-Security-Policy: {policy()}" in words
    for name in ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control"):
        assert f"{name}: {ALWAYS[name]}" in words
