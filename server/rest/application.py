"""The whole HTTP application: ``/fhir`` through the dispatcher, all else through FastAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, Issue, operation_outcome, outcome
from server.rest import request_log
from server.rest.dispatch import Dispatcher
from server.rest.metrics import Metrics

# Outside /fhir, everything that answers without knowing who asks.
PUBLIC = frozenset(("/livez", "/readyz", "/metrics", "/openapi.json"))


class Application:
    """``fhir`` answers ``prefix`` and what is below it, ``pages`` (FastAPI) the rest."""

    def __init__(self, fhir: Dispatcher, pages: FastAPI, metrics: Metrics, prefix: str) -> None:
        self.fhir = fhir
        self.pages = pages
        self.metrics = metrics
        self._prefix = prefix
        self._below = f"{prefix}/"

    async def start(self) -> None:
        """Go on with asynchronous requests of before the last stop."""
        await self.fhir.jobs.start()

    async def stop(self, grace_s: float) -> None:
        """Let asynchronous requests end, for so many seconds."""
        await self.fhir.jobs.stop(grace_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith(self._below) or path == self._prefix:
                await self.fhir(scope, receive, send)
                return
        await self.pages(scope, receive, send)


def pages(version: str, fhir_paths: dict[str, Any], schemes: dict[str, Any]) -> FastAPI:
    """Return the FastAPI application, its OpenAPI document with the FHIR routes in it.

    ``schemes``: the OpenAPI security schemes, any of which opens the FHIR routes.
    """
    made = FastAPI(
        title="Tellonce",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send people to whatever the Host header says
    )
    made.add_exception_handler(HTTPException, _http_error)
    made.add_exception_handler(ClientDisconnect, _gone)
    made.add_exception_handler(Exception, _bug)
    plain = made.openapi

    def merged() -> dict[str, Any]:
        document = plain()
        document["paths"] = {**fhir_paths, **document["paths"]}
        if schemes:
            components = document.setdefault("components", {})
            components["securitySchemes"] = {**components.get("securitySchemes", {}), **schemes}
        return document

    made.openapi = merged  # type: ignore[method-assign] # FastAPI's own way to extend it
    return made


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not-found" if error.status_code == 404 else "processing"
    issue = Issue("error", code, str(error.detail))  # type: ignore[arg-type] # one of two literals
    body = fhir_json.dumps(outcome([issue]))
    return Response(body, error.status_code, error.headers, media_type="application/fhir+json")


async def _gone(_: Request, error: Exception) -> Response:
    """Answer nobody: who sent half a body went away, which is no bug to be logged."""
    return Response(status_code=400)


async def _bug(_: Request, error: Exception) -> Response:
    known = isinstance(error, FhirError)
    if not known:
        request_log.failed(error, "-", "pages")
    status = error.status if isinstance(error, FhirError) else 500
    body = fhir_json.dumps(operation_outcome(error))
    return Response(body, status, media_type="application/fhir+json")
