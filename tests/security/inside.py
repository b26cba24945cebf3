"""A whole server with a world in it, and what a caller is told there."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from server import rest
from server.access.context import AccessContext
from server.access.policy import load_policy
from server.interactions.prepare import to_write
from server.interactions.services import Policy, Services
from server.store.port import Store, Write
from tests.rest.house import BASE, STORES, Clock
from tests.security.ann import OWN, Resource
from tests.security.asking import Ask, Told, told
from tests.security.worlds import World

POLICY = Policy(delete="allow", conditional_delete="multiple")


async def answers(store: str, world: World, asks: Sequence[Ask], *, others: bool) -> list[Told]:
    """Return what Ann is told, in a world with the others' data or without them."""
    async with opened(store, world, others=others) as client:
        return [one for ask in asks for one in await told(client, ask)]


async def differences(store: str, world: World, asks: Sequence[Ask]) -> list[tuple[Told, Told]]:
    """Return the pairs of answers that tell Ann whether the others' data are there."""
    there = await answers(store, world, asks, others=True)
    alone = await answers(store, world, asks, others=False)
    return [(one, other) for one, other in zip(there, alone, strict=False) if one != other]


@asynccontextmanager
async def opened(name: str, world: World, *, others: bool) -> AsyncIterator[httpx.AsyncClient]:
    """Open a server on a store of that name; the client speaks for Ann."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        store = STORES[name](Path(folder), clock)
        await _fill(store, world, others=others)
        app = application(store, clock, world.kind.caller)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                yield client
        finally:
            await app.stop(grace_s=5)
            await store.close()


def application(store: Store, clock: Clock, caller: AccessContext) -> rest.Application:
    """Return a server that takes everybody for ``caller``."""
    ids = itertools.count(1)
    services = Services(store, BASE, clock, lambda: f"new-{next(ids)}", b"k" * 32, POLICY)
    services = replace(services, access_policy=load_policy())

    async def authenticate(_: bytes | None) -> AccessContext:
        return caller

    made = rest.build(services, authenticate=authenticate)
    next(ids)
    return made


async def _fill(store: Store, world: World, *, others: bool) -> None:
    if others:
        await _commit(store, world.before)
    await _commit(store, OWN)
    if others:
        await _commit(store, world.after)
        gone = (name.split("/") for name in world.gone)
        await store.commit([Write(t, i, None, None, method="DELETE") for t, i in gone])


async def _commit(store: Store, resources: Sequence[Resource]) -> None:
    """Write in few commits: a resource comes once in each."""
    rest = list(resources)
    while rest:
        now = {f"{one['resourceType']}/{one['id']}": one for one in reversed(rest)}
        await store.commit([to_write(one, base_url=BASE, method="PUT") for one in now.values()])
        rest = [one for one in rest if all(one is not done for done in now.values())]
