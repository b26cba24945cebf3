"""The page about the story says what the server says."""

import re
from pathlib import Path

import pytest

from server.continuity.statement import Source
from server.continuity.story.check import faults
from server.continuity.story.rephrase import ENTRY_POINTS, Said
from server.continuity.story.sentence import SECTIONS
from tests.continuity.story_house import sentences, told
from tests.continuity.story_record import HOME, RECORD

PAGE = (Path(__file__).parents[2] / "docs" / "story.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(story \w+|rephrased)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("audience", ["clinician", "patient"])
async def test_every_sentence_on_the_page_is_told(audience: str) -> None:
    (block,) = (body for name, body in BLOCKS if name == f"story {audience}")
    made = await told([*RECORD, *HOME], audience=audience)
    assert set(block.splitlines()) <= {one.text for one in sentences(made)}


def test_every_rephrasing_on_the_page_is_judged_so() -> None:
    (block,) = (body for name, body in BLOCKS if name == "rephrased")
    sources = (Source("Condition", "a", 1),)
    for line in block.splitlines():
        verdict, before, after = (part.strip() for part in line.split("|"))
        found = faults(Said("k", before, sources), Said("k", after, sources))
        assert verdict == ("refused" if found else "passes"), (line, found)


def test_sections_and_the_entry_point_are_on_the_page() -> None:
    assert all(f"`{name}`" in PAGE for name in SECTIONS)
    assert f"`{ENTRY_POINTS}`" in PAGE
