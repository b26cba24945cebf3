"""Login by name and password, logout, and the start page."""

import re
from urllib.parse import urlsplit

from fastapi import Response

from server.auth.oauth.authorize import PageError, Pending
from server.auth.pages.form import Form
from server.auth.pages.serve import SESSION, Page, drop_cookie, in_words, put_cookie
from server.auth.pages.visit import Visit
from server.auth.records import User
from server.fhir.errors import Throttled

HOME = "/auth/"
_OF_REQUEST = re.compile(r"/auth/authorize/([^/]+)")
_WRONG = "The name or the password is not right."


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page("/", door, public=True, stateless=True),
        Page("/auth", door, public=True, stateless=True),
        Page(HOME, home),
        Page("/auth/login", login_form, public=True),
        Page("/auth/login", login, "POST", public=True),
        Page("/auth/logout", logout, "POST"),
    ]


async def door(visit: Visit) -> Response:
    """Lead who types the name of the server only to the start page."""
    return visit.redirect(HOME)


async def home(visit: Visit) -> Response:
    """Show what there is for this person."""
    roles = visit.me.user.roles
    return visit.page("home", practitioner="practitioner" in roles, patient="patient" in roles)


async def login_form(visit: Visit) -> Response:
    """Show the form; whoever is logged in goes on, unless the app wants another login."""
    wanted = onward(visit.asked("next"))
    if visit.who is not None and visit.asked("again") != "1":
        return visit.redirect(wanted)
    return await _form(visit, wanted)


async def login(visit: Visit) -> Response:
    """Log in: the same answer, as slow, for a wrong password and for a name that is not known."""
    form, context = visit.form, visit.context
    wanted = onward(form.one("next"))
    # One character more than any user's name: what is longer is nobody's, and is not remembered.
    name, password = form.one("name").strip()[:65], form.one("password")
    if not context.password_login:
        return await _form(visit, wanted, 403, summary="Please use the button below.")
    if missing := _missing(form):
        return await _form(visit, wanted, 422, name=name, errors=missing)
    try:
        context.limits.login(name, visit.address)
        user = await context.users.verify(name, password)
    except Throttled as error:
        return await _wait(visit, wanted, name, error)
    if user is None:
        known = await context.users.get(name)
        visit.tell(
            "E", "login", user=known.name if known else None, why="wrong password", refused=True
        )
        return await _form(visit, wanted, 403, name=name, summary=_WRONG)
    context.limits.logged_in(name, visit.address)
    return await logged_in(visit, user, wanted)


async def logged_in(visit: Visit, user: User, wanted: str) -> Response:
    """Begin a new session of ``user``, whatever session the browser had before."""
    if visit.who is not None:
        await visit.context.sessions.end(visit.who.key, visit.who.user.name)
    cookie = await visit.context.sessions.begin(user)
    visit.tell("E", "login", user=user.name)
    answer = visit.redirect(wanted)
    put_cookie(visit.context, answer, SESSION, cookie)
    return answer


async def logout(visit: Visit) -> Response:
    """End the session here and on the server, and the online access that hangs from it."""
    await visit.context.sessions.end(visit.me.key, visit.me.user.name)
    visit.tell("E", "logout", user=visit.me.user.name)
    answer = visit.redirect("/auth/login?left=1")
    drop_cookie(visit.context, answer, SESSION)
    return answer


def onward(path: str) -> str:
    """Return where a login leads: a page of ours, or the start page.

    >>> onward("/auth/apps?x=1"), onward("https://evil.example/auth/"), onward("//evil/auth/")
    ('/auth/apps?x=1', '/auth/', '/auth/')
    >>> onward("/auth/../x"), onward("/auth/login?next=x"), onward("/auth/a\\\\b")
    ('/auth/', '/auth/', '/auth/')
    """
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not parts.path.startswith("/auth/"):
        return HOME
    if not path.isascii() or not path.isprintable() or "\\" in path or "/.." in parts.path:
        return HOME
    if parts.path in ("/auth/login", "/auth/logout"):
        return HOME
    return path


def _missing(form: Form) -> dict[str, str]:
    errors = {}
    if not form.one("name").strip():
        errors["name"] = "Enter your user name."
    if not form.one("password"):
        errors["password"] = "Enter your password."  # noqa: S105 - what the person is told
    return errors


async def _wait(visit: Visit, wanted: str, name: str, error: Throttled) -> Response:
    seconds = error.retry_after_s or 1
    visit.tell("E", "login", user=None, why="too many tries", refused=True)
    return await _form(
        visit,
        wanted,
        429,
        name=name,
        summary=f"Too many tries. Please try again in {in_words(seconds)}.",
        headers={"Retry-After": str(seconds)},
    )


async def _form(
    visit: Visit,
    wanted: str,
    status: int = 200,
    *,
    name: str = "",
    summary: str = "",
    errors: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    pending = await asked_by(visit, wanted)
    upstream = visit.context.upstream
    return visit.page(
        "login",
        status=status,
        headers=headers,
        form_to=(pending.redirect_uri,) if pending is not None else (),
        next=wanted,
        name=name or (pending.login_hint or "" if pending is not None else ""),
        summary=summary,
        errors=errors or {},
        app=pending.client_name if pending is not None else "",
        left=visit.asked("left") == "1",
        provider=upstream.provider if upstream is not None else None,
        password_login=visit.context.password_login,
    )


async def asked_by(visit: Visit, wanted: str) -> Pending | None:
    """Return the request of an app that waits for the login, if there is one."""
    found = _OF_REQUEST.match(urlsplit(wanted).path)
    if found is None:
        return None
    try:
        return await visit.context.authorize.pending(found[1])
    except PageError:
        return None
