"""The pages that people see: login, choosing a patient, consent, apps, who opened my record.

The composition root makes a :class:`PageContext` and includes :func:`pages_router` beside
``/fhir``.  Everything is plain HTML: no script is sent, and none would run.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter, Request, Response

from server.auth.pages import (
    apps,
    authorize,
    consent,
    launch,
    login,
    opened,
    pick,
    static,
    upstream,
)
from server.auth.pages.context import AccessOf, Authenticate, PageContext
from server.auth.pages.serve import Page, serve
from server.auth.pages.upstream_provider import Provider, Upstream

__all__ = [
    "PUBLIC",
    "AccessOf",
    "Authenticate",
    "PageContext",
    "Provider",
    "Upstream",
    "pages_router",
]

PAGES: Sequence[Page] = (
    *login.pages(),
    *authorize.pages(),
    *pick.pages(),
    *consent.pages(),
    *launch.pages(),
    *apps.pages(),
    *opened.pages(),
    *upstream.pages(),
    *static.pages(),
)
PUBLIC = frozenset(page.path for page in PAGES if page.public)
"""What answers without knowing who asks."""


def pages_router(context: PageContext) -> APIRouter:
    """Return the routes of all pages."""
    router = APIRouter(include_in_schema=False)
    for page in PAGES:
        methods = ["GET", "HEAD"] if page.method == "GET" else [page.method]
        router.add_api_route(
            page.path, _endpoint(context, page), methods=methods, response_class=Response
        )
    return router


def _endpoint(context: PageContext, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await serve(context, page, request)

    return endpoint
