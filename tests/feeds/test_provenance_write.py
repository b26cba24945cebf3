"""A message's Provenance is made of a frame: what comes out is what the generic walk makes."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest

from server.feeds.audit import in_their_compartment, labelled
from server.feeds.inbox import Entry
from server.feeds.provenance import provenance
from server.feeds.provenance_write import provenance_write
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.search.rows import IndexRows
from server.store.memory import MemoryStore
from server.store.port import Write
from tests.feeds.conftest import index, services_on

AT = 1_767_323_045_678_901
ENTRY = Entry("019b0000-0000-7000-8000-0000000000ff", "adt", AT, sender="REG|HOSP", type="ADT^A01")
ENTRIES = (
    ENTRY,
    replace(ENTRY, id="019b0000-0000-7000-8000-0000000000fe"),
    replace(ENTRY, feed="labor", sender="", type=""),
    replace(ENTRY, sender='K\N{LATIN SMALL LETTER O WITH DIAERESIS}ln "1"', type="ORU"),
    replace(ENTRY, mode="replay"),
    replace(ENTRY, sender="S" * 300),
)
R = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
MARY, ENCOUNTER = {"resourceType": "Patient"}, {"resourceType": "Encounter"}
OF_MARY = {"subject": {"reference": "Patient/m"}}
WRITTEN: tuple[tuple[dict[str, Any], ...], ...] = (
    (MARY | {"id": "m"},),
    (MARY | {"id": "m"}, ENCOUNTER | {"id": "e"} | OF_MARY, {"resourceType": "Device", "id": "d"}),
    (ENCOUNTER | {"id": "e"} | OF_MARY, {"resourceType": "Practitioner", "id": "p"}),
    (MARY | {"id": "m"}, MARY | {"id": "n"}),
    ({"resourceType": "Location", "id": "l"},),
    (ENCOUNTER | {"id": "e", "meta": {"security": [R]}} | OF_MARY,),
)


def by_the_walk(
    services: Services, entry: Entry, produced: Sequence[str], writes: Sequence[Write]
) -> Write:
    made = provenance("id-1", entry, produced, recorded=AT, map_version="v1")
    told_of = to_write(
        labelled(made, writes), base_url=services.base_url, method="POST", must_be_new=True
    )
    return in_their_compartment(told_of, writes)


def in_order(rows: Any) -> dict[str, object]:
    """The order of rows carries nothing."""
    assert isinstance(rows, IndexRows)
    return {
        one.name: sorted(value) if isinstance(value := getattr(rows, one.name), tuple) else value
        for one in fields(rows)
    }


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("written", WRITTEN)
def test_body_and_rows_are_those_of_the_walk(
    entry: Entry, written: Sequence[dict[str, Any]]
) -> None:
    store = MemoryStore(now=lambda: AT, index=index)
    services = replace(services_on(store, lambda: AT), new_id=lambda: "id-1")
    writes = [to_write(one, base_url=services.base_url, method="PUT") for one in written]
    produced = [f"{write.type}/{write.id}/_history/{n}" for n, write in enumerate(writes, 1)]

    made = provenance_write(services, entry, produced, writes, "v1")

    wanted = by_the_walk(services, entry, produced, writes)
    assert made.body == wanted.body
    assert in_order(made.rows) == in_order(wanted.rows)
    assert replace(made, rows=None, body=None) == replace(wanted, rows=None, body=None)
