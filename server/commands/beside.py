"""What commands do to the store while a server may have it open."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio

from server import app
from server.access.context import SYSTEM
from server.commands.options import refusals, settings_from
from server.store.port import Store

T = TypeVar("T")


def beside(work: Callable[[Store], Awaitable[T]], *, data: Path | None, store: str | None) -> T:
    """Return what ``work`` does with the store; what an operator can mend is one line."""
    settings = settings_from(data=data, store=store)

    async def opened() -> T:
        async with app.store_beside(settings) as found:
            return await work(found)

    with refusals():
        return anyio.run(opened)
    raise AssertionError("refusals end the command")


async def missing(store: Store, *references: str | None) -> list[str]:
    """Return those of the references that are not in the record."""
    gone = []
    for reference in filter(None, references):
        type_, _, id_ = reference.partition("/")
        found = await store.read(SYSTEM, type_, id_)
        if found is None or found.body is None:
            gone.append(reference)
    return gone
