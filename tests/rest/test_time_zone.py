"""Dates without a time zone are in the server's own, stored and asked alike."""

import pytest

from server.interactions import search_parameters
from server.search.catalog import Catalog
from tests.rest.house import House, ids, observation, patient


@pytest.fixture
async def berlin(house: House) -> House:
    house.services.searchable.catalog = Catalog(zone="Europe/Berlin")
    await search_parameters.load(house.services)
    return house


async def test_a_day_is_a_day_of_the_zone(berlin: House) -> None:
    async with berlin.client() as client:
        for id_, at in (("late", "2026-01-01T23:30:00Z"), ("early", "2026-01-01T00:30:00+01:00")):
            made = await client.put(
                f"/Observation/{id_}", json=observation(id_=id_, effectiveDateTime=at)
            )
            assert made.status_code == 201
        await client.put("/Patient/a", json=patient("a", birthDate="1980-03-30"))

        assert ids(await client.get("/Observation?date=2026-01-01")) == ["Observation/early"]
        assert ids(await client.get("/Observation?date=2026-01-02")) == ["Observation/late"]
        assert ids(await client.get("/Observation?_sort=date")) == [
            "Observation/early", "Observation/late",
        ]  # fmt: skip
        # The clocks go forward on that day: it has 23 hours.
        assert ids(await client.get("/Patient?birthdate=1980-03-30")) == ["Patient/a"]
        assert ids(await client.get("/Patient?birthdate=lt1980-03-30T00:00:00Z")) == ["Patient/a"]


async def test_in_utc_the_same_times_are_on_other_days(house: House) -> None:
    async with house.client() as client:
        for id_, at in (("late", "2026-01-01T23:30:00Z"), ("early", "2026-01-01T00:30:00+01:00")):
            await client.put(f"/Observation/{id_}", json=observation(id_=id_, effectiveDateTime=at))

        assert ids(await client.get("/Observation?date=2026-01-01")) == ["Observation/late"]
        assert ids(await client.get("/Observation?date=2025-12-31")) == ["Observation/early"]
