"""What every handler is given."""

from collections.abc import Callable
from dataclasses import dataclass

from server.interactions.services import Services
from server.operations.registry import Registry
from server.rest.body import Limits
from server.rest.capability import Prepared
from server.rest.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Context:
    """One server.  ``capability`` returns the CapabilityStatement, made once;
    ``on_bug`` is told of exceptions that a batch answers entry by entry, with the request's id."""

    services: Services
    registry: Registry
    limits: Limits
    capability: Callable[[], Prepared]
    jobs: Jobs
    on_bug: Callable[[BaseException, str], None]
