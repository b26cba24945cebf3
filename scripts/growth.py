"""``make growth``: what searches cost in a record of 50,000 Observations and in a large one.

    python scripts/growth.py run 1000000
    python scripts/growth.py make FILE 1000000
    python scripts/growth.py measure FILE [FILE]

``make`` writes N Observations of N/50 patients through the store's own commit, in large batches.
``measure`` asks each record in turn, so that both are asked on the same machine at the same time:
the store alone, then a server over HTTP.  Of two records it tells the ratio.  ``run`` does both in
a folder of its own, and ends with 1 when a budget is not kept.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qsl

from benchmark.client import Client
from benchmark.process import Served, tellonce_of
from benchmark.questions import QUESTIONS, RATIO, Question, asking
from benchmark.ward import PER_PATIENT, people, resources
from rich.progress import Progress

from server.access.context import SYSTEM
from server.interactions import search_parameters
from server.interactions.prepare import to_write
from server.search.catalog import R4
from server.search.parse import parse_search
from server.search.query import Search
from server.store.port import Write
from server.store.sqlite import SqliteStore

BASE = "http://127.0.0.1:8000/fhir"
SMALL = 50_000
BATCH = 400  # resources of one commit
AT_ONCE = 4  # commits
ROUNDS = 40
REPEATS = 3  # over HTTP
SLACK_MS = 0.25  # that a small figure may grow by: the clock of a shared machine tells no less


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of one question: median and 95th percentile, mean CPU of the process.

    Over HTTP the former are of the clock, of the store alone of the CPU.

    ``steps`` are rows of the plan, ``does=estimated/counted``, where the store was asked alone.
    """

    p50: float
    p95: float
    cpu: float
    steps: str = ""


def store_at(file: Path) -> SqliteStore:
    """Open the file as the server at :data:`BASE` would."""
    return SqliteStore(
        file,
        now=lambda: time.time_ns() // 1000,
        index=search_parameters.index(BASE, R4),
        fingerprint=search_parameters.fingerprint(BASE, R4),
    )


async def make(file: Path, size: int) -> None:
    """Write the record, with a line of progress."""
    store = store_at(file)
    json_bytes = 0
    begun, cpu = time.perf_counter(), time.process_time()
    made = (to_write(one, base_url=BASE, method="PUT") for one in resources(size))
    try:
        with Progress() as progress:
            task = progress.add_task("writing", total=size + people(size))
            while batches := [b for _ in range(AT_ONCE) if (b := list(islice(made, BATCH)))]:
                json_bytes += sum(_bytes(write) for batch in batches for write in batch)
                await asyncio.gather(*(store.commit(batch) for batch in batches))
                progress.advance(task, sum(map(len, batches)))
    finally:
        await store.close()
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(f"{size} Observations in {took:.1f} s, {cpu / size * 1000:.3f} ms CPU each")
    _tell_size(file, json_bytes)


def _tell_size(file: Path, json_bytes: int) -> None:
    disk = file.stat().st_size
    print(f"{disk} bytes, {disk / json_bytes:.2f} per byte of JSON")


def _bytes(write: Write) -> int:
    assert write.body is not None
    return len(write.body.head) + len(write.body.tail) + 60  # version and time


def _asked(question: Question, size: int, mrns: Sequence[str]) -> list[str]:
    """Return the requests of a measurement, each once to warm and once to be timed."""
    chance = random.Random(7)

    def identifier(id_: str) -> str:
        return mrns[int(id_.removeprefix("p"))]

    return [asking(question, size, identifier, chance) for _ in range(ROUNDS)]


def _mrns(size: int) -> list[str]:
    made = zip(range(people(size)), resources(size), strict=False)
    return [one["identifier"][0]["value"] for _, one in made]


async def measure(files: Sequence[Path]) -> bool:
    """Print the figures of each question to each record; tell whether all budgets are kept."""
    sizes = [await _size(file) for file in files]
    mrns = [_mrns(size) for size in sizes]
    records = list(zip(files, sizes, mrns, strict=True))
    alone = [await _alone(*record) for record in records]
    with ExitStack() as stack:
        servers = []
        for file in files:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="growth-")))
            servers.append(stack.enter_context(tellonce_of(file, data, BASE)))
        kept = True
        print(f"| search | {' | '.join(_columns(size) for size in sizes)} | CPU ratio |")
        print("|---" * (4 * len(sizes) + 2) + "|")
        for question in QUESTIONS:
            asked = [_asked(question, size, named) for _, size, named in records]
            over = await _served(servers, asked)
            kept &= _tell(question, [by.get(question.name) for by in alone], over)
    return kept


def _columns(size: int) -> str:
    return f"{size:,}: store, CPU | HTTP, p50 | p95 | CPU"


def _tell(question: Question, alone: Sequence[Figures | None], over: Sequence[Figures]) -> bool:
    """Print the line of a question; tell whether it is within its budgets."""
    cells, faults = [], []
    for store, http in zip(alone, over, strict=True):
        cells.append(f"{store.p50:.2f}" if store else "")
        cells += [f"{http.p50:.2f}", f"{http.p95:.2f}", f"{http.cpu:.2f}"]
    first, last = over[0], over[-1]
    if not question.grows and last.cpu > RATIO * first.cpu + SLACK_MS:
        faults.append("**grows**")
    if question.within_ms is not None and last.p50 > question.within_ms:
        faults.append(f"**over {question.within_ms:g} ms**")
    ratio = f"{last.cpu / first.cpu:.1f}" if first.cpu else ""
    told = " ".join([ratio, *faults])
    print(f"| {question.name} | {' | '.join(cells)} | {told} |", flush=True)
    return not faults


async def _size(file: Path) -> int:
    store = store_at(file)
    try:
        patients = parse_search("Patient", [], default_count=1, max_count=1).query
        return await store.count(SYSTEM, patients) * PER_PATIENT
    finally:
        await store.close()


async def _alone(file: Path, size: int, mrns: Sequence[str]) -> dict[str, Figures]:
    """Ask the store, without HTTP."""
    store = store_at(file)
    try:
        asked = [question for question in QUESTIONS if question.store]
        return {each.name: await _of_store(store, _asked(each, size, mrns)) for each in asked}
    finally:
        await store.close()


async def _of_store(store: SqliteStore, asked: Sequence[str]) -> Figures:
    searches = [_parsed(one) for one in asked]
    for one in searches:
        await store.search(SYSTEM, one.query, sort=one.sort, limit=one.count)
    times = []
    for one in searches:
        begun = time.process_time()
        await store.search(SYSTEM, one.query, sort=one.sort, limit=one.count)
        times.append(time.process_time() - begun)
    one = searches[0]
    told = await store.explain(SYSTEM, one.query, sort=one.sort, limit=one.count)
    steps = " ".join(f"{s.does}={s.estimated}/{s.rows}" for s in told.steps)
    return _figures(times, sum(times), steps)


def _parsed(asked: str) -> Search:
    type_, _, query = asked.partition("?")
    return parse_search(type_, parse_qsl(query), default_count=20, max_count=1000, base_url=BASE)


async def _served(servers: Sequence[Served], asked: Sequence[Sequence[str]]) -> list[Figures]:
    """Ask each server by one connection, in turn, so that all of them have the same neighbours."""
    clients = [Client(served.port, served.path) for served in servers]
    connections = [await client.connect() for client in clients]
    times: list[list[float]] = [[] for _ in servers]
    before = [0.0 for _ in servers]
    for repeat in range(1 + REPEATS):
        if repeat == 1:
            times = [[] for _ in servers]
            before = [served.running_s() for served in servers]
        for together in zip(*asked, strict=True):
            for place, one in enumerate(together):
                request = clients[place].request("GET", f"/{one}")
                begun = time.perf_counter()
                answer = await connections[place].send(request)
                times[place].append(time.perf_counter() - begun)
                assert answer.status == 200, answer.body[:300]
    spent = [served.running_s() - start for served, start in zip(servers, before, strict=True)]
    for connection in connections:
        connection.close()
    return [_figures(each, cpu) for each, cpu in zip(times, spent, strict=True)]


def _figures(times: list[float], cpu_s: float, steps: str = "") -> Figures:
    milliseconds = sorted(took * 1000 for took in times)
    late = milliseconds[int(0.95 * len(milliseconds))]
    return Figures(statistics.median(milliseconds), late, cpu_s * 1000 / len(times), steps)


async def run(size: int) -> bool:
    """Make both records, ask them, and forget them."""
    with tempfile.TemporaryDirectory(prefix="tellonce-growth-") as folder:
        files = [Path(folder) / f"{each}.db" for each in (SMALL, size)]
        for file, each in zip(files, (SMALL, size), strict=True):
            await make(file, each)
        return await measure(files)


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    making = what.add_parser("make")
    making.add_argument("file", type=Path)
    making.add_argument("size", type=int)
    asking_ = what.add_parser("measure")
    asking_.add_argument("files", type=Path, nargs="+")
    running = what.add_parser("run")
    running.add_argument("size", type=int, nargs="?", default=1_000_000)
    given = parser.parse_args()
    if given.what == "run":
        return 0 if asyncio.run(run(given.size)) else 1
    if given.what == "measure":
        return 0 if asyncio.run(measure(given.files)) else 1
    if given.file.exists():
        print(f"{given.file} is there already", file=sys.stderr)
        return 1
    asyncio.run(make(given.file, given.size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
