"""What goes in and out of a handler: plain values, no framework (200 us a request otherwise)."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from server.access.context import AccessContext
from server.rest.headers import Prefer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Pairs = tuple[tuple[str, str], ...]

FHIR_JSON: Header = (b"content-type", b"application/fhir+json; charset=utf-8")


@dataclass(slots=True)
class Asked:
    """One request, its caller known.

    ``path`` are the decoded segments below the base; ``pairs`` the decoded parameters without
    those that speak of the format; ``headers`` have lower-case names, the last one of a kind wins.
    """

    method: str
    path: tuple[str, ...]
    pairs: Pairs
    headers: dict[bytes, bytes]
    access: AccessContext
    prefer: Prefer
    receive: Receive
    request_id: str
    wants_json: bool = False


@dataclass(slots=True)
class Answer:
    """One response; ``body`` in pieces has no length beforehand.  ``gzipped`` is the same body,
    compressed once for all who ask."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    headers: list[Header] = field(default_factory=list)
    gzipped: bytes | None = None


def fhir(status: int, body: bytes | AsyncIterator[bytes], *headers: Header) -> Answer:
    """Return an answer of FHIR JSON."""
    return Answer(status, body, [FHIR_JSON, *headers])
