"""Maps change while the server runs: taken as a whole, or not at all."""

import asyncio
from pathlib import Path

import pytest

from mappings.maps import Maps, load_maps
from mappings.parse import parse
from server.feeds.reload import MapWatch

MESSAGE = b"MSH|^~\\&|A|B|C|D|2026||ADT^A08|1|P|2.5\rPID|1||M1^^^H||Doe^Jane||1985|F"
OVERLAY = "extends: base/ADT\nset: {Patient.gender: {const: other}}\n"


def gender(maps: Maps) -> str:
    plan = maps.plan(parse(MESSAGE), maps.feed("default"))
    return str(plan.resources[0].values["gender"])


@pytest.fixture
def watch(tmp_path: Path) -> tuple[Maps, MapWatch]:
    maps = load_maps([tmp_path])
    return maps, MapWatch(maps, [tmp_path], poll_s=0.01)


def test_a_new_file_is_taken_at_the_next_look(tmp_path: Path, watch: tuple[Maps, MapWatch]) -> None:
    maps, watcher = watch
    before = maps.version
    (tmp_path / "mine.yaml").write_text(OVERLAY)
    assert watcher.look() is True
    assert gender(maps) == "other"
    assert maps.version != before


def test_without_a_change_nothing_is_read(watch: tuple[Maps, MapWatch]) -> None:
    assert watch[1].look() is False


def test_a_broken_file_keeps_the_old_maps_and_says_where_it_is_broken(
    tmp_path: Path, watch: tuple[Maps, MapWatch]
) -> None:
    maps, watcher = watch
    (tmp_path / "mine.yaml").write_text(OVERLAY.replace("gender", "gendr"))
    assert watcher.look() is False
    name = tmp_path.name
    assert watcher.problems == (
        f"{name}/mine.yaml:2: Patient has no element 'gendr'; did you mean 'gender'?",
    )
    assert maps.refused == watcher.problems
    assert gender(maps) == "female"

    (tmp_path / "mine.yaml").write_text(OVERLAY)
    assert watcher.look() is True
    assert watcher.problems == maps.refused == ()
    assert gender(maps) == "other"


def test_maps_whose_cases_fail_are_not_taken(tmp_path: Path, watch: tuple[Maps, MapWatch]) -> None:
    maps, watcher = watch
    case = tmp_path / "cases" / "update"
    case.mkdir(parents=True)
    (case / "in.hl7").write_bytes(MESSAGE)
    (case / "expect.yaml").write_text("lane: somewhere else\nresources: {}\n")
    (tmp_path / "mine.yaml").write_text(OVERLAY)
    assert watcher.look() is False
    assert watcher.problems[0].startswith("update: lane: 'somewhere else' -> 'urn:")
    assert gender(maps) == "female"


async def test_the_watch_takes_changes_by_itself(
    tmp_path: Path, watch: tuple[Maps, MapWatch]
) -> None:
    maps, watcher = watch
    async with watcher:
        (tmp_path / "mine.yaml").write_text(OVERLAY)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if gender(maps) == "other":
                break
    assert gender(maps) == "other"
