"""``/admin/grants``: what people allowed apps, and the end of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.auth.admin.models import GrantOut, GrantsOut
from server.auth.admin.routing import Administration
from server.auth.records import Grant
from server.auth.unfit import Missing

PAGE = 200


def add(made: APIRouter, on: Administration) -> None:
    """Add the routes."""

    @made.get("/grants", summary="What users allowed clients")
    async def grants(
        user: Annotated[str | None, Query(description="Of this user only.")] = None,
        client: Annotated[str | None, Query(description="To this client only.")] = None,
        after: Annotated[str, Query(description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> GrantsOut:
        found = await _page(on, user, client, after, limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        return GrantsOut(grants=[GrantOut.of(grant) for grant in found[:limit]], next=more)

    @made.delete("/grants/{id}", status_code=204, summary="End a grant and all its tokens")
    async def revoke(request: Request, id: str) -> Response:  # noqa: A002 - as in the address
        if not await on.revoke(id):
            raise Missing(f"there is no grant {id}")
        await on.tell(request, "D", f"grant/{id}")
        return Response(status_code=204)


async def _page(
    on: Administration, user: str | None, client: str | None, after: str, most: int
) -> list[Grant]:
    made: list[Grant] = []
    while page := await on.store.find_records(Grant.KIND, tag=user, after=after, limit=PAGE):
        for record in page:
            grant = Grant.unpack(record.value)
            if client in (None, grant.client):
                made.append(grant)
            if len(made) == most:
                return made
        after = page[-1].key
    return made
