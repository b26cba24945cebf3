"""docs/populate.md is right: its form, asked of its record, gives the answers that it prints."""

import json
import re
from pathlib import Path

from server.continuity.populate import fill, query, world
from server.interactions import concept_maps
from server.interactions.services import Policy
from server.rest import Limits
from server.store.memory import MemoryStore
from terminology import concept_map
from tests.continuity.populating import issues, put, rows
from tests.rest.house import Clock, House, index

PAGE = (Path(__file__).parents[2] / "docs" / "populate.md").read_text("utf-8")


def block(name: str) -> str:
    (found,) = re.findall(rf"^```{name}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


async def test_the_form_of_the_page_gives_the_answers_of_the_page() -> None:
    clock = Clock()
    house = House(MemoryStore(now=clock, index=index), clock, Policy(), Limits())
    parameter = [
        {"name": "subject", "valueReference": {"reference": "Patient/anna"}},
        {"name": "questionnaire", "resource": json.loads(block("questionnaire"))},
    ]
    async with house.client() as client:
        await put(client, *map(json.loads, block("record").splitlines()))
        body = {"resourceType": "Parameters", "parameter": parameter}
        answer = await client.post("/Questionnaire/$populate", json=body)
    made = answer.json()
    told = [
        [name, state, rule, ", ".join(map(str, answers)), ", ".join(sources)]
        for name, (state, rule, answers, sources) in rows(made)
    ]
    printed = block("answers").splitlines()
    assert [[part.strip() for part in line.split("|")] for line in printed[:-1]] == told
    assert printed[-1:] == [text for text, _ in issues(made)]
    await house.app.stop(grace_s=1)
    await house.store.close()


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    table = PAGE.partition("## Limits")[2]
    assert f"| {world.STEPS:,} |" in table
    assert f"| {world.SPENT_S:g} s |" in table
    assert f"| {query.MAX_QUERIES}; {query.MAX_FOUND} |" in table
    assert f"| {fill.MAX_REPETITIONS}; {fill.MAX_ANSWERS} |" in table
    assert f"| {fill.MAX_NODES:,} |" in table
    assert f"| {concept_map.MAX_TARGETS:,}; {concept_maps.MAX_MAPS} |" in table
