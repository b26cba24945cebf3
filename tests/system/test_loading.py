"""Files into the record: kinds, compression, faults, and going on after an interruption."""

import bz2
import gzip
import json
import lzma
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM
from server.commands.loading.loader import Loader, Report
from server.commands.loading.sources import UnreadableSource, sources
from server.commands.loading.targets import Posted, StoreTarget
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.search import extract
from server.search.query import Query
from server.store.memory import MemoryStore
from server.store.port import RecordWrite

BASE = "http://127.0.0.1:8080/fhir"


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    clock = count(1_767_323_045_000_000, 1000)
    store = MemoryStore(
        now=lambda: next(clock),
        index=lambda r: (extract.index_rows(r, BASE), extract.compartments(r, BASE)),
    )
    ids = (f"id{number}" for number in count(1))
    yield Services(store, BASE, lambda: next(clock), lambda: next(ids), b"k" * 32)
    await store.close()


async def receive(content: bytes) -> str | None:
    return None if b"PID|1||" in content else "in quarantine: patient-unidentified"


async def load(services: Services, *paths: Path) -> Report:
    loader = Loader(StoreTarget(services), marks=services.store, receive=receive)
    return await loader.load(sources(paths))


async def patients(services: Services) -> int:
    return await services.store.count(SYSTEM, Query(("Patient",)))


def patient(number: int, **elements: Any) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": f"p{number}", **elements}).encode()


async def test_every_kind_of_file_loads_also_compressed(services: Services, tmp_path: Path) -> None:
    collection = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": json.loads(patient(3))}, {"resource": {"resourceType": "Patient"}}],
    }
    (tmp_path / "one.json").write_bytes(patient(1))
    (tmp_path / "two.ndjson.gz").write_bytes(gzip.compress(patient(2) + b"\n\n"))
    (tmp_path / "three.json.bz2").write_bytes(bz2.compress(json.dumps(collection).encode()))
    (tmp_path / "five.jsonl.xz").write_bytes(lzma.compress(patient(5)))
    (tmp_path / "adt.hl7").write_bytes(b"MSH|^~\\&|A\rPID|1||7\rMSH|^~\\&|A\rPID|1||8\r")
    (tmp_path / "notes.txt").write_text("left out")

    report = await load(services, tmp_path)

    assert report == Report(files=5, resources=5, messages=2)
    assert await patients(services) == 5


async def test_a_document_is_stored_as_itself(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    file.write_text('{"resourceType": "Bundle", "type": "document", "id": "d"}')
    assert (await load(services, file)).resources == 1
    assert await services.store.read(SYSTEM, "Bundle", "d") is not None


async def test_a_wrong_line_is_named_and_the_others_are_stored(
    services: Services, tmp_path: Path
) -> None:
    lines = [patient(1), patient(2, birthDate="soon"), b"[]", b"{", patient(5)]
    (tmp_path / "p.ndjson").write_bytes(b"\n".join(lines))

    report = await load(services, tmp_path / "p.ndjson")

    assert [failure.number for failure in report.failures] == [2, 3, 4]
    assert "(Bundle.entry[0].resource.birthDate)" in report.failures[0].reason
    assert report.failures[1].reason == "this is not a FHIR resource: it has no resourceType"
    assert report.resources == await patients(services) == 2


async def test_only_what_failed_is_tried_by_the_next_load(
    services: Services, tmp_path: Path
) -> None:
    (tmp_path / "p.ndjson").write_bytes(b"\n".join([patient(1), b"{", patient(3)]))
    await load(services, tmp_path)

    again = await load(services, tmp_path)

    assert (again.resources, again.before, [f.number for f in again.failures]) == (0, 2, [2])


async def test_what_went_to_quarantine_is_reported_and_not_sent_again(
    services: Services, tmp_path: Path
) -> None:
    (tmp_path / "a.hl7").write_bytes(b"MSH|^~\\&|A\rPID|1||7\rMSH|^~\\&|A\rPID|2\r")

    first = await load(services, tmp_path)
    again = await load(services, tmp_path)

    assert [str(f).removeprefix(f"{tmp_path}/") for f in first.failures] == [
        "a.hl7:2: in quarantine: patient-unidentified"
    ]
    assert (again.before, again.messages, again.failures) == (2, 0, [])


async def test_a_load_that_was_cut_off_goes_on_and_stores_nothing_twice(
    services: Services, tmp_path: Path
) -> None:
    """New ids are made for these lines: a line stored twice would be two patients."""
    lines = b"\n".join(b'{"resourceType": "Patient"}' for _ in range(250))
    (tmp_path / "p.ndjson").write_bytes(lines)
    inner = StoreTarget(services)

    class Cut:
        posts = 0

        async def post(self, bundle: dict[str, Any], mark: RecordWrite | None) -> Posted:
            self.posts += 1
            if self.posts == 3:
                raise StoreUnavailable("the disk is full")
            return await inner.post(bundle, mark)

    cut = Loader(Cut(), marks=services.store, receive=receive)
    with pytest.raises(StoreUnavailable):
        await cut.load(sources([tmp_path]))
    assert await patients(services) == 200

    again = await load(services, tmp_path)

    assert (again.resources, again.before) == (50, 200)
    assert await patients(services) == 250


async def test_a_batch_reports_the_entries_that_were_refused(
    services: Services, tmp_path: Path
) -> None:
    entries = [
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "DELETE", "url": "Patient/x"}},
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    (tmp_path / "b.json").write_text(json.dumps(batch))

    report = await load(services, tmp_path)

    assert report.resources == 1
    assert [failure.reason.split(":")[0] for failure in report.failures] == ["entry 1"]


async def test_a_damaged_file_is_one_failure(services: Services, tmp_path: Path) -> None:
    (tmp_path / "p.json.gz").write_bytes(gzip.compress(patient(1))[:-9])
    report = await load(services, tmp_path)
    assert ["damaged" in failure.reason for failure in report.failures] == [True]


def test_a_path_that_cannot_be_loaded_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="is not there"):
        sources([tmp_path / "nothing.json"])
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(UnreadableSource, match="not a file of"):
        sources([tmp_path / "table.csv"])
