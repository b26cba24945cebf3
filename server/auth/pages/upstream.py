"""Login by an external OpenID provider: there and back.  See :mod:`.upstream_provider`."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_urlsafe
from urllib.parse import urlsplit

from fastapi import Response
from fastapi.responses import RedirectResponse

from server.auth.pages.login import logged_in, onward
from server.auth.pages.page_error import PageError
from server.auth.pages.serve import Page, drop_cookie, put_cookie
from server.auth.pages.sessions import matches
from server.auth.pages.upstream_provider import Secret, Upstream, UpstreamFailed
from server.auth.pages.views import ALWAYS
from server.auth.pages.visit import Visit

COOKIE = "tellonce-upstream"
CALLBACK = "/auth/upstream/callback"
_AGAIN = (("Try again", "/auth/login"),)


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page("/auth/upstream/login", leave, public=True),
        Page(CALLBACK, come_back, public=True),
    ]


async def leave(visit: Visit) -> Response:
    """Send the browser to the provider; only with the cookie set here can the login be finished.

    By a link, not a form: a form's policy would have to name every host on the provider's way.
    """
    upstream = _upstream(visit)
    visit.context.limits.token("upstream", visit.address)
    secret = Secret(token_urlsafe(32))
    try:
        address = await upstream.address(visit.context.site.address(CALLBACK), secret)
    except UpstreamFailed as error:
        raise _failed(visit, error) from error
    answer = RedirectResponse(address, 303, ALWAYS)
    wanted = urlsafe_b64encode(onward(visit.asked("next")).encode()).decode()
    put_cookie(visit.context, answer, COOKIE, f"{secret.value}.{wanted}")
    return answer


async def come_back(visit: Visit) -> Response:
    """Log in whom the provider knows, if that is a user here."""
    upstream = _upstream(visit)
    secret, wanted = _kept(visit)
    if not matches(visit.asked("state"), secret.state):
        raise PageError(
            400, "This login was not begun here", "Please begin again in this browser.", next=_AGAIN
        )
    try:
        subject = await _subject(visit, upstream, secret)
    except UpstreamFailed as error:
        raise _failed(visit, error) from error
    user = await visit.context.users.by_external(upstream.provider.issuer, subject)
    if user is None:
        visit.tell("E", "login", user=None, why="no user of this provider", refused=True)
        answer = visit.page("unknown", status=403, provider=upstream.provider, subject=subject)
    else:
        answer = await logged_in(visit, user, wanted)
    drop_cookie(visit.context, answer, COOKIE)
    return answer


async def _subject(visit: Visit, upstream: Upstream, secret: Secret) -> str:
    if visit.asked("error"):
        raise UpstreamFailed("the provider did not let you in")
    code = visit.asked("code")
    if not code:
        raise UpstreamFailed("the provider sent no code")
    return await upstream.subject(
        visit.context.site.address(CALLBACK), secret, code, visit.asked("iss") or None
    )


def _kept(visit: Visit) -> tuple[Secret, str]:
    cookie = visit.request.cookies.get(visit.context.site.cookie(COOKIE), "")
    value, _, encoded = cookie.partition(".")
    try:
        wanted = urlsafe_b64decode(encoded.encode()).decode()
    except ValueError:
        wanted = ""
    # Without a cookie nothing can match: a state that anybody can compute must not.
    return Secret(value if len(value) >= 43 else token_urlsafe(32)), onward(wanted)


def _upstream(visit: Visit) -> Upstream:
    if visit.context.upstream is None:
        raise PageError(404, "This is not here", "No other login is set up.", next=_AGAIN)
    return visit.context.upstream


def _failed(visit: Visit, error: UpstreamFailed) -> PageError:
    visit.tell("E", "login", user=None, why=str(error), refused=True)
    assert visit.context.upstream is not None
    place = urlsplit(visit.context.upstream.provider.issuer).netloc
    return PageError(
        502,
        "The other login did not work",
        f"{place}: {error}. Nobody was logged in.",
        next=_AGAIN,
    )
