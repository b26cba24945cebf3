"""Servers on a MongoDB of the test run: what the tests of several processes share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.store.mongo import MongoStore
from tests import mongod
from tests.feeds.conftest import NOW, index
from tests.system.process import Process, served

INITIAL_WAIT_S = 30.0


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a new database, which is dropped at the end."""
    name = mongod.take()
    url = mongod.url()
    before, _, options = url.partition("?")
    try:
        yield f"{before.rstrip('/')}/{name}?{options}"
    finally:
        mongod.drop(name)


@contextmanager
def serving(folder: Path, name: str, url: str, *options: str, **settings: str) -> Iterator[Process]:
    """Start a server process on the database; its other files are in ``folder / name``."""
    given = {"TELLONCE_STORE": url, **settings}
    with served(folder / name, "--open", *options, settings=given) as process:
        yield process


def opened(url: str) -> MongoStore:
    """Return the store, to be looked at."""
    return MongoStore(url, now=lambda: NOW, index=index, fingerprint="")


async def soon(what: Any, within_s: float = 30.0) -> Any:
    """Return the first answer of ``what()`` that is true."""
    async with asyncio.timeout(within_s):
        while True:
            if found := await what():
                return found
            await asyncio.sleep(0.05)
