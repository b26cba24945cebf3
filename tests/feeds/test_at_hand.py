"""Versions at hand are the latest of this moment, bounded, and never changed by who looks."""

from server.access.context import SYSTEM
from server.feeds import at_hand, lookup
from server.feeds.at_hand import AtHand
from server.fhir import json as fhir_json
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.port import Held, Version
from tests.feeds.test_lookup import identity

NUMBER = [{"system": "urn:x", "value": "1"}]


async def put(services: Services, id_: str, **values: object) -> Version:
    resource = {"resourceType": "Patient", "id": id_, **values}
    write = to_write(resource, base_url=services.base_url, method="PUT")
    (made,) = await services.store.commit([write])
    return made


async def test_what_was_stored_since_is_seen(services: Services) -> None:
    one = identity(services, "Patient", ("identifier", "urn:x|1"))
    await put(services, "a", identifier=NUMBER)
    first = await lookup.find(services, [one])
    await put(services, "a", identifier=NUMBER, gender="male")
    second = await lookup.find(services, [one])
    await put(services, "a", gender="male")

    assert [hits[one.claim]["a"][0].number for hits in (first, second)] == [1, 2]
    assert second[one.claim]["a"][1]["gender"] == "male"
    assert await lookup.find(services, [one]) == {one.claim: {}}


async def test_what_is_stored_between_two_looks_is_asked_again(services: Services) -> None:
    old = await put(services, "a", identifier=NUMBER)
    new = await put(services, "a", gender="male")
    (found,) = (await at_hand.latest(services.store, [Held("Patient", "a", old.seq)])).values()
    assert found[0] == new

    one = identity(services, "Patient", ("identifier", "urn:x|1"))
    perhaps = lookup._Perhaps({Held("Patient", "a", old.seq)}, surely=True)
    held = {Held("Patient", "a", old.seq): found}
    assert lookup._hits(services, one, perhaps, held) == {}


async def test_a_version_is_read_once(services: Services) -> None:
    made = await put(services, "a", identifier=NUMBER)
    held = Held("Patient", "a", made.seq)
    looks = [(await at_hand.latest(services.store, [held]))[held][1] for _ in range(2)]
    assert looks[0] is looks[1]
    assert looks[0] == fhir_json.loads(made.body or b"")


async def test_what_was_used_least_goes_first(services: Services) -> None:
    versions = [await put(services, id_, gender="male") for id_ in "abcd"]
    held = [Held(one.type, one.id, one.seq) for one in versions]
    size = len(versions[0].body or b"")
    kept = AtHand(size * 3)
    for version in versions[:3]:
        kept.put(version)
    kept.get(held[0])
    kept.put(versions[3])
    assert [kept.get(one) is not None for one in held] == [True, False, True, True]
    assert kept.size_bytes == size * 3


async def test_what_is_long_is_not_kept(services: Services) -> None:
    made = await put(services, "a", name=[{"text": "x" * 70_000}])
    kept = AtHand()
    assert kept.put(made)[1]["id"] == "a"
    assert kept.size_bytes == 0
    assert await services.store.read(SYSTEM, "Patient", "a") == made
