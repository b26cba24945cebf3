"""What answers HTTP: the application, and before there is one, that it is not ready yet."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.fhir import json as fhir_json
from server.fhir.errors import StoreUnavailable, operation_outcome
from server.rest.application import PUBLIC

RETRY_AFTER_S = 5
_FHIR = "application/fhir+json"


class Front:
    """Hands every connection to ``application``; while that is ``None``, 503 to all but ``/livez``.

    So a server whose database is away is there, and says so, instead of being started again and
    again by whoever looks after it.  ``why``: what ``/readyz`` says until then.
    """

    def __init__(self) -> None:
        self.application: ASGIApp | None = None
        self.why = "the store is being opened"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if self.application is not None:
            await self.application(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope["path"])(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path == "/livez":
            return Response(b'{"status":"alive"}', media_type="application/json")
        wait = {"Retry-After": str(RETRY_AFTER_S)}
        if path in PUBLIC:
            told = fhir_json.dumps({"store": self.why, "serving": "not yet"})
            return Response(told, 503, wait, media_type="application/json")
        # Whoever asks for a record need not know what its store is made of.
        error = StoreUnavailable("the store cannot be reached yet", retry_after_s=RETRY_AFTER_S)
        return Response(fhir_json.dumps(operation_outcome(error)), 503, wait, media_type=_FHIR)
