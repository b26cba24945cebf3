"""Each rule is needed: without it the same thousand histories show something wrong as known.

As soon as one wrong thing is found the mutant is dead, so this costs little.
"""

from collections.abc import Mapping

import pytest

from server.access.context import SYSTEM, AccessContext
from server.continuity.rules.case import Rule
from server.continuity.rules.judge import RULES
from server.continuity.site import Site
from server.interactions.concept_maps import translations
from tests.continuity.histories.generate import history
from tests.continuity.histories.judge import GRAVE, SEES_NORMAL, Judged, judged

ENOUGH = 300  # histories until a mutant that is not noticed counts as alive
SITE = Site(translations=translations)


async def first_wrong(
    rules: Mapping[str, Rule], desk: AccessContext = SEES_NORMAL
) -> Judged | None:
    for seed in range(ENOUGH):
        async for one in judged(history(seed), SITE, rules, desk):
            if one.fault in GRAVE:
                return one
    return None


def without(name: str) -> dict[str, Rule]:
    return {rule: run for rule, run in RULES.items() if rule != name}


def test_the_rules_are_those_of_the_page() -> None:
    assert sorted(RULES) == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]


@pytest.mark.parametrize("name", sorted(RULES))
async def test_without_a_rule_something_wrong_is_known(name: str) -> None:
    assert await first_wrong(without(name)) is not None


async def test_what_is_gathered_for_all_shows_what_some_may_not_see() -> None:
    assert await first_wrong(RULES, desk=SYSTEM) is not None
