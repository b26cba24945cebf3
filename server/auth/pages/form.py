"""Forms: read within limits, refused unless they come from a page of ours.

Three checks, each enough by itself in most browsers: the cookie is SameSite=Lax, the form holds a
token of the session, and the browser says where the form was sent from.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request

from server.auth.pages.page_error import PageError
from server.auth.pages.sessions import matches
from server.auth.pages.site import Site

MAX_BYTES = 64 * 1024
MAX_FIELDS = 1000
CSRF = "csrf"
_BACK = "Go back, load the page again and send the form once more."


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, decoded, in their order."""

    pairs: tuple[tuple[str, str], ...] = ()

    def one(self, name: str) -> str:
        """Return a field's value; empty when it is absent or there several times."""
        found = self.all(name)
        return found[0] if len(found) == 1 else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of a field that may repeat."""
        return tuple(value for key, value in self.pairs if key == name)


NO_FORM = Form()


async def read_form(request: Request) -> Form:
    """Return the form in the body of a POST.

    Raises:
        PageError: it is none, or too large (413, 415, 400).
    """
    return form_of(request, await read_body(request))


async def read_body(request: Request) -> bytes:
    """Return the body of a POST; raise PageError (413) when it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise PageError(413, "The form is too large", f"At most {MAX_BYTES} bytes can be sent.")
    return bytes(body)


def form_of(request: Request, body: bytes) -> Form:
    """Return the form in a body; raise PageError (415, 400) when it is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise PageError(415, "This is not a form", "The server expected a form that was filled in.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise PageError(400, "The form cannot be read", _BACK) from None
    return Form(tuple(pairs))


def check_sender(request: Request, site: Site) -> None:
    """Refuse a form that another site sent.

    With ``Referrer-Policy: no-referrer`` browsers write ``Origin: null`` even at home (Fetch,
    append a request Origin header); then ``Sec-Fetch-Site`` must say where it comes from.

    Raises:
        PageError: 403.
    """
    fetched = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if fetched is not None and fetched != "same-origin":
        raise _foreign()
    if origin is None or origin == site.origin:
        return
    if origin != "null" or fetched is None:
        raise _foreign()


def check_token(form: Form, expected: str) -> None:
    """Refuse a form without the token of the session; raise PageError (403)."""
    if not matches(form.one(CSRF), expected):
        raise PageError(
            403,
            "This page is out of date",
            "You logged in or out since it was loaded, or the form came from somewhere else. "
            f"Nothing was changed. {_BACK}",
        )


def _foreign() -> PageError:
    return PageError(
        403,
        "This form came from another site",
        "For your safety nothing was changed. If you meant to do this, start from our own page.",
    )
