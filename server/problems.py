"""Failures of the routes beside FHIR: problem details (RFC 9457) instead of an OperationOutcome."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from server.fhir.errors import FhirError, InvalidResource, LoginRequired

_MOST_TOLD = 10


class ProblemRoute(APIRoute):
    """A route whose failures that the client is told about become problem details."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of FastAPI with the translation around it."""
        plain = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await plain(request)
            except FhirError as error:
                return problem(error)
            except RequestValidationError as error:
                return problem(InvalidResource(_told(error)))

        return handler


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
