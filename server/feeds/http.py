"""HL7v2 over HTTP: ``POST /hl7v2/{feed}``, after the "HL7 over HTTP" specification of HAPI.

One message or batch is the body, its acknowledgement the answer, in ER7 as well.  The status
repeats what the acknowledgement says:

======  =======================================================================================
200     AA, CA: it was accepted; of a batch, all of it
204     the message asked for no answer (MSH-15, MSH-16)
400     AR, CR: it was not kept, or has no MSH
500     AE, CE: it was kept, but is not in the record; of a batch, some of it
413     it is too large
503     it could not be stored, or the server is stopping: send it again
======  =======================================================================================
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from server.feeds import ack
from server.feeds.answering import Unanswered
from server.feeds.framing import HEAD_BYTES, MAX_MESSAGE_BYTES
from server.feeds.receiver import SenderEnd, settled
from server.feeds.service import FeedService
from server.feeds.wiring import Peer
from server.fhir.errors import (
    FhirError,
    Forbidden,
    StoreUnavailable,
    UnsupportedMediaType,
)
from server.problems import ProblemRoute, authorization
from server.store.port import CommitConflict

# The value of the Authorization header and a feed -> who sends.  Raises LoginRequired, Forbidden.
Admit = Callable[[bytes | None, str], Awaitable[str]]

MEDIA_TYPES = ("application/hl7-v2", "x-application/hl7-v2+er7", "application/hl7-v2+er7")
_STATUS = {"AA": 200, "CA": 200, "AE": 500, "CE": 500, "AR": 400, "CR": 400}
_RETRY_AFTER = {"Retry-After": "5"}

FeedName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def router(service: FeedService, admit: Admit) -> APIRouter:
    """Return the route."""
    made = APIRouter(tags=["feeds"], route_class=ProblemRoute)

    @made.post(
        "/hl7v2/{feed}",
        summary="Send one HL7v2 message or batch; the answer is its acknowledgement",
        response_class=Response,
        openapi_extra={
            "requestBody": {"required": True, "content": {MEDIA_TYPES[0]: _SCHEMA}},
            "security": [{"HTTPBearer": []}],
        },
        responses={
            200: {"content": {MEDIA_TYPES[0]: _SCHEMA}, "description": "AA or CA"},
            204: {"description": "the message asked for no answer"},
            400: {"description": "AR or CR: not kept"},
            500: {"description": "AE or CE: kept, and not in the record"},
            503: {"description": "not stored: send it again"},
        },
    )
    async def receive(request: Request, feed: FeedName) -> Response:
        media_type = _media_type(request)
        await admit(authorization(request), feed)
        address = request.client.host if request.client is not None else ""
        end = SenderEnd(service, feed, Peer(address), fixed=True)
        if not service.wiring.allows(feed, end.peer):
            raise Forbidden(f"messages of feed {feed} may not come from there")
        if service.draining:
            raise StoreUnavailable("the server is stopping", retry_after_s=5)
        body, whole = await _body(request)
        if not whole:
            return Response(end.refuse(body, ack.TOO_LARGE), 413, media_type=media_type)
        return await _answer(end, body, media_type)

    return made


_SCHEMA: dict[str, Any] = {"schema": {"type": "string", "description": "ER7, segments end with CR"}}


async def _answer(end: SenderEnd, body: bytes, media_type: str) -> Response:
    try:
        answers = await end.receive(body, insist=True)
        told = [message for one in answers if (message := await settled(one)) is not None]
    except (FhirError, CommitConflict, Unanswered):
        refused = end.refuse(body[:HEAD_BYTES], ack.NO_STORE)
        return Response(refused, 503, _RETRY_AFTER, media_type=media_type)
    if not told:
        return Response(status_code=204)
    codes = [code for message in told for code in ack.codes_of(message)]
    status = max((_STATUS.get(code, 500) for code in codes), default=200)
    return Response(b"".join(told), status, media_type=media_type)


async def _body(request: Request) -> tuple[bytes, bool]:
    """Return the body and ``True``, or its begin and ``False`` when it is too large."""
    made = bytearray()
    async for part in request.stream():
        made += part
        if len(made) > MAX_MESSAGE_BYTES:
            return bytes(made[:HEAD_BYTES]), False
    return _unframed(bytes(made)), True


def _unframed(body: bytes) -> bytes:
    """Return what stands in the frame of who sends the same as to a socket."""
    inner = body.removeprefix(b"\x0b").rstrip(b"\r\n")
    return inner[:-1] if inner.endswith(b"\x1c") else body.removeprefix(b"\x0b")


def _media_type(request: Request) -> str:
    """Return the type to answer in: that of the request."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"an HL7v2 message is {MEDIA_TYPES[0]}", expression=("Content-Type",)
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("a message is not compressed", expression=("Content-Encoding",))
    return request.headers["content-type"]
