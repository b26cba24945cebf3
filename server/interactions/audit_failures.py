"""What audit is told of a request, or of an entry of a batch, of which nothing else tells it.

Failures are such, and what changed and showed nothing.  They are in nobody's record: whether what
was asked for exists at all is not said.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlencode

from server.access.context import AccessContext
from server.audit.port import Action, Told
from server.interactions.links import CURSOR
from server.interactions.services import Services

_WRITES: dict[str, tuple[str, Action]] = {
    "PUT": ("update", "U"),
    "PATCH": ("patch", "U"),
    "DELETE": ("delete", "D"),
}
_HISTORIES = {1: "history-system", 2: "history-type", 3: "history-instance", 4: "vread"}


def tell(
    services: Services,
    access: AccessContext,
    method: str,
    path: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    status: int,
) -> None:
    """Tell audit how a request ended; raises StoreUnavailable when it cannot be kept."""
    if services.audit is None:
        return
    interaction, action = interaction_of(method, path)
    outcome: Literal["0", "4", "8"] = "0" if status < 400 else "4" if status < 500 else "8"
    asked = [pair for pair in pairs if pair[0] != CURSOR]
    question = "/".join(path) + (f"?{urlencode(asked)}" if asked else "")
    services.audit.tell(
        Told(
            services.now(),
            action,
            interaction,
            access,
            query=question,
            outcome=outcome,
            why="" if outcome == "0" else f"{status} {HTTPStatus(status).phrase}",
        )
    )


def interaction_of(method: str, path: Sequence[str]) -> tuple[str, Action]:
    """Return the restful-interaction of an address below the base, and AuditEvent.action.

    >>> interaction_of("GET", ("Patient", "1", "_history", "2"))
    ('vread', 'R')
    """
    if any(part.startswith("$") for part in path) or path[:1] == ("_async",):
        return "operation", "E"
    if method in _WRITES:
        return _WRITES[method]
    if method == "POST" and path[-1:] != ("_search",):
        return ("create", "C") if path else ("batch", "E")
    if "_history" in path:
        return _HISTORIES.get(len(path), "vread"), "R"
    if len(path) == 2 and path[1] != "_search":
        return "read", "R"
    return ("search-system" if not path or path[0] == "_search" else "search-type"), "E"
