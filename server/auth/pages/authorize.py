"""``/auth/authorize``: an app asks; the person logs in, chooses a patient, allows or does not.

SMART App Launch 2.2.0, app-launch.html#request-4.  Each address below decides anew what comes next
from what is kept here, so that no step can be left out by typing another address.
"""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import Response
from fastapi.responses import RedirectResponse

from server.access import scopes
from server.access.context import AccessContext
from server.auth.oauth import authorize as oauth
from server.auth.oauth.authorize import Pending, Redirected
from server.auth.oauth.terms import PENDING_S, SECOND
from server.auth.pages.choice import Choice, chosen, keep
from server.auth.pages.finding import within
from server.auth.pages.form import read_form
from server.auth.pages.page_error import LoginAgain, LoginFirst, PageError
from server.auth.pages.serve import Page, login_path
from server.auth.pages.views import ALWAYS
from server.auth.pages.visit import Visit
from server.auth.records import Launch, key_of

START = "/auth/authorize"

_ANOTHER_LOGIN = {"login", "select_account"}  # who shares a browser chooses by logging in


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page(START, asked, public=True),
        Page(START, posted, "POST", public=True, guarded=False),
        Page(f"{START}/{{id}}", go_on, public=True),
    ]


async def asked(visit: Visit) -> Response:
    """Take a request that an app makes by GET."""
    return await begin(visit, visit.request.query_params.multi_items())


async def posted(visit: Visit) -> Response:
    """Take a request that an app makes by POST (``authorize-post``).

    It comes from the app's own page, so that no cookie of ours is with it; the next page has it.
    """
    return await begin(visit, (await read_form(visit.request)).pairs)


async def begin(visit: Visit, params: Sequence[tuple[str, str]]) -> Response:
    """Validate and keep a request; an unknown app or address is told in a page, nowhere else."""
    visit.context.limits.token("authorize", visit.address)  # each is kept, and anybody may ask
    handles = [value for name, value in params if name == "launch" and value]
    session = await _session_of_launch(visit, handles[0]) if len(handles) == 1 else None
    try:
        pending = await visit.context.authorize.begin(params)
    except Redirected as refused:
        return to_app(refused.url)
    except oauth.PageError as error:
        raise from_oauth(error) from error
    if session is not None:
        await keep(visit, pending, Choice(launched_in=session))
    return visit.redirect(path_of(pending))


async def go_on(visit: Visit) -> Response:
    """Lead to the next question that is open, or back to the app."""
    pending = await pending_of(visit)
    if refusal := await _refused_login(visit, pending):
        return refusal
    choice, _ = await whose(visit, pending)
    for name in open_questions(pending, choice):
        if "none" in pending.prompt:
            return await deny(
                visit, pending, "interaction_required", f"the user must choose: {name}"
            )
        return visit.redirect(path_of(pending, name))
    return visit.redirect(path_of(pending, "consent"))


async def pending_of(visit: Visit) -> Pending:
    """Return the request that an address is about; raise PageError when it is over."""
    try:
        return await visit.context.authorize.pending(visit.request.path_params["id"])
    except oauth.PageError as error:
        raise from_oauth(error) from error


async def whose(visit: Visit, pending: Pending) -> tuple[Choice, AccessContext]:
    """Return what was chosen so far and the person's rights; a sole patient is chosen at once.

    Raises:
        LoginFirst: nobody is logged in; LoginAgain: longer ago than the app wants it.
        PageError: the app was launched by somebody else, or in another session.
    """
    if visit.who is None:
        raise LoginFirst
    if not await _fresh(visit, pending):
        raise LoginAgain(path_of(pending))
    choice = await chosen(visit, pending)
    await _check_launch(visit, pending, choice)
    access = await visit.access()
    if choice.patient is None and scopes.parse(pending.scope).needs_patient:
        sole = _sole(visit, access)
        choice = replace(choice, patient=sole)
    return choice, access


async def deny(visit: Visit, pending: Pending, error: str, description: str) -> Response:
    """Tell the app that it gets no access."""
    try:
        return to_app(await visit.context.authorize.deny(pending, error, description))
    except oauth.PageError as over:
        raise from_oauth(over) from over


def to_app(url: str) -> Response:
    """Return the way back to the app; 303, so that nothing is posted there (RFC 9700 4.12)."""
    return RedirectResponse(url, 303, ALWAYS)


def path_of(pending: Pending, question: str = "") -> str:
    """Return the address of a question of a request."""
    return f"{START}/{pending.id}/{question}".rstrip("/")


def from_oauth(error: oauth.PageError) -> PageError:
    """Return the page that tells it."""
    return PageError(
        error.status,
        error.title,
        f"{error.text} Please go back to the app and start again; "
        "if it happens again, tell those who run the app.",
    )


async def _session_of_launch(visit: Visit, handle: str) -> str | None:
    record = await visit.context.services.store.get_record(Launch.KIND, key_of(handle))
    return Launch.unpack(record.value).session if record is not None else None


async def _refused_login(visit: Visit, pending: Pending) -> Response | None:
    """Return the answer to who must log in first, or again.  OpenID Connect Core 3.1.2.1."""
    fresh = visit.who is not None and await _fresh(visit, pending)
    if fresh:
        return None
    if "none" in pending.prompt:
        return await deny(visit, pending, "login_required", "the user is not logged in")
    again = "&again=1" if visit.who is not None else ""
    return visit.redirect(login_path(path_of(pending)) + again)


async def _fresh(visit: Visit, pending: Pending) -> bool:
    """Tell whether the login is as new as the app wants it.

    One that was made for this very request always is: ``max_age=0`` asks for that, and a person
    who takes longer than ``max_age`` to choose must not be asked for ever.
    """
    login = visit.me.session.auth_time
    if login >= await _begun(visit, pending):
        return True
    age_us = visit.context.services.now() - login
    too_old = pending.max_age is not None and age_us > pending.max_age * SECOND
    return not (too_old or _ANOTHER_LOGIN & set(pending.prompt))


async def _begun(visit: Visit, pending: Pending) -> int:
    """Return when the request was made (microseconds)."""
    store = visit.context.services.store
    record = await store.get_record(Pending.KIND, key_of(pending.id))
    if record is None or record.expires_at is None:
        return visit.context.services.now()
    return record.expires_at - PENDING_S * SECOND


async def _check_launch(visit: Visit, pending: Pending, choice: Choice) -> None:
    """Let only the session go on that the launch was made in, or a later login of that person."""
    if pending.user is None:
        return
    other = pending.user != visit.me.user.name
    elsewhere = choice.launched_in not in (None, visit.me.key)
    if other or (elsewhere and visit.me.session.auth_time < await _begun(visit, pending)):
        raise PageError(
            403,
            "This app was started by somebody else" if other else "This app was started elsewhere",
            "It was started from the record by another login than the one of this browser. "
            "Start it again from here.",
            next=(("Start an app", "/auth/launch"), ("Go to the start page", "/auth/")),
        )


def _sole(visit: Visit, access: AccessContext) -> str | None:
    """Return the patient that there is no question about: oneself, or the only one."""
    ids = within(access)
    if ids is None:
        return None
    kind, _, own = (visit.me.user.fhir_user or "").partition("/")
    if kind == "Patient" and own in ids:
        return own
    return ids[0] if len(ids) == 1 else None


def open_questions(pending: Pending, choice: Choice) -> list[str]:
    """Return what is to be chosen before the consent page: ``patient``, ``visit``."""
    asked_for = scopes.parse(pending.scope)
    wants_visit = any(one.partition("?")[0] == "launch/encounter" for one in asked_for.others)
    questions = []
    if choice.patient is None and (asked_for.needs_patient or wants_visit):
        questions.append("patient")
    if wants_visit and choice.encounter is None:
        questions.append("visit")
    return questions
