"""What keyboards, screen readers and phones need of every page."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from tests.auth.pages.house import PASSWORD, House, Page
from tests.auth.pages.test_apps import grant
from tests.auth.pages.test_opened import tell

VOID = {"meta", "link", "input", "br"}


class Read(HTMLParser):
    """The elements of a page; fails when they are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


async def every_page(house: House) -> list[Page]:
    stranger, anna, bell, mother = (house.browser() for _ in range(4))
    form = await stranger.authorize()
    pages = [form]
    for name, password in (("", ""), ("anna", "wrong")):
        pages.append(
            await stranger.submit(form, "/auth/login", name=name, password=password, next="")
        )
    pages.append(await anna.log_in("anna"))
    await grant(house, "g1", "anna", "anna")
    await grant(house, "g2", "anna", "anna", client="other")
    await tell(house)
    paths = ("/auth/apps", "/auth/opened", "/auth/opened?patient=x")
    pages += [await anna.get(path) for path in paths]
    wide = "launch/patient offline_access openid patient/*.cruds patient/Observation.rs"
    pages.append(await anna.authorize(scope=wide))
    pages.append(await anna.authorize(scope="launch/encounter patient/*.rs"))
    pages.append(await anna.authorize(client_id="unknown"))
    await bell.log_in("bell")
    search = await bell.authorize()
    here = urlsplit(str(search.answer.url)).path
    pages += [search, await bell.get(f"{here}?name=do"), await bell.get(f"{here}?birthdate=x")]
    launch = ("/auth/launch", "/auth/launch/visit?app=chart&patient=kim")
    pages += [await bell.get(path) for path in launch]
    await mother.log_in("mother", password=PASSWORD)
    pages.append(await mother.authorize())
    return pages


@pytest.fixture
async def pages(house: House) -> list[tuple[Page, Read]]:
    return [(page, Read(page.text)) for page in await every_page(house)]


async def test_every_page_can_be_used_without_eyes_or_a_mouse(
    pages: list[tuple[Page, Read]],
) -> None:
    titles = [page.title for page, _ in pages]
    assert len(titles) == 16
    for page, read in pages:
        assert read.all("html") == [{"lang": "en"}]
        assert len(read.all("main")) == len(read.all("h1")) == len(read.all("header")) == 1
        assert page.title not in ("", "– Tellonce")
        first_link = read.all("a")[0]
        assert first_link == {"class": "skip", "href": "#main"}
        _check_ids(read)
        _check_fields(read)
        _check_headings(read)
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.all(
            "meta"
        )


async def test_errors_are_announced_and_lead_to_their_fields(
    pages: list[tuple[Page, Read]],
) -> None:
    wrong = [(page, read) for page, read in pages if page.title.startswith("Error: ")]
    assert len(wrong) == 3
    for page, read in wrong:
        alerts = [one for tag, one in read.tags if one.get("role") == "alert"]
        assert len(alerts) == 1
        ids = {one.get("id") for _, one in read.tags}
        for target in re.findall(r'href="#([a-z]+)"', page.text):
            assert target in ids


def _check_ids(read: Read) -> None:
    ids = [one["id"] for _, one in read.tags if "id" in one]
    assert len(ids) == len(set(ids))
    for _, one in read.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert one.get(name, ids[0] if ids else None) in ids


def _check_fields(read: Read) -> None:
    """Every field has a label, around it or for it."""
    labelled = {one.get("for") for one in read.all("label")}
    for tag, one in read.tags:
        if tag != "input" or one.get("type") == "hidden":
            continue
        if one.get("type") == "checkbox":
            assert read.tags[read.tags.index((tag, one)) - 1][0] == "label"
        else:
            assert one["id"] in labelled


def _check_headings(read: Read) -> None:
    levels = [int(tag[1]) for tag, _ in read.tags if tag in ("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))
