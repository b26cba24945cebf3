"""Pages as HTML: Jinja2 with autoescape, and the headers that go with every page.

No script is ever sent, and the policy allows none: what a patient's name or an app's name holds
can only be shown.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from server.auth.pages.people import date_words
from server.auth.pages.site import Site

STYLE = files("server.auth.pages").joinpath("static/style.css").read_bytes()
_STYLE_VERSION = sha256(STYLE).hexdigest()[:12]

ALWAYS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Views:
    """Renders the templates of this package for one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._jinja = Environment(
            loader=PackageLoader("server.auth.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals.update(
            site=site,
            to=site.path,
            day=day,
            style=site.path(f"/auth/static/style.css?v={_STYLE_VERSION}"),
        )

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        form_to: Iterable[str] = (),
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Return a page.  ``form_to``: addresses that a form on it may end up at by redirects."""
        text = self._jinja.get_template(f"{template}.html").render(**values)
        more = {"Content-Security-Policy": policy(form_to), **(headers or {})}
        return Response(
            text, status, {**ALWAYS, **more, "Content-Language": "en"}, "text/html; charset=utf-8"
        )

    def redirect(self, path: str, status: int = 303) -> Response:
        """Return the way to another page of ours; by 303 the browser asks for it with GET."""
        return RedirectResponse(self._site.address(path), status, ALWAYS)


def day(at: int) -> str:
    """Return the day of an instant (microseconds), in UTC.

    >>> day(1_767_323_045_678_000)
    '2 January 2026'
    """
    return date_words(datetime.fromtimestamp(at // 1_000_000, UTC).date().isoformat())


def policy(form_to: Iterable[str] = ()) -> str:
    """Return the Content-Security-Policy of a page.  CSP 3.

    >>> policy(["https://app.example/cb?x=1", "com.example.app:/cb"]).split("; ")[3]
    "form-action 'self' https://app.example com.example.app:"
    """
    targets = " ".join(dict.fromkeys(["'self'", *filter(None, map(source, form_to))]))
    return (
        f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def source(address: str) -> str:
    """Return the source expression of an address: its origin, or its scheme where it has none.

    >>> source("http://127.0.0.1:5000/cb"), source("http://[::1]:5000/cb"), source("app:/cb")
    ('http://127.0.0.1:5000', 'http:', 'app:')
    """
    parts = urlsplit(address)
    # The grammar knows no IPv6 address.
    if parts.scheme in ("http", "https") and parts.netloc and "[" not in parts.netloc:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{parts.scheme}:"
