"""The yardstick: an ASGI application that only answers, under the server's own uvicorn settings."""

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
BODY = b'{"resourceType":"Patient","id":"echo","text":"' + b"x" * 1100 + b'"}'
HEADERS = [
    (b"content-type", b"application/fhir+json"),
    (b"content-length", str(len(BODY)).encode()),
]


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer every request with the same bytes."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def main() -> None:
    """Serve on any free port of loopback and say which."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as bound:
        print(f"ECHO  http://127.0.0.1:{bound.getsockname()[1]}/", flush=True)
        config = uvicorn.Config(
            app,
            http="httptools",
            loop="uvloop",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=True,
            timeout_keep_alive=75,
        )
        uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
