"""``/admin/destinations``: what waits and why, seen and decided by administrators alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.access.context import AccessContext
from server.auth import Authenticator, administrator, new_token
from server.feeds.outbound import admin
from server.interactions.services import Services
from tests.feeds.outbound import (
    answering,
    patient,
    put,
    receiver,
    sending,
    site,
    until,
    visit,
    ward,
)


@asynccontextmanager
async def console(services: Services, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Yield an administrator's client, beside a service that sends."""
    authenticate = Authenticator(services.store, services.now)

    async def only(header: bytes | None) -> AccessContext:
        await administrator(authenticate, header)
        return await authenticate(header)

    headers = {"Authorization": f"Bearer {await new_token(services.store, 'ann')}"}
    async with sending(services, folder) as service:
        app = FastAPI()
        app.include_router(admin.router(service, only))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test/admin", headers=headers
        ) as client:
            yield client


async def states(client: httpx.AsyncClient, **wanted: int) -> dict[str, Any]:
    """Return the destination as soon as it has so many messages of these states."""
    found: dict[str, Any] = {}

    async def so_many() -> bool:
        found.update((await client.get("/destinations/ward")).json())
        return bool(found["states"] == wanted)

    await until(so_many)
    return found


async def test_a_parked_message_is_seen_skipped_and_what_it_held_goes(
    services: Services, tmp_path: Path
) -> None:
    async with (
        receiver(answering("AR")) as to,
        console(services, site(tmp_path, ward(to.port))) as client,
    ):
        await put(services, patient())
        await states(client, parked=1)
        await put(services, visit())
        shown = await states(client, parked=1, held=1)
        (parked,) = (await client.get("/destinations/ward/messages")).json()["messages"]
        path = f"/destinations/ward/messages/{parked['id']}/skip"
        assert (await client.post(path, json={"reason": " "})).status_code == 409
        skipped = (await client.post(path, json={"reason": "a test patient"})).json()
        await to.until(2)
        await states(client)
        assert (await client.post(path, json={"reason": "again"})).status_code == 409
    assert (shown["connection"], shown["paused"], shown["port"]) == ("connected", False, to.port)
    assert (parked["reason"], parked["about"]) == ("AR", "Patient/ada/_history/1")
    assert parked["problem"] == "the receiver answered AR: no bed"
    assert (skipped["state"], skipped["problem"]) == ("skipped", "a test patient")
    assert to.types == ["ADT^A28", "ADT^A01"]


async def test_a_parked_message_is_sent_again(services: Services, tmp_path: Path) -> None:
    async with (
        receiver(answering("AR")) as to,
        console(services, site(tmp_path, ward(to.port))) as client,
    ):
        await put(services, patient())
        await states(client, parked=1)
        (parked,) = (await client.get("/destinations/ward/messages")).json()["messages"]
        again = await client.post(f"/destinations/ward/messages/{parked['id']}/retry")
        await to.until(2)
    assert again.json()["state"] == "waiting"
    assert to.ids == [parked["control_id"]] * 2


async def test_the_lag_grows_while_it_is_paused_and_ends_when_it_goes_on(
    services: Services, tmp_path: Path
) -> None:
    async with receiver() as to, console(services, site(tmp_path, ward(to.port))) as client:
        assert (await client.post("/destinations/ward/pause")).json()["paused"] is True
        await put(services, patient())
        first = await states(client, waiting=1)
        second = (await client.get("/destinations")).json()[0]
        assert 0 < first["lag_s"] < second["lag_s"]
        page = (await client.get("/destinations/ward/messages", params={"state": "waiting"})).json()
        assert [one["type"] for one in page["messages"]] == ["ADT^A28"]
        await client.post("/destinations/ward/resume")
        assert (await states(client))["lag_s"] == 0


async def test_messages_come_page_by_page(services: Services, tmp_path: Path) -> None:
    async with console(services, site(tmp_path, ward(1, more="paused: true"))) as client:
        for n in range(3):
            await put(services, patient(f"p{n}"))
        await states(client, waiting=3)
        asked: dict[str, str | int] = {"state": "waiting", "limit": 2}
        first = (await client.get("/destinations/ward/messages", params=asked)).json()
        rest = await client.get(
            "/destinations/ward/messages", params={**asked, "after": first["next"]}
        )
    assert [one["about"][:10] for one in first["messages"]] == ["Patient/p0", "Patient/p1"]
    assert [one["about"][:10] for one in rest.json()["messages"]] == ["Patient/p2"]
    assert rest.json()["next"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/destinations"),
        ("GET", "/destinations/ward/messages"),
        ("POST", "/destinations/ward/pause"),
        ("POST", "/destinations/ward/resume"),
    ],
)
async def test_nobody_but_administrators_comes_in(
    services: Services, tmp_path: Path, method: str, path: str
) -> None:
    async with console(services, site(tmp_path, ward(1))) as client:
        refused = await client.request(method, path, headers={"Authorization": "Bearer x"})
        assert (await client.get("/destinations/nobody")).status_code == 404
        assert (await client.post("/destinations/ward/messages/1/retry")).status_code == 404
    assert refused.status_code == 401
