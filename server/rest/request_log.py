"""One line per request, and the traceback of each bug, without anything of a patient.

No ids, no parameters, no bodies: an address such as ``/Patient?name=...`` is logged as its template
``/{type}``.  Of an exception only its type and the places in our code are logged, because its text
may quote data.
"""

import logging
import traceback

log = logging.getLogger("tellonce.request")


def answered(
    method: str, route: str, status: int, ms: float, request_id: str, principal: str
) -> None:
    """Log one request."""
    if log.isEnabledFor(logging.INFO):
        # Made by hand: ``log.info`` looks for its caller first, which nobody reads.
        line = f"{method} {route} {status} {ms:.1f}ms {request_id} {principal}"
        log.handle(log.makeRecord(log.name, logging.INFO, "", 0, line, (), None))


def failed(error: BaseException, request_id: str, route: str) -> None:
    """Log a bug."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"  {f.filename}:{f.lineno} in {f.name}" for f in frames[-25:])
    log.error("bug in %s, request %s: %s\n%s", route, request_id, type(error).__name__, places)
