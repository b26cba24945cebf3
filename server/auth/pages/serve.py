"""From a request to an answer: the checks that no page can forget, in one place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import ceil
from secrets import token_urlsafe
from urllib.parse import quote

from fastapi import Request, Response

from server.access.context import Trace
from server.auth.oauth.told import TRACE
from server.auth.pages.context import PageContext
from server.auth.pages.form import check_sender, check_token, read_form
from server.auth.pages.page_error import LoginAgain, LoginFirst, PageError
from server.auth.pages.visit import Visit
from server.fhir.errors import FhirError

SESSION = "tellonce"
STRANGER = "tellonce-visit"
SENT_ON = "tellonce-sent-on"

Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One address.  ``public``: also for people who are not logged in.  ``guarded``: a POST is a
    form of ours, and checked to be one; other POSTs come from apps, and check their sender.
    ``stateless``: it is the same for everybody, and cookies are neither read nor set."""

    path: str
    handler: Handler
    method: str = "GET"
    public: bool = False
    guarded: bool = True
    stateless: bool = False


async def serve(context: PageContext, page: Page, request: Request) -> Response:
    """Return the answer of a page, or the page that tells what went wrong."""
    who = None
    stranger = request.cookies.get(context.site.cookie(STRANGER), "")
    fresh = not 32 <= len(stranger) <= 64 and not page.stateless
    address = request.client.host if request.client is not None else ""
    trace = Trace(context.services.new_id(), address)
    TRACE.set(trace)
    visit = Visit(context, request, trace, token_urlsafe(32) if fresh else stranger)
    if (elsewhere := sent_on(context, request)) is not None:
        return elsewhere
    try:
        check_host(context, request)
        if not page.stateless:
            who = await context.sessions.of(request.cookies.get(context.site.cookie(SESSION)))
            visit = replace(visit, who=who)
        answer = await _answer(page, visit)
        await _audited(visit)
    except LoginFirst:
        answer = login_first(visit)
    except LoginAgain as error:
        answer = visit.redirect(error.path)
    except PageError as error:
        answer = problem(visit, error)
    except FhirError as error:
        answer = problem(visit, _told(error), error.retry_after_s)
    finally:
        if context.services.audit is not None:
            context.services.audit.take(trace)
    if fresh and who is None:
        put_cookie(context, answer, STRANGER, visit.stranger)
    answer.headers["X-Request-Id"] = trace.request_id
    return answer


async def _audited(visit: Visit) -> None:
    """Let no page out before audit is on disk, where the operator asks for that."""
    audit = visit.context.services.audit
    if audit is not None and audit.durable:
        await audit.settled()


def sent_on(context: PageContext, request: Request) -> Response | None:
    """Return the way to this server's own address for who asks for a page at another one.

    ``None``: the address is the right one, or the way there was shown already and led back here,
    as it does behind a proxy that hands on a Host of its own.
    """
    site = context.site
    if is_host(context, request) or request.method not in ("GET", "HEAD"):
        return None
    if SENT_ON in request.cookies:
        return None
    path = quote(request.scope["path"], safe="/~").removeprefix(site.path(""))
    query = quote(request.scope["query_string"], safe="%=&+/?:@!$'()*,;~")
    answer = context.views.redirect(f"{path}?{query}" if query else path, status=307)
    answer.set_cookie(SENT_ON, "1", max_age=10, path="/", httponly=True, samesite="lax")
    return answer


def is_host(context: PageContext, request: Request) -> bool:
    """Tell whether a request was sent to this server's own name."""
    return request.headers.get("host", "").lower() == context.site.host


def check_host(context: PageContext, request: Request) -> None:
    """Refuse a request that was sent to another name than this server's.

    Behind it may be a rebound DNS name or a poisoned cache (RFC 9110 7.4, 421).
    """
    if not is_host(context, request):
        raise PageError(
            421,
            "This is not the address of this server",
            f"Pages are answered at {context.site.root} only.",
            next=(("Go to the start page", "/auth/"),),
        )


async def _answer(page: Page, visit: Visit) -> Response:
    if page.method == "POST" and page.guarded:
        check_sender(visit.request, visit.context.site)
        visit = replace(visit, form=await read_form(visit.request))
        if visit.who is None and not page.public:
            raise LoginFirst
        check_token(visit.form, visit.csrf)
    elif visit.who is None and not page.public:
        raise LoginFirst
    return await page.handler(visit)


def login_first(visit: Visit) -> Response:
    """Return the way to the login, and from there back to where the person wanted to go."""
    path = visit.request.scope["path"]
    if visit.request.method == "POST":  # what an app asked for goes on; other forms are lost
        to = login_path(path) if path.startswith("/auth/authorize/") else "/auth/login"
        return visit.redirect(to)
    wanted = visit.request.url.path.removeprefix(visit.context.site.path(""))
    if visit.request.url.query:
        wanted += f"?{visit.request.url.query}"
    return visit.redirect(login_path(wanted))


def login_path(wanted: str) -> str:
    """Return the address of the login page that leads on to ``wanted``.

    >>> login_path("/auth/apps?x=1")
    '/auth/login?next=%2Fauth%2Fapps%3Fx%3D1'
    """
    return f"/auth/login?next={quote(wanted, safe='')}"


def problem(visit: Visit, error: PageError, retry_after_s: float | None = None) -> Response:
    """Return the page that tells what went wrong, and what to do next."""
    headers = {} if retry_after_s is None else {"Retry-After": str(ceil(retry_after_s))}
    return visit.page(
        "problem",
        status=error.status,
        headers=headers,
        title=error.title,
        text=error.text,
        next=error.next,
    )


def put_cookie(context: PageContext, answer: Response, name: str, value: str) -> None:
    """Set a cookie of ours for as long as the browser is open."""
    answer.set_cookie(
        context.site.cookie(name),
        value,
        path="/",
        secure=context.site.secure,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(context: PageContext, answer: Response, name: str) -> None:
    """Remove a cookie of ours."""
    answer.delete_cookie(
        context.site.cookie(name),
        path="/",
        secure=context.site.secure,
        httponly=True,
        samesite="lax",
    )


_TITLES = {
    400: "The server could not read this",
    403: "You may not do this",
    404: "This is not here",
    410: "This is not here any more",
    429: "Too many tries",
    503: "This does not work just now",
}


def _told(error: FhirError) -> PageError:
    title = _TITLES.get(error.status, "This did not work")
    text = error.diagnostics
    if error.retry_after_s is not None:
        text = f"{text}. Please try again in {in_words(error.retry_after_s)}."
    return PageError(error.status, title, text)


def in_words(seconds: float) -> str:
    """Return a wait as people say it.

    >>> in_words(1), in_words(45), in_words(90), in_words(3600)
    ('1 second', '45 seconds', '2 minutes', '60 minutes')
    """
    amount, unit = (ceil(seconds), "second") if seconds <= 60 else (ceil(seconds / 60), "minute")
    return f"{amount} {unit}{'' if amount == 1 else 's'}"
