"""Failures of the routes beside FHIR: problem details (RFC 9457) instead of an OperationOutcome."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import Message

from server.fhir.errors import FhirError, InvalidResource, LoginRequired, TooLarge

_MOST_TOLD = 10


Admit = Callable[[Request], Coroutine[Any, Any, None]]


class ProblemRoute(APIRoute):
    """A route whose failures that the client is told about become problem details.

    ``admit`` raises when the caller may not come in; ``most_bytes`` of a body are read after that.
    FastAPI itself reads a body whole before any dependency is asked who sends it.
    """

    admit: ClassVar[Admit | None] = None
    most_bytes: ClassVar[int | None] = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of FastAPI with the translation around it."""
        plain, admit, most = super().get_route_handler(), type(self).admit, type(self).most_bytes

        async def handler(request: Request) -> Response:
            try:
                if admit is not None:
                    await admit(request)
                return await plain(request if most is None else _bounded(request, most))
            except FhirError as error:
                return problem(error)
            except _TooLargeError as error:
                return problem(TooLarge(error.detail))
            except RequestValidationError as error:
                return problem(InvalidResource(_told(error)))

        return handler


def route_behind(base: type[ProblemRoute], admit: Admit, most_bytes: int) -> type[ProblemRoute]:
    """Return ``base`` for callers whom ``admit`` lets in, and bodies of no more than so much."""
    return type("Door", (base,), {"admit": staticmethod(admit), "most_bytes": most_bytes})


class _TooLargeError(HTTPException):
    """FastAPI lets no other exception through while it reads a body."""


def _bounded(request: Request, most: int) -> Request:
    """Return the request with a body that ends in an error when it is longer than ``most``."""
    left = most

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLargeError(413, f"at most {most} bytes can be sent")
        return message

    return Request(request.scope, receive)


def _told(error: RequestValidationError) -> str:
    """Return what is wrong, and where; never what was sent, which may be a password."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:_MOST_TOLD]
    )


def problem(error: FhirError) -> Response:
    """Return the answer to a failure."""
    headers: dict[str, str] = {}
    if isinstance(error, LoginRequired):
        headers["WWW-Authenticate"] = 'Bearer realm="tellonce"'
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    told = {
        "status": error.status,
        "title": HTTPStatus(error.status).phrase,
        "detail": error.diagnostics,
        "code": error.issue,
    }
    return Response(
        orjson.dumps(told), error.status, headers, media_type="application/problem+json"
    )


def authorization(request: Request) -> bytes | None:
    """Return the value of the Authorization header."""
    value = request.headers.get("authorization")
    return value.encode("latin-1") if value is not None else None
