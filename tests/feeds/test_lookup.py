"""Identities looked up together find what each would find alone."""

from typing import Any

import pytest

from mappings.plan import Identity, PlannedResource
from server.feeds import lookup
from server.feeds.lookup import Sought, find, sought
from server.feeds.refused import RefusedMessage
from server.interactions.prepare import to_write
from server.interactions.services import Services


def identity(services: Services, type_: str, *pairs: tuple[str, str]) -> Sought:
    planned = PlannedResource("it", type_, {}, Identity((pairs,)), frozenset())
    return sought(services, planned, pairs)


@pytest.fixture
async def stored(services: Services) -> Services:
    def put(type_: str, id_: str, **values: Any) -> Any:
        resource = {"resourceType": type_, "id": id_, **values}
        return to_write(resource, base_url=services.base_url, method="PUT")

    def mrn(value: str) -> list[dict[str, str]]:
        return [{"system": "urn:x", "value": value}]

    a, b = {"reference": "Patient/a"}, {"reference": "Patient/b"}
    await services.store.commit(
        [
            put("Patient", "a", identifier=mrn("1")),
            put("Patient", "b", identifier=[*mrn("1"), *mrn("2")]),
            put("Practitioner", "d", identifier=mrn("1")),
            put("Encounter", "v", identifier=mrn("1"), subject=a, status="planned"),
            put("Encounter", "w", identifier=mrn("1"), subject=b, status="planned"),
        ]
    )
    return services


async def test_each_gets_its_own_hits_of_one_search(stored: Services) -> None:
    one = identity(stored, "Patient", ("identifier", "urn:x|1"))
    two = identity(stored, "Patient", ("identifier", "urn:x|2"))
    none = identity(stored, "Patient", ("identifier", "urn:x|3"))
    doctor = identity(stored, "Practitioner", ("identifier", "urn:x|1"))
    visit = identity(stored, "Encounter", ("patient", "Patient/b"), ("identifier", "urn:x|1"))
    found = await find(stored, [one, two, none, doctor, visit, one])
    assert {claim: sorted(hits) for claim, hits in found.items()} == {
        "Patient?identifier=urn:x|1": ["a", "b"],
        "Patient?identifier=urn:x|2": ["b"],
        "Patient?identifier=urn:x|3": [],
        "Practitioner?identifier=urn:x|1": ["d"],
        "Encounter?identifier=urn:x|1&patient=Patient/b": ["w"],
    }


async def test_one_with_many_hits_does_not_hide_those_of_another(
    stored: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "MOST_HITS", 1)
    of_type = ("Patient", "Practitioner")
    asked = [identity(stored, type_, ("identifier", "urn:x|1")) for type_ in of_type]
    found = await find(stored, asked)
    assert [len(hits) for hits in found.values()] == [1, 1]


async def test_what_keys_alone_do_not_decide_is_searched_too(stored: Services) -> None:
    by_status = identity(stored, "Encounter", ("status", "planned"), ("_id", "v"))
    long = identity(stored, "Patient", ("identifier", "urn:x|" + "ü" * 300))
    found = await find(stored, [by_status, long])
    assert [sorted(hits) for hits in found.values()] == [["v"], []]


async def test_what_cannot_be_searched_is_a_fault_of_the_map(services: Services) -> None:
    with pytest.raises(RefusedMessage, match="map-error"):
        identity(services, "Patient", ("colour", "red"))
