"""What every handler is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.interactions.services import Services
from server.operations.registry import Registry
from server.rest.body import Limits
from server.rest.capability import Prepared
from server.rest.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Context:
    """One server.  ``capability`` returns the CapabilityStatement, made once;
    ``on_bug`` is told of exceptions that a batch answers entry by entry, with the request's id;
    ``well_known`` makes the documents below ``/.well-known``, by name."""

    services: Services
    registry: Registry
    limits: Limits
    capability: Callable[[], Prepared]
    jobs: Jobs
    on_bug: Callable[[BaseException, str], None]
    well_known: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
