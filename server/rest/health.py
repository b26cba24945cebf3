"""``/livez``, ``/readyz`` and ``/metrics``, for the machines that look after the server."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from server.rest.metrics import Metrics
from server.store.port import Store

# Says ``None`` when fine, else what is wrong, in words that hold nothing of a patient.
Check = Callable[[], Awaitable[str | None]]


def router(
    store: Store, metrics: Metrics, *, checks: Mapping[str, Check] | None = None
) -> APIRouter:
    """Return the routes; ``checks`` are of other parts (feeds), beside the store's own."""
    made = APIRouter(tags=["health"])
    all_checks: dict[str, Check] = {"store": store.ready, **(checks or {})}

    @made.get("/livez", summary="The process answers; says nothing of the store")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @made.get("/readyz", summary="Reads and writes work")
    async def readyz(response: Response) -> dict[str, str]:
        found = {name: await check() or "ok" for name, check in all_checks.items()}
        if any(text != "ok" for text in found.values()):
            response.status_code = 503
        return found

    @made.get("/metrics", summary="Figures in the Prometheus text format")
    async def figures() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return made
