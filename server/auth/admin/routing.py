"""What all routes below ``/admin`` share: who comes in, how it fails, who is told.

Everything that changes anything is told to audit, with who did it.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer

from server.access.context import AccessContext, Trace
from server.access.policy import Policy
from server.audit.port import Action, Audit, Told
from server.auth.admin.door import AdminDoor
from server.auth.clients import Clients
from server.auth.proxies import Proxies
from server.auth.unfit import Missing, Taken, Unfit
from server.auth.users import Users
from server.fhir.errors import BusinessRule, Conflict, FhirError, NotFound
from server.problems import ProblemRoute, authorization, problem, route_behind
from server.store.port import Store

MOST_BYTES = 256 * 1024  # the largest is a key set

_bearer = HTTPBearer(
    auto_error=False,
    description="An administrator token, or an access token with the scope `admin/tellonce`.",
)


@dataclass(frozen=True)
class Administration:
    """What the routes work on.

    ``revoke`` ends a grant and its tokens and tells whether there was one.  ``policy`` is
    the one in force.
    """

    store: Store
    users: Users
    clients: Clients
    proxies: Proxies
    revoke: Callable[[str], Coroutine[Any, Any, bool]]
    policy: Policy
    now: Callable[[], int]
    audit: Audit | None = None

    async def tell(self, request: Request, action: Action, *entities: str) -> None:
        """Tell audit what the caller did."""
        if self.audit is None:
            return
        access: AccessContext = request.state.access
        self.audit.tell(Told(self.now(), action, "administer", access, entities))
        if access.trace is not None:  # nothing more is told of it, and another may get its place
            self.audit.take(access.trace)
        if self.audit.durable:
            await self.audit.settled()


class AdminRoute(ProblemRoute):
    """A route whose refusals of what was sent become problem details too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the translation around it."""
        plain = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                answer = await plain(request)
            except Unfit as error:
                answer = problem(_translated(error))
            answer.headers["Cache-Control"] = "no-store"
            return answer

        return handler


def guarded(door: AdminDoor, tag: str) -> APIRouter:
    """Return a router below ``/admin`` that lets administrators in, and nobody else."""

    async def who(request: Request) -> None:
        access = await door(authorization(request))
        address = request.client.host if request.client is not None else ""
        request.state.access = traced(access, request, address)

    return APIRouter(
        prefix="/admin",
        tags=[tag],
        route_class=route_behind(AdminRoute, who, MOST_BYTES),
        dependencies=[Depends(_bearer)],
    )


def traced(access: AccessContext, request: Request, address: str) -> AccessContext:
    """Return the caller with what audit wants to know of the request."""
    return replace(access, trace=Trace(request.headers.get("x-request-id", "-")[:64], address))


def _translated(error: Unfit) -> FhirError:
    if isinstance(error, Missing):
        return NotFound(str(error))
    if isinstance(error, Taken):
        return Conflict(str(error))
    return BusinessRule(str(error))
