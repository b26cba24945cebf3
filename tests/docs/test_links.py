"""The pages lead somewhere, and what they say to type can be typed."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from server.commands.line import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[tuple[str, str]]:
    """Return (page, command) for every ``tellonce`` command of a shell block."""
    parts = [
        (page.name, re.match(r"\s*(?:\.venv/bin/)?tellonce (.*)", part))
        for page in PAGES
        for block in CODE.findall(page.read_text("utf-8"))
        for line in block.splitlines()
        for part in re.split(r"&&|\$\(|\)", line.partition(" #")[0])
    ]
    return [(name, typed[1].partition(" > ")[0].strip()) for name, typed in parts if typed]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(re.sub(r"`[^`]*`", "", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        known = target.exists() and (not fragment or fragment in anchors(target))
        dead += [] if known else [link]
    assert dead == []


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    reached = {(ROOT / link).resolve() for link in LINK.findall(readme) if ":" not in link}
    reached |= {
        (ROOT / "docs" / link.partition("#")[0]).resolve()
        for page in (ROOT / "docs").glob("*.md")
        for link in LINK.findall(page.read_text("utf-8"))
    }
    decisions = ROOT / "docs" / "decisions"
    unreached = [page for page in PAGES if page not in reached and page.parent != decisions]
    assert {page.name for page in unreached} <= {"README.md", "CHANGELOG.md"}
    assert decisions in reached


def test_the_pages_show_commands() -> None:
    assert {page for page, _ in commands()} >= {"README.md", "feeds.md", "hl7v2.md", "rest.md"}


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_that_a_page_shows_is_understood(page: str, command: str) -> None:
    """The words are parsed as the command line parses them; nothing is run."""
    words = shlex.split(command)
    here = get_command(cli)
    while isinstance(here, typer.core.TyperGroup):
        assert words[0] in here.commands, f"{page}: {command}"
        here = here.commands[words.pop(0)]
    here.make_context("tellonce", words)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_target_that_a_page_names_is_in_the_makefile(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = re.findall(r"^(?:.*`)?make ([a-z]+)\b", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= targets
