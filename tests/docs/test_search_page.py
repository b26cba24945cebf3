"""docs/search.md is right: its rows are the rows, its searches find what they say."""

import re
from math import inf, nextafter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text, interval
from server.search import parameters
from server.search.criteria import MODIFIERS
from server.search.extract import index_rows
from server.search.match import matches
from server.search.parse import parse_search
from server.search.rows import IndexRows, hash64, key_hash

BASE_URL = "http://me.test/fhir"
PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")
EXAMPLES = re.findall(
    r"```json\n(.*?)```\s+```rows\n(.*?)```\s+```searches\n(.*?)```", PAGE, re.DOTALL
)


def told(rows: str) -> IndexRows:
    """Read the rows as they are written on the page."""
    of: dict[str, list[str]] = {}
    for line in rows.splitlines():
        kind, _, text = line.partition(" ")
        of.setdefault(kind, []).append(text)
    pairs = {kind: [line.split(" = ") for line in lines] for kind, lines in of.items()}
    numbers = [(param, *value.split(" ")) for param, value in pairs.get("number", ())]
    points = [(param, *value.split(" ")) for param, value in pairs.get("point", ())]
    return IndexRows(
        frozenset(map(key_hash, of["key"])),
        interval(of["place"][0])[0] if "place" in of else None,
        tuple((hash64(param), text) for param, text in pairs.get("string", ())),
        tuple((hash64(param), *between(text)) for param, text in pairs.get("date", ())),
        tuple(
            (hash64(param), float(value), nextafter(float(value), inf), hash64(unit.strip('"')))
            for param, value, unit in numbers
        ),
        tuple(text_row(param, text) for param, text in pairs.get("text", ())),
        tuple((hash64(param), hash64(target)) for param, target in pairs.get("reference", ())),
        tuple(map(hash64, of.get("name", ()))),
        tuple((hash64(param), float(north), float(east)) for param, north, east in points),
        *("".join(of.get(words, ())) for words in ("narrative", "content")),
    )


def text_row(param: str, text: str) -> tuple[int, str, int]:
    """Return the row of a text, whose key is among the keys: behind ``t|`` a display, or a uri."""
    place, _, display = param.partition(":text")
    is_display = param.endswith(":text") and not display
    return hash64(param), text, hash64(f"{place}|{'t' if is_display else 'u'}|{text}")


def between(text: str) -> tuple[int, int]:
    first, _, last = text.partition(" .. ")
    assert instant_text(interval(first)[0]) == first
    return interval(first)[0], interval(last)[0]


@pytest.mark.parametrize(("body", "rows", "_searches"), EXAMPLES)
def test_the_rows_are_these_and_no_others(body: str, rows: str, _searches: str) -> None:
    made, page = index_rows(fhir_json.loads(body.encode()), BASE_URL), told(rows)
    assert (made.keys, made.date) == (page.keys, page.date)
    for column in ("strings", "dates", "numbers", "texts", "references", "names", "points"):
        assert sorted(getattr(made, column)) == sorted(getattr(page, column))
    assert (made.narrative, made.content) == (page.narrative, page.content)


def asked() -> list[tuple[str, str]]:
    return [(body, line) for body, _, lines in EXAMPLES for line in lines.splitlines()]


@pytest.mark.parametrize(("body", "line"), asked())
def test_the_searches_find_what_they_say(body: str, line: str) -> None:
    answer, url = line.split(maxsplit=1)
    type_, _, query = url.partition("?")
    resource: dict[str, Any] = fhir_json.loads(body.encode())
    search = parse_search(
        type_, parse_qsl(query), base_url=BASE_URL, default_count=20, max_count=100, strict=True
    )
    rows = index_rows(resource, BASE_URL)
    assert matches(search.query, resource, rows, updated=0) is (answer == "yes")


def test_there_is_an_example_of_every_parameter_type() -> None:
    sections = set(re.findall(r"^### (\S+)\n(?:(?!^### ).*\n)*?```rows", PAGE, re.MULTILINE))
    assert sections == {*MODIFIERS, "contained", "words"}


@pytest.mark.parametrize("kind", MODIFIERS)
def test_the_table_of_modifiers_is_that_of_the_server(kind: str) -> None:
    row = next(line for line in PAGE.splitlines() if re.match(rf"\| {kind} (\(.*\) )?\|", line))
    assert set(re.findall(r"`:([a-z-]+)`", row)) == MODIFIERS[kind]


def test_every_definition_of_r4_is_searchable_or_named_with_the_reason() -> None:
    searched = {
        parameter.url
        for type_ in definitions.resource_types()
        for parameter in parameters.searchable(type_).values()
    }
    left_out = {p.url for p in definitions.all_search_parameters()} - searched
    table = PAGE[PAGE.index("Not searched by, because") : PAGE.index("## How values compare")]
    named = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    assert {f"http://hl7.org/fhir/SearchParameter/{name}" for name in named} == left_out
    assert f"{len(searched):,} definitions; the other {len(left_out)} are named" in PAGE
