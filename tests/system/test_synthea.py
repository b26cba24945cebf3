"""Thirteen patients' records made by Synthea, as the transactions that it writes.

They refer to practitioners, places and organizations by condition (``Practitioner?identifier=...``)
and bring none of them along, so they load only into a record that has them.
"""

import bz2
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.commands.loading.loader import Loader
from server.commands.loading.sources import sources
from server.commands.loading.targets import StoreTarget
from server.fhir.errors import InvalidRequest
from server.interactions import bundle as bundles
from server.interactions.services import Services
from server.search import extract
from server.search.query import Query
from server.store.sqlite import SqliteStore

BASE = "http://127.0.0.1:8080/fhir"
NAMES = {"Practitioner": "name", "Location": "name", "Organization": "name"}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    clock = count(1_767_323_045_000_000, 1000)
    store = SqliteStore(
        tmp_path / "record.db",
        now=lambda: next(clock),
        index=lambda r: (extract.index_rows(r, BASE), extract.compartments(r, BASE)),
        fingerprint="test",
    )
    ids = (f"id{number}" for number in count(1))
    yield Services(store, BASE, lambda: next(clock), lambda: next(ids), b"k" * 32)
    await store.close()


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "synthea"


@pytest.fixture(scope="module")
def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(bz2.decompress(file.read_bytes())) for file in sorted(folder.iterdir())]


def conditions(value: Any) -> Iterator[str]:
    """Yield every conditional reference in a JSON value."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and "?" in reference:
            yield reference
        for inner in value.values():
            yield from conditions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from conditions(inner)


def stub(condition: str, number: int) -> dict[str, Any]:
    """The smallest resource that ``Type?identifier=system|value`` finds."""
    type_, _, token = condition.partition("?identifier=")
    system, _, value = token.partition("|")
    made = {"resourceType": type_, "id": f"stub{number}"}
    return {**made, "identifier": [{"system": system, "value": value}]}


def stubs(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = dict.fromkeys(c for record in records for c in conditions(record))
    return [stub(condition, number) for number, condition in enumerate(wanted)]


def wanted_counts(records: list[dict[str, Any]]) -> Counter[str]:
    entries = [entry["resource"] for record in records for entry in record["entry"]]
    return Counter(resource["resourceType"] for resource in entries + stubs(records))


async def counts(services: Services, types: Counter[str]) -> dict[str, int]:
    return {type_: await services.store.count(SYSTEM, Query((type_,))) for type_ in types}


async def no_feed(content: bytes) -> str | None:
    raise AssertionError("there is no HL7v2 in these files")


def write_stubs(file: Path, records: list[dict[str, Any]]) -> Path:
    file.write_text("\n".join(json.dumps(made) for made in stubs(records)) + "\n")
    return file


async def test_conditional_references_that_match_nothing_are_refused_each_by_name(
    services: Services, records: list[dict[str, Any]]
) -> None:
    smallest = min(records, key=lambda record: len(record["entry"]))
    with pytest.raises(InvalidRequest) as refused:
        await bundles.process(services, SYSTEM, smallest)

    told = "\n".join(f"{i.diagnostics} {' '.join(i.expression)}" for i in refused.value.issues)
    entries = enumerate(smallest["entry"])
    waiting = {at for at, entry in entries if any(conditions(entry["resource"]))}
    assert {at for at in waiting if f"Bundle.entry[{at}].resource" not in told} == set()
    assert await services.store.count(SYSTEM, Query(("Patient",))) == 0


async def test_all_records_load_in_any_order_once_what_they_refer_to_is_there(
    services: Services, folder: Path, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    last = write_stubs(tmp_path / "stubs.ndjson", records)
    loader = Loader(StoreTarget(services), marks=services.store, receive=no_feed)

    report = await loader.load(sources([folder, last]))

    wanted = wanted_counts(records)
    assert (report.failures, report.files, report.resources) == ([], 14, 2491 + 81)
    assert await counts(services, wanted) == wanted


async def test_loading_the_same_files_again_stores_nothing(
    services: Services, folder: Path, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    files = sources([write_stubs(tmp_path / "stubs.ndjson", records), folder])[:3]
    await Loader(StoreTarget(services), marks=services.store, receive=no_feed).load(files)

    again = await Loader(StoreTarget(services), marks=services.store, receive=no_feed).load(files)

    assert (again.resources, again.before, again.failures) == (0, 83, [])


async def test_posted_one_after_the_other_they_make_the_same_record(
    services: Services, records: list[dict[str, Any]]
) -> None:
    entries = [
        {
            "resource": made,
            "request": {"method": "PUT", "url": f"{made['resourceType']}/{made['id']}"},
        }
        for made in stubs(records)
    ]
    assert len(entries) == 81
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    for bundle in (transaction, *records):
        answer = json.loads(await bundles.process(services, SYSTEM, bundle))
        statuses = {entry["response"]["status"] for entry in answer["entry"]}
        assert statuses == {"201 Created"}

    wanted = wanted_counts(records)
    assert await counts(services, wanted) == wanted
