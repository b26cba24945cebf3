"""The ten minutes of docs/hl7v2.md, done as they are written."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mappings.maps import load_maps
from mappings.parse import parse
from server.commands.map import map_app

PAGE = (Path(__file__).parents[2] / "docs" / "hl7v2.md").read_text("utf-8")
SECTION = PAGE.partition("## Connect a feed in ten minutes")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", SECTION, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def said(*arguments: str) -> str:
    made = CliRunner().invoke(map_app, arguments)
    assert made.exit_code == 0, made.output
    return made.output


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder after step 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "admission.hl7").write_text(blocks("hl7")[0])
    said("new-feed", "harbour", "--into", "site-maps")
    site = tmp_path / "site-maps"
    settings, table, overlay = blocks("yaml")
    feed = site / "harbour.yaml"
    keys = tuple(re.findall(r"^\w+:", settings, re.MULTILINE))
    kept = [line for line in feed.read_text().splitlines() if not line.startswith(keys)]
    feed.write_text("\n".join(kept) + "\n" + settings)
    (site / "HarbourReligion.yaml").write_text(table)
    (site / "harbour-ADT.yaml").write_text(overlay)
    return site


def test_at_first_it_is_seen_what_is_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "admission.hl7").write_text(blocks("hl7")[0])
    said("new-feed", "harbour", "--into", "site-maps")
    told = said("explain", "admission.hl7", "--maps", "site-maps").splitlines()
    assert "Patient.gender <- PID-8 UNMAPPED AdministrativeSex 'W' 'W'" in told
    assert "- <- ZWA not mapped: no rule for this segment" in told
    assert [line for line in told if line.startswith("not in authorities")] == [
        "not in authorities of the feed: urn:tellonce:authority:harbour:HARB",
        "not in authorities of the feed: urn:tellonce:authority:harbour:LIGHT",
        "not in authorities of the feed: urn:tellonce:authority:harbour:HARBV",
    ]


def test_once_settled_every_value_is_where_it_belongs(site: Path) -> None:
    maps = load_maps([site])
    plan = maps.plan(parse(Path("admission.hl7").read_bytes()), maps.feed("harbour"))
    made = {one.label: one.values for one in plan.resources}
    assert [(one["system"], one["value"]) for one in made["Patient"]["identifier"]] == [
        ("https://harbour.example.org/mrn", "4711"),
        ("https://lighthouse.example.org/mrn", "L-7"),
    ]
    assert made["Patient"]["gender"] == "female"
    religion = made["Patient"]["extension"][0]["valueCodeableConcept"]["coding"][0]
    assert (religion["code"], religion["display"]) == ("1041", "Roman Catholic Church")
    assert made["Encounter"]["identifier"][0]["system"] == "https://harbour.example.org/visits"
    assert made["Flag"]["code"]["text"] == "Risk of falling"
    assert made["Flag"]["period"] == {"start": "2026-03-08"}
    assert [one.code for one in plan.unmapped] == []


def test_the_case_is_recorded_for_the_feed_and_kept(site: Path) -> None:
    said("check", "site-maps")
    case = site / "cases" / "admission"
    case.mkdir(parents=True)
    (case / "in.hl7").write_bytes(Path("admission.hl7").read_bytes())
    assert said("test", "site-maps", "--record").startswith("admission: recorded, read it")
    assert said("test", "site-maps") == "1 cases are as expected\n"
    (site / "harbour-ADT.yaml").write_text("extends: base/ADT\nfeed: [harbour]\n")
    made = CliRunner().invoke(map_app, ["test", "site-maps"])
    assert made.exit_code == 1
    assert "admission: resources.Flag" in made.output
