"""A summary of a long record: the newest of each kind, without reading all that was measured."""

from decimal import Decimal
from typing import Any

import pytest

from server.continuity.summary.document import summary
from server.continuity.summary.kinds import Kinds
from server.continuity.summary.record import about_patient
from server.interactions.services import Services
from tests.continuity.story_house import SYSTEM, services
from tests.continuity.story_record import ADA, ADA_HERSELF, LOINC, Resource, concept, of

DAYS = [f"20{year}-{month:02d}-{day:02d}"
        for year in range(10, 25) for month in range(1, 13) for day in range(1, 11)]  # fmt: skip
OLD = "2001-01-01"


def measured(id_: str, code: str, on: str, value: Any = 1, **more: Any) -> Resource:
    return of("Observation", id_, subject=ADA, effectiveDateTime=on, status="final",
              code=concept(code, LOINC, code), valueQuantity={"value": value}, **more)  # fmt: skip


SERIES = [measured(f"s{at}", f"code-{at % 5}", on) for at, on in enumerate(DAYS)]


async def shown(house: Services) -> list[str]:
    """Return the ids of the Observations in the summary, newest first."""
    made = await summary(house, SYSTEM, "ada")
    return [one["resource"]["id"] for one in made["entry"]
            if one["resource"]["resourceType"] == "Observation"]  # fmt: skip


async def test_the_newest_of_each_kind_is_shown_however_old_it_is() -> None:
    house = await services([ADA_HERSELF, *SERIES, measured("rare", "rare", OLD)])
    assert await shown(house) == ["s1799", "s1798", "s1797", "s1796", "s1795", "rare"]


async def test_a_long_series_is_not_read_to_its_end() -> None:
    house = await services([ADA_HERSELF, *SERIES, measured("rare", "rare", OLD)])
    record = await about_patient(house, SYSTEM, "Patient/ada")
    assert len(record.own) == 501


async def test_what_is_not_reported_is_not_in_the_way() -> None:
    cancelled = [{**one, "status": "cancelled"} for one in SERIES[-900:]]
    house = await services([ADA_HERSELF, *SERIES[:5], *cancelled])
    assert await shown(house) == ["s4", "s3", "s2", "s1", "s0"]


async def test_each_site_has_its_newest() -> None:
    left, right = {"bodySite": {"text": "left"}}, {"bodySite": {"text": "right"}}
    series = [measured(f"l{at}", "eye", on, **left) for at, on in enumerate(DAYS[600:])]
    series.append(measured("r", "eye", DAYS[-3], **right))
    assert await shown(await services([ADA_HERSELF, *series])) == ["l1199", "r"]


async def test_numbers_are_shown_as_they_were_written() -> None:
    house = await services([ADA_HERSELF, measured("o", "x", OLD, Decimal("1.50"))])
    (found,) = [one["resource"] for one in (await summary(house, SYSTEM, "ada"))["entry"]
                if one["resource"]["resourceType"] == "Observation"]  # fmt: skip
    assert str(found["valueQuantity"]["value"]) == "1.50"


@pytest.mark.parametrize(("times", "enough"), [(19, False), (20, True)])
def test_enough_of_a_kind_are_twenty_of_each_site(times: int, enough: bool) -> None:
    kinds = Kinds()
    kinds.add([measured("o", "x", OLD)] * times)
    assert bool(kinds.enough()) is enough


def test_two_sites_take_twice_as_many() -> None:
    kinds = Kinds()
    kinds.add([measured("o", "x", OLD)] * 38)
    kinds.add([measured("o", "x", OLD, bodySite={"text": "left"})])
    assert kinds.enough() == frozenset()
