"""Who sends half a body to a page and goes away leaves nothing in the log."""

import logging

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from server.rest.application import pages


async def test_half_a_body_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    made, sent = pages("0", {}, {}), []

    async def whole(request: Request) -> Response:
        return Response(await request.body())

    made.add_route("/", whole, methods=["POST"])
    messages = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    with caplog.at_level(logging.DEBUG, logger="tellonce"):
        await made(scope, receive, send)
    assert sent[0]["status"] == 400
    assert caplog.records == []
