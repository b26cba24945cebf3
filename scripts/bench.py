"""``make bench``: CPU per request of a real server over real sockets, against a bare ASGI echo.

Takes about a minute.  ``--check`` only prints; otherwise docs/performance.md is written.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmark.client import Client, drive
from benchmark.page import Fact, Row, page, row
from benchmark.process import Served, disk_bytes, echo, free_port, tellonce
from benchmark.smart_client import access_token, register
from benchmark.stores import TITLE, measure, section
from benchmark.work import Loaded, Operation, operations, transaction
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
FHIRBENCH = ROOT.parent / "shared" / "tools" / "fhirbench.py"
BUNDLES, ENTRIES = 30, 150
SETTLE_S = 1.8  # until AuditEvents are on disk, and sealed


def main() -> int:
    """Run the benchmark; return 1 when any request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="per operation")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--check", action="store_true", help="print, write nothing")
    parser.add_argument(
        "--fhirbench", action="store_true", help="drive ../shared/tools/fhirbench.py instead"
    )
    parser.add_argument("--stores", action="store_true", help="measure SQLite and MongoDB instead")
    given = parser.parse_args()
    if given.fhirbench:
        return _fhirbench(given.seconds)
    if given.stores:
        return asyncio.run(_stores(given.seconds, check=given.check))
    with tempfile.TemporaryDirectory(prefix="tellonce-bench-") as folder:
        rows, facts = asyncio.run(_all(Path(folder), given.seconds, given.clients))
    _print(rows, facts)
    if not given.check:
        today = datetime.now(UTC).date()
        made = page(rows, facts, command="make bench", today=today)
        _, *beside = PAGE.read_text("utf-8").partition(f"\n{TITLE}")
        PAGE.write_text(made + "".join(beside), "utf-8")
        print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")
    return 1 if any(made.errors for made in rows) else 0


def _fhirbench(seconds: float) -> int:
    """Run the load tool that compares servers, for figures beside those of other servers."""
    if not FHIRBENCH.exists():
        print(f"{FHIRBENCH} is not there", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, tellonce(Path(folder) / "data") as served:
        command = [sys.executable, str(FHIRBENCH), "--secs", str(seconds), "--conc", "16"]
        command += ["--base", f"http://127.0.0.1:{served.port}{served.path}"]
        command += ["--tree", f"server={served.pid}"]
        return subprocess.run(command, check=False).returncode


async def _stores(seconds: float, *, check: bool) -> int:
    """Measure both stores and write their part of docs/performance.md."""
    sides = []
    for store in ("SQLite", "MongoDB"):
        with tempfile.TemporaryDirectory(prefix="tellonce-bench-") as folder:
            sides.append(await measure(store, Path(folder), seconds))
    told = section(sides, "make bench ARGS=--stores", datetime.now(UTC).date().isoformat())
    print(told)
    if not check:
        before, *_ = PAGE.read_text("utf-8").partition(f"\n{TITLE}")
        PAGE.write_text(f"{before.rstrip()}\n\n{told}", "utf-8")
    return 1 if any(made.errors for side in sides for made in side.rows) else 0


async def _all(folder: Path, seconds: float, clients: int) -> tuple[list[Row], list[Fact]]:
    rows = [await _echo(seconds, clients), *await _audited(folder / "audited", seconds, clients)]
    data, port = folder / "open", free_port()  # one port, so that the base address stays
    began = time.perf_counter()
    with tellonce(data, port=port) as served:
        client = Client(served.port, served.path)
        answer = await client.once("GET", "/metadata")
        cold_s = time.perf_counter() - began
        assert answer.status == 200, answer.body[:300]
        idle_mb = served.resident_mb()
        loaded, load = await _load(client, served)
        rows.append(load)
    stored = disk_bytes(data)  # of a server that has ended: nothing waits in a log
    with tellonce(data, port=port) as served:
        chance = random.Random(7)
        todo = operations(client, loaded, chance)
        rows += [await _measure(client, served, each, seconds, clients) for each in todo]
        rows.append(await _measure(client, served, todo[-1], seconds, 64))
        busy_mb = served.resident_mb()
    figures = {"cold_s": cold_s, "idle_mb": idle_mb, "busy_mb": busy_mb}
    return rows, _facts(rows, loaded, disk=stored / loaded.json_bytes, **figures)


async def _echo(seconds: float, clients: int) -> Row:
    with echo() as served:
        client = Client(served.port, served.path)
        operation = Operation("bare ASGI echo", lambda: client.request("GET", ""))
        return await _measure(client, served, operation, seconds, clients)


async def _audited(data: Path, seconds: float, clients: int) -> list[Row]:
    """Measure an app with an opaque token, told of in AuditEvents and Provenances."""
    port, loaded, rows = free_port(), Loaded(), []
    with tellonce(data, port=port, open_=False) as served:
        key = register(data)
        client = Client(served.port, served.path, access_token(served, key))
        for n in range(10):
            answer = await client.once("POST", "", transaction(random.Random(n), n, 50))
            assert loaded.keep(answer.body), answer.body[:300]
        todo = {each.name: each for each in operations(client, loaded, random.Random(5))}
        read = Operation("read with token, buffered audit", todo["read"].make, 0.10)
        create = todo["create Observation"].make
        create_told = Operation("create with audit and Provenance", create, 0.60)
        rows += [
            await _measure(client, served, told, seconds, clients, settle_s=SETTLE_S)
            for told in (read, create_told)
        ]
    with tellonce(data, port=port, open_=False, audit_reads="durable") as served:
        client = Client(served.port, served.path, access_token(served, key))
        make = operations(client, loaded, random.Random(5))[0].make
        read = Operation("read, durable audit", make, 0.15)
        rows.insert(1, await _measure(client, served, read, seconds, 64, settle_s=SETTLE_S))
    return rows


async def _load(client: Client, served: Served) -> tuple[Loaded, Row]:
    loaded = Loaded()
    bundles = [transaction(random.Random(n), n, ENTRIES) for n in range(BUNDLES)]
    loaded.json_bytes = sum(map(len, bundles))
    requests = (client.request("POST", "", bundle) for bundle in bundles)
    before = served.cpu_s()
    made = await drive(
        client, lambda: next(requests), connections=2, seconds=60, most=BUNDLES, right=loaded.keep
    )
    cpu = served.cpu_s() - before
    name = f"load by transactions of {ENTRIES}, per resource"
    return loaded, row(name, made, cpu, connections=2, budget_ms=0.25, per=ENTRIES)


async def _measure(
    client: Client,
    served: Served,
    operation: Operation,
    seconds: float,
    clients: int,
    *,
    settle_s: float = 0.0,
) -> Row:
    """Measure one operation; ``settle_s``: until what it left behind is done, which counts too."""
    connections = min(clients, 4) if operation.per > 1 else clients
    await drive(client, operation.make, connections=2, seconds=seconds / 8)  # warm
    await asyncio.sleep(settle_s)
    before = served.cpu_s()
    made = await drive(
        client, operation.make, connections=connections, seconds=seconds, right=operation.right
    )
    await asyncio.sleep(settle_s)
    cpu = served.cpu_s() - before
    return row(
        operation.name, made, cpu,
        connections=connections, budget_ms=operation.budget_ms, per=operation.per,
    )  # fmt: skip


def _facts(
    rows: list[Row], loaded: Loaded, *, disk: float, cold_s: float, idle_mb: float, busy_mb: float
) -> list[Fact]:
    crowd = rows[-1]
    spread = crowd.p99_ms / crowd.p50_ms if crowd.p50_ms else 0.0
    reading = next(made for made in rows if made.name == "read")
    share = rows[0].cpu_ms / reading.cpu_ms
    errors = sum(made.errors for made in rows)
    per_s = next(made for made in rows if made.name.startswith("load"))
    speed = 1000 / per_s.cpu_ms
    return [
        Fact("echo's CPU over a read's", f"{share:.2f}", ">= 0.25", share >= 0.25),
        Fact("resources loaded per second of CPU", f"{speed:,.0f}", ">= 4,000", speed >= 4000),
        Fact("empty folder to first 200", f"{cold_s:.2f} s", "<= 1.5 s", cold_s <= 1.5),
        Fact("resident, idle", f"{idle_mb:.0f} MB", "<= 200 MB", idle_mb <= 200),
        Fact("resident, behind all of it", f"{busy_mb:.0f} MB", "", None),
        Fact("resources in the record", f"{loaded.resources:,}", "", None),
        Fact("disk per byte of JSON loaded", f"{disk:.2f}", "<= 2.5", disk <= 2.5),
        Fact("p99 / p50, mixed, 64 clients", f"{spread:.1f}", "<= 2.5", spread <= 2.5),
        Fact("errors", str(errors), "0", errors == 0),
    ]


def _print(rows: list[Row], facts: list[Fact]) -> None:
    table = Table(
        "operation", "clients", "CPU ms", "budget", "per s", "p50", "p95", "p99", "errors"
    )
    for made in rows:
        budget = "" if made.budget_ms is None else f"{made.budget_ms:g}"
        numbers = (f"{made.cpu_ms:.3f}", budget, f"{made.requests_per_s:,.0f}")
        times = (f"{ms:.2f}" for ms in (made.p50_ms, made.p95_ms, made.p99_ms))
        table.add_row(made.name, str(made.connections), *numbers, *times, str(made.errors))
    console = Console()
    console.print(table)
    for fact in facts:
        verdict = "" if fact.met is None else "met" if fact.met else "short"
        console.print(f"{fact.name}: {fact.figure} {fact.budget and f'({fact.budget})'} {verdict}")
    for made in rows:
        if made.first_error:
            console.print(f"{made.name}: {made.first_error}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
