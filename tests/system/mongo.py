"""Servers on a MongoDB of the test run: what the tests of several processes share."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from server.store.mongo import MongoStore
from tests import mongod
from tests.feeds.conftest import NOW, index


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of a new database, which is dropped at the end."""
    name = mongod.take()
    url = mongod.url()
    before, _, options = url.partition("?")
    try:
        yield f"{before.rstrip('/')}/{name}?{options}"
    finally:
        # What a killed process had begun would keep the database for a minute.
        with MongoClient(url) as client:
            client.admin.command("killAllSessions", [])
        mongod.drop(name)


@contextmanager
def three(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Yield the address of a replica set of three members, and the members; the first leads."""
    ports = [mongod.free_port() for _ in range(3)]
    members: list[subprocess.Popen[bytes]] = []
    try:
        members += [mongod.start(port, folder / str(port), "--replSet", "rs0") for port in ports]
        mongod.initiate(ports)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"mongodb://{hosts}/tellonce?replicaSet=rs0", members
    finally:
        for member in members:
            member.kill()
            member.wait()


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
