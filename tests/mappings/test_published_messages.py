"""Messages that other projects published: what we make of them is valid and points at itself."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mappings.coverage import valued_guide_fields
from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import Message, Unparsable, parse, split_messages
from mappings.plan import Plan
from server.fhir.json import dumps
from server.validation import validate

MAPS = load_maps()
FEED = Feed("published", unidentified="create", default_authority="urn:example:mrn")
PLAN = re.compile(rb'"plan:([^"]+)"')


@pytest.fixture(scope="module")
def parsed(shared_data: Path) -> list[tuple[str, Message]]:
    folder = shared_data / "hl7v2"
    with (folder / "manifest.csv").open() as manifest:
        names = [row["file"] for row in csv.DictReader(manifest)]
    return [(name, found) for name in names for found in read((folder / name).read_bytes())]


def read(data: bytes) -> Iterator[Message]:
    for part in split_messages(data) or [data]:
        with suppress(Unparsable):
            yield parse(part)


@pytest.fixture(scope="module")
def planned(parsed: list[tuple[str, Message]]) -> list[tuple[str, Message, Plan]]:
    return [(name, found, MAPS.plan(found, FEED)) for name, found in parsed]


def test_every_file_is_read_and_planned_without_a_fault(
    planned: list[tuple[str, Message, Plan]],
) -> None:
    assert len({name for name, _, _ in planned}) >= 430
    assert [name for name, _, plan in planned if plan.quarantine == "map-error"] == []


def test_messages_that_name_their_patient_are_not_quarantined(
    planned: list[tuple[str, Message, Plan]],
) -> None:
    named = [
        (name, plan)
        for name, found, plan in planned
        if MAPS.supported(found.type) and found.get("PID-3")
    ]
    stopped = {name: plan.problem for name, plan in named if plan.quarantine}
    assert len(named) >= 290
    assert 1 - len(stopped) / len(named) >= 0.98, stopped


def test_90_of_100_fields_that_the_guide_maps_are_mapped(
    parsed: list[tuple[str, Message]],
) -> None:
    sent, mapped = valued_guide_fields(MAPS, [found for _, found in parsed])
    assert sent > 19_000
    assert mapped / sent >= 0.9


def test_everything_that_is_made_is_valid(planned: list[tuple[str, Message, Plan]]) -> None:
    wrong = {
        (name, resource.label): str(issue.diagnostics)
        for name, _, plan in planned
        for resource in plan.resources
        for issue in validate(resource.values)
        if issue.severity in ("error", "fatal")
    }
    made = Counter(resource.type for _, _, plan in planned for resource in plan.resources)
    assert wrong == {}
    assert made["Observation"] > 500


def test_every_reference_is_to_a_resource_of_the_plan(
    planned: list[tuple[str, Message, Plan]],
) -> None:
    for name, _, plan in planned:
        labels = {resource.label for resource in plan.resources}
        for resource in plan.resources:
            pointed = {found.decode() for found in PLAN.findall(dumps(resource.values))}
            pairs = [pair for pairs in resource.identity.any_of for pair in pairs]
            pointed |= {value[5:] for _, value in pairs if value.startswith("plan:")}
            assert pointed <= labels, (name, resource.label)


def test_no_two_resources_of_a_plan_are_found_by_the_same_identity(
    planned: list[tuple[str, Message, Plan]],
) -> None:
    for name, _, plan in planned:
        found = Counter((r.type, pairs) for r in plan.resources for pairs in r.identity.any_of)
        assert [pair for pair, times in found.items() if times > 1] == [], name


def test_a_message_sent_again_finds_what_it_made(planned: list[tuple[str, Message, Plan]]) -> None:
    for name, found, plan in planned:
        header = found.segments[0]
        if not MAPS.supported(found.type) or len(header.fields) < 11:
            continue
        fields = [*header.fields]
        fields[7], fields[10] = "20301231235959", "ANOTHER"
        text = (
            found.delimiters[0].join([fields[0], *fields[2:]])
            + found.text[
                header.start + len(found.delimiters[0].join([fields[0], *header.fields[2:]])) :
            ]
        )
        again = MAPS.plan(parse(text.encode("utf-8")), FEED)
        assert [(r.label, r.identity) for r in again.resources] == [
            (r.label, r.identity) for r in plan.resources
        ], name
