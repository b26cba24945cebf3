"""HTTP: routes, headers, formats, errors to responses.  Everything below knows nothing of it.

The composition root needs: :func:`build`, :class:`Limits`, :class:`Metrics`, :func:`health` (a
FastAPI router) and :func:`openapi_paths`.
"""

from collections.abc import Sequence

from server.interactions.services import Services
from server.operations import OPERATIONS
from server.operations.registry import Operation, Registry
from server.rest import openapi
from server.rest.body import Limits
from server.rest.capability import capability
from server.rest.cors import Cors
from server.rest.dispatch import Authenticate, Dispatcher
from server.rest.health import router as health
from server.rest.metrics import Metrics

__all__ = ["Authenticate", "Dispatcher", "Limits", "Metrics", "build", "health", "openapi_paths"]

_DEFAULTS = Limits()


def build(
    services: Services,
    *,
    authenticate: Authenticate,
    version: str,
    secured: bool = True,
    limits: Limits = _DEFAULTS,
    operations: Sequence[Operation] = OPERATIONS,
    cors_origins: Sequence[str] = (),
    metrics: Metrics | None = None,
    prefix: str = "/fhir",
) -> Dispatcher:
    """Return the ASGI application for every path that is ``prefix`` or below it.

    ``authenticate`` gets the ``Authorization`` header and returns the caller's rights, or raises
    ``LoginRequired``; ``secured`` says whether it demands a token, for the CapabilityStatement.
    ``version`` is that of this software.
    """
    registry = Registry.of(operations)
    return Dispatcher(
        services,
        authenticate=authenticate,
        registry=registry,
        capability=capability(
            services, registry, version=version, secured=secured, cors=bool(cors_origins)
        ),
        limits=limits,
        cors=Cors(cors_origins),
        metrics=metrics or Metrics(),
        prefix=prefix,
    )


def openapi_paths(
    operations: Sequence[Operation] = OPERATIONS, prefix: str = "/fhir"
) -> dict[str, object]:
    """Return the FHIR routes as ``paths`` of an OpenAPI document."""
    return openapi.paths(Registry.of(operations), prefix)
