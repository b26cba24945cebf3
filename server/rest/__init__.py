"""HTTP: routes, headers, formats, errors to responses.  Everything below knows nothing of it.

The composition root needs :func:`build`; to put more pages beside ``/fhir`` it includes routers in
``Application.pages``, and more figures go into ``Application.metrics.registry``.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from server.interactions.services import Services
from server.operations import OPERATIONS
from server.operations.registry import Operation, Registry
from server.rest import health, openapi
from server.rest.application import Application, pages
from server.rest.body import Limits
from server.rest.capability import capability
from server.rest.cors import Cors
from server.rest.dispatch import Authenticate, Dispatcher, Throttle
from server.rest.metrics import Metrics

__all__ = ["Application", "Authenticate", "Limits", "Throttle", "build"]

_DEFAULTS = Limits()


def build(
    services: Services,
    *,
    authenticate: Authenticate,
    secured: bool = True,
    limits: Limits = _DEFAULTS,
    operations: Sequence[Operation] = OPERATIONS,
    cors_origins: Sequence[str] = (),
    checks: Mapping[str, health.Check] | None = None,
    prefix: str = "/fhir",
    oauth: Mapping[str, str] = {},
    well_known: Mapping[str, Callable[[], dict[str, Any]]] = {},
    registered_origin: Callable[[str], bool] | None = None,
    throttle: Throttle | None = None,
) -> Application:
    """Return the ASGI application.

    ``authenticate`` gets the ``Authorization`` header and returns the caller's rights, or raises
    ``LoginRequired``; ``secured`` says whether it demands a token, for the CapabilityStatement.
    ``checks`` are asked by ``/readyz``, beside the store.  ``oauth``: the endpoints of the
    authorization server, as :func:`.capability.capability` takes them.  ``well_known`` makes
    ``smart-configuration`` and ``openid-configuration``, by name.  ``registered_origin`` tells
    whether an origin is that of a registered app, for CORS.  ``throttle`` is asked before each
    request of a known caller, and raises ``Throttled``.
    """
    registry = Registry.of(operations)
    metrics = Metrics()
    software = _software_version()
    dispatcher = Dispatcher(
        services,
        authenticate=authenticate,
        registry=registry,
        capability=capability(
            services,
            registry,
            version=software,
            secured=secured,
            cors=bool(cors_origins or oauth),
            oauth=oauth,
        ),
        limits=limits,
        cors=Cors(cors_origins, registered_origin),
        metrics=metrics,
        prefix=prefix,
        well_known=well_known,
        throttle=throttle,
    )
    schemes = openapi.schemes(oauth) if secured else {}
    beside = pages(software, openapi.paths(registry, prefix, schemes), schemes)
    beside.include_router(health.router(services.store, metrics, checks=checks))
    return Application(dispatcher, beside, metrics, prefix)


def _software_version() -> str:
    try:
        return version("tellonce")
    except PackageNotFoundError:
        return "unknown"
