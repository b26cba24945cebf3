"""docs/continuity.md is right: each record of it, asked, gives the answers that it prints.

A block ``record NAME`` is stored, a resource a line; ``answers NAME [CALLER]`` is what the form of
the page then knows, at noon on 22 November 2026.  A line names the items it is about.
"""

import json
import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.access.context import AccessContext, Permit
from server.continuity.answers import known_answers
from server.continuity.form import form_of
from server.continuity.known import Candidate, Known
from server.continuity.site import Site
from server.continuity.story.tell import Asked, story
from server.continuity.summary import summary
from server.continuity.summary.narrative import what
from server.continuity.validity import Topic, load_validity
from server.interactions.concept_maps import translations
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.contract.made import Clock, index, put

PAGE = (Path(__file__).parents[2] / "docs" / "continuity.md").read_text("utf-8")
BASE = "http://fhir.test/fhir"
NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z
LOADED = NOON - 3_600_000_000
RESTRICTED = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"
CALLERS = {
    "everybody": AccessContext("user/e", "desk", (Permit("*", hidden=(RESTRICTED,)),)),
    "entitled": AccessContext("user/x", "desk", (Permit("*"),)),
}

BLOCKS = re.findall(r"^```(record|answers|form|policy|story|summary) ?(.*?)\n(.*?)^```", PAGE,
                    re.DOTALL | re.MULTILINE)  # fmt: skip
RECORDS = {name: body for kind, name, body in BLOCKS if kind == "record"}
ANSWERS = [(name, body) for kind, name, body in BLOCKS if kind == "answers"]


def block(kind: str) -> str:
    return next(str(body) for found, _, body in BLOCKS if found == kind)


def item(line: str) -> dict[str, Any]:
    """Return an item of ``linkId | type | meaning | text``."""
    link, type_, meaning, text = (part.strip() for part in line.split("|"))
    type_, _, many = type_.partition(" ")
    made: dict[str, Any] = {"linkId": link, "type": type_, "text": text, "repeats": bool(many)}
    if "#" in meaning:
        return made | {"definition": f"http://hl7.org/fhir/StructureDefinition/{meaning}"}
    system, _, code = meaning.rpartition(" ")
    return made | {"code": [{"system": system, "code": code}]}


FORM = form_of({"resourceType": "Questionnaire", "url": "https://hospital.example/intake",
                "item": [item(line) for line in block("form").splitlines()]})  # fmt: skip


async def stored(record: str) -> Services:
    """Return the services of a server that has everybody of the page, and the record."""
    clock = Clock(LOADED)
    store = MemoryStore(now=clock, index=index)
    for line in [RECORDS["everybody"], record]:
        for one in line.splitlines():
            await store.commit([put(json.loads(one))])
    clock.at = NOON
    ids = count()
    return Services(store, BASE, clock, lambda: f"new-{next(ids)}", b"k" * 32)


async def asked(record: str, caller: str) -> dict[str, Known]:
    services = await stored(record)
    site = Site(translations=translations)
    found = await known_answers(
        services, CALLERS[caller or "everybody"], "anna", FORM, site, encounter="today"
    )
    return {known.item.link_id: known for known in found}


def told(known: Known) -> str:
    """Return how the page prints an answer."""
    shown = "".join(f"\n    {said(one)}" for one in known.candidates)
    return f"{known.item.link_id}: {known.state} [{known.rule}] {known.reason}".rstrip() + shown


def said(one: Candidate) -> str:
    when = "nobody knows when"
    if one.said_at is not None:
        when = datetime.fromtimestamp(one.said_at // 1_000_000, UTC).strftime("%Y-%m-%d")
    sources = ", ".join(source.reference for source in one.sources)
    return f"{words(one.value)}; {one.author.kind}, {when}; {sources}"


def words(value: dict[str, Any]) -> str:
    ((name, found),) = value.items()
    if name == "valueQuantity":
        return f"{found['value']} {found['unit']}"
    if name == "valueCoding":
        return str(found.get("display") or found["code"])
    return {True: "yes", False: "no"}.get(found, str(found)) if name == "valueBoolean" else found


@pytest.mark.parametrize(("name", "printed"), ANSWERS, ids=[name for name, _ in ANSWERS])
async def test_the_record_of_the_page_gives_the_answers_of_the_page(
    name: str, printed: str
) -> None:
    record, _, caller = name.partition(" as ")
    found = await asked(RECORDS[record], caller)
    items = re.findall(r"^([\w-]+):", printed, re.MULTILINE)
    assert items
    assert "\n".join(told(found[one]) for one in items) + "\n" == printed


async def story_of(record: str) -> str:
    """Return the story as the page prints it: section, sentence, sources."""
    services = await stored(record)
    made = await story(services, CALLERS["entitled"], Asked("anna"))
    return "".join(
        f"{section}: {one.text}\n    {', '.join(source.reference for source in one.sources)}\n"
        for section, sentences in made.told.items()
        for one in sentences
    )


async def summary_of(record: str) -> str:
    """Return the required sections of a summary as the page prints them."""
    services = await stored(record)
    made = await summary(services, CALLERS["entitled"], "anna")
    by_url = {entry["fullUrl"]: entry["resource"] for entry in made["entry"]}
    lines = []
    for section in made["entry"][0]["resource"]["section"]:
        shown = [by_url[entry["reference"]] for entry in section["entry"]]
        lines += [f"{section['title']}: {what(one, {})}\n" for one in shown]
    return "".join(lines)


TOLD = {"story": story_of, "summary": summary_of}


@pytest.mark.parametrize(
    ("kind", "name", "printed"),
    [one for one in BLOCKS if one[0] in TOLD],
    ids=[" ".join(one[:2]) for one in BLOCKS if one[0] in TOLD],
)
async def test_the_page_prints_what_is_told(kind: str, name: str, printed: str) -> None:
    assert await TOLD[kind](RECORDS[name]) == printed


def holds(topic: Topic) -> str:
    kind, days = topic.holding.kind, topic.holding.days
    fixed = ", fixed" if topic.fixed else ""
    return f"{kind}{f' {days} days' if days else ''}{fixed}"


def table() -> str:
    """Return the policy that ships, as the page prints it."""
    rows = [f"| {t.name} | {holds(t)} | {t.why} |" for t in load_validity().topics.values()]
    return "\n".join(["| topic | holds | why |", "|---|---|---|", *rows]) + "\n"


def test_the_policy_of_the_page_is_the_one_that_ships() -> None:
    start = PAGE.index("| topic | holds | why |")
    assert PAGE[start : PAGE.index("\n\n", start) + 1] == table()


def test_the_sites_policy_of_the_page_loads(tmp_path: Path) -> None:
    path = tmp_path / "validity.yaml"
    path.write_text(block("policy"), "utf-8")
    made, shipped = load_validity(path), load_validity()
    changed = yaml.load(block("policy"), Loader=yaml.BaseLoader)["topics"]
    for name in changed:
        assert made.topics[name] != shipped.topics.get(name)


def test_the_classes_of_the_page_are_those_that_ship() -> None:
    aliases = {"http://snomed.info/sct": "sct", "http://loinc.org": "loinc",
               "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm"}  # fmt: skip

    def told(code: tuple[str, str]) -> str:
        return f"{aliases[code[0]]}&#124;{code[1]}"

    every = [one for topic in load_validity().topics.values() for one in topic.kinds]
    rows = [
        f"| {told(one.code)} | {', '.join(sorted(map(told, one.members)))} | {one.why} |"
        for one in every
    ]
    assert "\n".join(rows) in PAGE
