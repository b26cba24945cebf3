"""Whoever asks why somebody sees something is told of in the record that it is about."""

from collections.abc import Sequence

import httpx

from server import rest
from server.access.context import SYSTEM
from server.continuity.site import Site
from server.operations import operations
from server.operations.explain_access import Asked, Way
from tests.audit.house import AuditedHouse, interaction, patients, query
from tests.rest.house import BASE, authenticate, observation, patient


async def one_way(_: Asked) -> Sequence[Way]:
    return [Way("as the server", SYSTEM)]


async def test_an_explanation_is_in_the_record_that_it_is_about(house: AuditedHouse) -> None:
    async with house.client() as admin:
        await admin.put("/Patient/a", json=patient("a"))
        await admin.put("/Observation/o", json=observation("Patient/a", "o"))
    before = len(await house.events())
    app = rest.build(
        house.services, authenticate=authenticate, operations=operations(one_way, Site())
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=BASE, headers={"Authorization": "admin"}
    ) as asking:
        answer = await asking.get("/Observation/o/$explain-access?user=anna")
    assert answer.status_code == 200
    (event,) = await house.new_events(before)
    assert (interaction(event), patients(event)) == ("operation", ["Patient/a"])
    assert "explain-access" in (query(event) or "")
    assert "anna" not in (query(event) or "")
