"""A thousand patients: nothing wrong is known, and next to nothing is asked in vain."""

import asyncio
from collections import Counter

import pytest

from server.continuity.site import Site
from server.interactions.concept_maps import translations
from server.validation import validate
from tests.continuity.histories.generate import history
from tests.continuity.histories.judge import GRAVE, Judged, judged

HISTORIES = 1_000


@pytest.fixture(scope="module")
def all_judged() -> list[Judged]:
    site = Site(translations=translations)

    async def all_of_them() -> list[Judged]:
        return [one for seed in range(HISTORIES) async for one in judged(history(seed), site)]

    return asyncio.run(all_of_them())


def told(found: list[Judged], *faults: str) -> str:
    """Return the first few of a kind, to be read."""
    return "\n".join([one.told for one in found if one.fault in faults][:12])


@pytest.mark.parametrize("fault", sorted(GRAVE))
def test_nothing_wrong_is_taken_as_known(all_judged: list[Judged], fault: str) -> None:
    assert told(all_judged, fault) == ""


def test_at_most_one_of_a_hundred_known_things_is_asked_again(all_judged: list[Judged]) -> None:
    asked = sum(one.fault == "needless ask" for one in all_judged)
    assert asked <= 0.01 * sum(one.stated for one in all_judged), told(all_judged, "needless ask")


def test_at_most_one_of_ten_known_things_is_to_be_confirmed(all_judged: list[Judged]) -> None:
    due = [one for one in all_judged if one.due]
    confirmed = [one for one in due if one.fault == "needless confirm"]
    assert len(confirmed) <= 0.1 * len(due), told(confirmed, "needless confirm")


def test_the_histories_ask_for_everything_often_enough(all_judged: list[Judged]) -> None:
    stated = Counter(one.item for one in all_judged if one.stated)
    never = {"identity", "consent", "symptoms"}
    assert {item for item, count in stated.items() if count < 100} == set()
    assert {one.item for one in all_judged} - set(stated) == never
    assert sum(one.due for one in all_judged) > 5_000


def test_a_seed_is_always_the_same_history() -> None:
    assert history(7).events == history(7).events
    assert history(7).events != history(8).events


@pytest.mark.parametrize("seed", range(60))
def test_what_the_histories_write_is_valid(seed: int) -> None:
    faults = [
        (one["resourceType"], issue)
        for event in history(seed).events
        for one in event.resources
        for issue in validate(one)
    ]
    assert faults == []
