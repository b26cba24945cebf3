"""A thousand patients: nothing wrong is known, and next to nothing is asked in vain."""

from collections import Counter

import pytest

from server.continuity.site import Site
from server.interactions.concept_maps import translations
from server.validation import validate
from tests.continuity.histories.form import MODES
from tests.continuity.histories.generate import history
from tests.continuity.histories.judge import GRAVE, Fault, Judged, judged
from tests.continuity.histories.nurse import verdict

HISTORIES = 1_000
PART = 50  # histories of one test: they are spread over the workers


@pytest.mark.parametrize("first", range(0, HISTORIES, PART))
async def test_nothing_wrong_is_known_and_next_to_nothing_asked_in_vain(first: int) -> None:
    site = Site(translations=translations)
    seeds = range(first, first + PART)
    found = [one for seed in seeds async for one in judged(history(seed), site)]
    due = [one for one in found if one.due]
    stated = [one for one in found if one.stated]
    for fault in GRAVE:
        assert told(found, fault) == []
    assert len(told(stated, "needless ask")) <= 0.01 * len(stated), told(stated, "needless ask")
    assert len(told(due, "needless confirm")) <= 0.1 * len(due), told(due, "needless confirm")


def told(found: list[Judged], fault: Fault) -> list[str]:
    """Return all of a kind, to be counted and read."""
    return [one.told for one in found if one.fault == fault]


def test_the_histories_know_of_everything_often_enough() -> None:
    right = [
        (item, verdict(item, world.claims, moment))
        for world in map(history, range(HISTORIES))
        for moment in world.moments
        for item in MODES
    ]
    stated = Counter(item for item, one in right if "ask" not in one.allowed)
    assert {item for item, count in stated.items() if count < 100} == set()
    assert set(MODES) - set(stated) == {"identity", "consent", "symptoms"}
    assert sum(one.allowed == {"known"} for _, one in right) > 10_000
    assert sum(one.allowed == {"conflict"} for _, one in right) > 500


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
