"""Read a request body within its limits.  Design: reliability-security, "Inputs"."""

import zlib
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from server.rest.answer import Receive

MIB = 1024 * 1024

DISCARD_BYTES = 64 * MIB  # of a refused body that are still read, so that its sender is told why
DISCARD_S = 10.0

_LARGE = 256 * 1024  # bytes of JSON above which parsing or inflating leaves the event loop


class ClientGoneError(Exception):
    """The client went away before its body was here; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost.

    ``body_bytes``, ``bundle_bytes``: largest body, as sent and inflated.  ``inflate_ratio``: how
    much longer than its bytes a compressed body may be, above one MiB.  ``form_bytes``: largest
    ``_search`` form.  ``in_flight``: requests at a time; more are told to come again (429).
    ``jobs``, ``jobs_per_caller``: asynchronous requests that run at a time; ``jobs_kept``: those
    of a caller that are kept with their answers, each for ``job_kept_s`` seconds after it ended
    and of ``job_bytes`` at most.  ``compress_bytes``: shortest answer that is compressed; ``None``:
    none is.
    """

    body_bytes: int = 10 * MIB
    bundle_bytes: int = 50 * MIB
    form_bytes: int = 1 * MIB
    inflate_ratio: int = 200
    in_flight: int = 1024
    jobs: int = 16
    jobs_per_caller: int = 4
    jobs_kept: int = 32
    job_kept_s: int = 24 * 3600
    job_bytes: int = 50 * MIB
    compress_bytes: int | None = 4096


class Intake:
    """A request's body on its way in; knows whether anything of it is left unread.

    A server that answers and closes with bytes unread resets the connection, and many clients
    then see the reset instead of the refusal (RFC 9112 9.6).  So :meth:`discard` reads on.
    """

    __slots__ = ("_left", "_receive")

    def __init__(self, receive: Receive, headers: dict[bytes, bytes]) -> None:
        self._receive = receive
        # Who waits for "100 Continue" has sent nothing yet, and reading would invite it.
        self._left = b"expect" not in headers

    async def __call__(self) -> MutableMapping[str, Any]:
        """Return the next ASGI message."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._left = False
        return message

    async def discard(self) -> None:
        """Read the rest and forget it, at most ``DISCARD_BYTES`` and ``DISCARD_S``."""
        size = 0
        with anyio.move_on_after(DISCARD_S):
            while self._left and size <= DISCARD_BYTES:
                size += len((await self()).get("body", b""))


async def read_body(
    receive: Receive, headers: dict[bytes, bytes], limit: int, *, ratio: int = 200
) -> bytes:
    """Return the body, inflated if it came as gzip.

    Raises:
        TooLarge: it is longer than ``limit``, or inflates too much; it is not read to its end.
        UnsupportedMediaType: a ``Content-Encoding`` other than gzip.
        ClientGoneError: the client is gone.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and len(declared) < 19 and int(declared) > limit:
        raise _too_large(limit)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b"gzip", b"x-gzip"):
        raise UnsupportedMediaType(
            "this server reads gzip, or no encoding", expression=("Content-Encoding",)
        )
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if part := message.get("body", b""):
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        if not message.get("more_body", False):
            break
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    if encoding == b"identity":
        return whole
    if len(whole) * ratio > _LARGE:
        return await anyio.to_thread.run_sync(_inflated, whole, limit, ratio)
    return _inflated(whole, limit, ratio)


async def parse(raw: bytes) -> Any:
    """Return the parsed JSON; raises ``InvalidJson``.  A long body does not stop the others."""
    if len(raw) > _LARGE:
        return await anyio.to_thread.run_sync(fhir_json.loads, raw)
    return fhir_json.loads(raw)


def _inflated(raw: bytes, limit: int, ratio: int) -> bytes:
    most = min(limit, max(len(raw) * ratio, MIB))
    inflater = zlib.decompressobj(wbits=31)
    try:
        made = inflater.decompress(raw, most + 1)
    except zlib.error:
        raise InvalidRequest("the body is not gzip", expression=("Content-Encoding",)) from None
    if len(made) > most:
        raise TooLarge(
            f"the body inflates to more than {most} bytes (limit {limit}, ratio {ratio})",
            expression=("Content-Encoding",),
        )
    if not inflater.eof:
        raise InvalidRequest("the gzip body is cut off", expression=("Content-Encoding",))
    if inflater.unused_data:
        raise InvalidRequest("more follows the gzip body", expression=("Content-Encoding",))
    return made


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes ({limit // MIB} MiB)",
        expression=("Content-Length",),
    )
