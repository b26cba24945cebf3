"""``make soak``: a record of a million Observations, and what searches of it cost.

    python scripts/growth.py make FILE 1000000
    python scripts/growth.py measure FILE

``make`` writes N Observations of N/50 patients through the store's own commit, in large batches;
a tenth of them, 20,000 at most, belong to one heavy patient.  Everything is invented, and the same
for the same N.  ``measure`` prints the milliseconds of each search, and the plan of its rows.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.record import VITALS, observation, patient
from rich.progress import Progress

from server.access.context import SYSTEM
from server.interactions import search_parameters
from server.interactions.prepare import to_write
from server.search.catalog import R4
from server.search.parse import parse_search
from server.store.port import Store, Write
from server.store.sqlite import SqliteStore

BASE = "http://127.0.0.1:8000/fhir"
PER_PATIENT = 50
HEAVY = "heavy"
MOST_HEAVY = 20_000
BATCH = 400  # resources of one commit
AT_ONCE = 4  # commits
ROUNDS = 15

# Written as clients write them; {p} is a patient of many.
SEARCHES = {
    "newest 20 of a patient": "Observation?patient=Patient/{p}&_sort=-date&_count=20",
    "newest 20 of the heavy patient": "Observation?patient=Patient/heavy&_sort=-date&_count=20",
    "patient + code, newest": "Observation?patient=Patient/{p}&code=8867-4&_sort=-date&_count=20",
    "heavy patient + code": "Observation?patient=Patient/heavy&code=8867-4&_sort=-date&_count=20",
    "patient + category + date": "Observation?patient=Patient/{p}&category=vital-signs"
    "&date=ge2024-01-01&_count=20",
    "code + value-quantity": "Observation?code=http://loinc.org|8867-4&value-quantity=gt198"
    "&_count=20",
    "code + day": "Observation?code=8867-4&date=2024-05-17&_count=20",
    "chain to a family": "Observation?subject:Patient.family=Silva&_sort=-date&_count=20",
    "chain to one identifier": "Observation?subject:Patient.identifier={i}&_sort=-date&_count=20",
    "chain and code": "Observation?patient.gender=female&code=8867-4&_count=20",
    "_has of a code": "Patient?_has:Observation:patient:code=8867-4&_count=20",
    "_has of a rare value": "Patient?_has:Observation:patient:value-quantity=gt199.95&_count=20",
    "patients by family": "Patient?_sort=family&_count=20",
    "patients by birth date": "Patient?_sort=-birthdate&_count=20",
    "latest changed": "Observation?_sort=-_lastUpdated&_count=20",
    "words": "Observation?_content=temperature&_count=20",
    "code:text": "Observation?code:text=gluc&_count=20",
    "without an encounter": "Observation?encounter:missing=true&_count=20",
    "include: patients of a page": "Patient?_id={ids}&_count=50",
}


def store_at(file: Path) -> SqliteStore:
    """Open the file as the server at :data:`BASE` would."""
    return SqliteStore(
        file,
        now=lambda: time.time_ns() // 1000,
        index=search_parameters.index(BASE, R4),
        fingerprint=search_parameters.fingerprint(BASE, R4),
    )


def resources(size: int) -> Iterator[dict[str, Any]]:
    """Yield patients and Observations, in an order in which hospitals write them."""
    chance = random.Random(size)
    people = max(size // PER_PATIENT, 2)
    for number in range(people):
        yield {**patient(chance, number), "id": HEAVY if number == 0 else f"p{number}"}
    heavy = min(size // 10, MOST_HEAVY)
    for number in range(size):
        one = HEAVY if number % (size // heavy) == 0 else f"p{chance.randrange(1, people)}"
        visit = f"Encounter/e{chance.randrange(people)}" if number % 50 else None
        made = observation(chance, f"Patient/{one}", visit)
        made["performer"] = [{"reference": f"Practitioner/d{chance.randrange(200)}"}]
        # As the server's own ids: the beginning grows with time.
        id_ = uuid.UUID(int=(number << 80) | chance.getrandbits(80), version=4)
        yield {**made, "id": str(id_)}


async def make(file: Path, size: int) -> None:
    """Write the record, with a line of progress."""
    store = store_at(file)
    json_bytes = 0
    begun, cpu = time.perf_counter(), time.process_time()
    made = resources(size)
    try:
        with Progress() as progress:
            task = progress.add_task("writing", total=size + max(size // PER_PATIENT, 2))
            while batches := [b for _ in range(AT_ONCE) if (b := _batch(made))]:
                json_bytes += sum(_size(write) for batch in batches for write in batch)
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


def _batch(made: Iterator[dict[str, Any]]) -> list[Write]:
    return [
        to_write(resource, base_url=BASE, method="PUT")
        for _, resource in zip(range(BATCH), made, strict=False)
    ]


def _size(write: Write) -> int:
    assert write.body is not None
    return len(write.body.head) + len(write.body.tail) + 60  # version and time


async def measure(file: Path) -> None:
    """Print the milliseconds and the steps of each search."""
    store = store_at(file)
    try:
        people = await store.count(
            SYSTEM, parse_search("Patient", [], default_count=20, max_count=1000).query
        )
        for name, asked in SEARCHES.items():
            took, found, steps = await _timed(store, asked, people)
            print(f"{name:32} {took * 1000:8.2f} ms {found:5} found   {steps}")
        await _creates(store)
    finally:
        await store.close()


async def _timed(store: Store, asked: str, people: int) -> tuple[float, int, str]:
    chance = random.Random(7)
    times, found, steps = [], 0, ""
    for place in range(2 * ROUNDS):
        if place == ROUNDS:
            chance.seed(7)  # once more, now that the pages are at hand
            times.clear()
        one = f"p{chance.randrange(1, people)}"
        ids = ",".join(f"p{chance.randrange(1, people)}" for _ in range(20))
        kept = await store.read(SYSTEM, "Patient", one)
        mrn = kept.body.decode().split('"value":"')[1].split('"')[0] if kept and kept.body else ""
        type_, _, query = asked.format(p=one, ids=ids, i=mrn).partition("?")
        pairs = [tuple(part.split("=", 1)) for part in query.split("&")]
        search = parse_search(type_, pairs, default_count=20, max_count=1000)  # type: ignore[arg-type]
        begun = time.perf_counter()
        page = await store.search(SYSTEM, search.query, sort=search.sort, limit=search.count)
        times.append(time.perf_counter() - begun)
        found = len(page.versions)
        if not steps:
            told = await store.explain(SYSTEM, search.query, sort=search.sort, limit=search.count)
            steps = " ".join(f"{s.does}={s.estimated}/{s.rows}" for s in told.steps)
    return statistics.median(times), found, steps


async def _creates(store: Store) -> None:
    """Print the CPU of creates by 64 clients: rows are made beforehand, as they are no SQL."""
    chance = random.Random(time.time_ns())
    count = 3_200
    writes = [
        to_write(
            {
                **observation(chance, f"Patient/p{chance.randrange(1, 100)}"),
                "id": str(uuid.uuid4()),
            },
            base_url=BASE,
            method="POST",
        )
        for _ in range(count)
    ]

    async def client() -> None:
        while writes:
            await store.commit([writes.pop()])

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(64)))
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(f"create by 64 clients: {cpu / count * 1000:.3f} ms CPU, {count / took:.0f}/s")


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "measure"])
    parser.add_argument("file", type=Path)
    parser.add_argument("size", type=int, nargs="?", default=100_000)
    given = parser.parse_args()
    if given.what == "make":
        if given.file.exists():
            print(f"{given.file} is there already", file=sys.stderr)
            return 1
        asyncio.run(make(given.file, given.size))
    else:
        asyncio.run(measure(given.file))
    return 0


if __name__ == "__main__":
    assert VITALS  # the codes that the searches name
    sys.exit(main())
