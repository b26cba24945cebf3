"""``/admin/proxies``: who acts for a patient."""

from fastapi import APIRouter, Request, Response

from server.auth.admin.models import ProxyModel
from server.auth.admin.routing import Administration
from server.auth.records import Proxy


def add(made: APIRouter, on: Administration) -> None:
    """Add the routes."""

    @made.get("/proxies", summary="Who acts for whom, and why")
    async def proxies(patient: str | None = None) -> list[ProxyModel]:
        found = await (on.proxies.of_patient(patient) if patient else on.proxies.list())
        return [ProxyModel.of(proxy) for proxy in found]

    @made.post("/proxies", status_code=201, summary="Let a RelatedPerson act for a patient")
    async def new(request: Request, said: ProxyModel) -> ProxyModel:
        added = await on.proxies.add(Proxy(**said.model_dump()))
        await on.tell(request, "C", added.related_person, added.patient)
        return ProxyModel.of(added)

    @made.delete(
        "/proxies/RelatedPerson/{id}", status_code=204, summary="Take it back; works at once"
    )
    async def remove(request: Request, id: str) -> Response:  # noqa: A002 - as in the address
        gone = await on.proxies.remove(f"RelatedPerson/{id}")
        await on.tell(request, "D", gone.related_person, gone.patient)
        return Response(status_code=204)
