"""``_text``, ``_content``, ``near`` and ``_list``, of every type that has them, on every store."""

import re
from html import unescape
from math import asin, cos, radians, sin, sqrt
from typing import Any

import pytest

from server.fhir import definitions
from server.search.match import Candidate
from tests.matrix.naive import fold
from tests.matrix.questions import spread
from tests.matrix.record import Record
from tests.matrix.test_matrix import TYPES

SHOWN = 12
WITH_TEXT = [t for t in TYPES if "text" in definitions.children(t)]


@pytest.mark.parametrize("type_", WITH_TEXT)
async def test_words_of_narratives_are_found(type_: str, record: Record) -> None:
    texts = {one.place: narrative(one) for one in record.of_type(type_)}
    words = spread([word for text in texts.values() for word in text.split()], 4)
    different: list[str] = []
    for word in words:
        expected = {place for place, text in texts.items() if f" {word} " in text}
        for asked in (word, word.upper()):
            different += await record.differences(type_, "_text", asked, expected)
        begun = {place for place, text in texts.items() if f" {word[:3]}" in text}
        different += await record.differences(type_, "_text", f"{word[:3]}*", begun)
    two = {p for p, text in texts.items() if all(f" {word} " in text for word in words[:2])}
    different += await record.differences(type_, "_text", " ".join(words[:2]), two)
    phrase = {place for place, text in texts.items() if " chest pain " in text}
    without = {place for place in phrase if " zoe " not in texts[place]}
    different += await record.differences(type_, "_text", '"chest pain" not zoe', without)
    different += await record.differences(type_, "_text", '"chest pain"', phrase)
    different += await record.differences(type_, "_text", '"pain chest"', set())

    assert different[:SHOWN] == []
    assert phrase


@pytest.mark.parametrize("type_", TYPES)
async def test_words_of_contents_are_found(type_: str, record: Record) -> None:
    texts = {one.place: f" {' '.join(said(one.resource))} " for one in record.of_type(type_)}
    different: list[str] = []
    for word in ("weight", "muller", "chest", "brien", "zoe", "nobody"):
        expected = {place for place, text in texts.items() if f" {word} " in text}
        different += await record.differences(type_, "_content", word)
        answers = set(record.oracle_of(type_, "_content", word))
        # All that people read is found; what else counts as content the server decides.
        different += [f"{type_}?_content={word}: not {p}" for p in expected - answers]

    assert different[:SHOWN] == []


def narrative(one: Candidate) -> str:
    """Return the words of the narrative, one blank around each."""
    div = one.resource.get("text", {}).get("div", "")
    bare = unescape(re.sub(r"<!--.*?-->|<[^>]*>", " ", div, flags=re.DOTALL))
    words = re.findall(r"[^\W_]+", fold(bare))
    return f" {' '.join(words)} "


def said(value: Any, name: str = "") -> list[str]:
    """Return the words that stand in elements which are always written for people."""
    match value:
        case dict():
            parts = [(key, part) for key, part in value.items() if key != "meta"]
            return [word for key, part in parts for word in said(part, key)]
        case list():
            return [word for part in value for word in said(part, name)]
        case str() if name in ("display", "family", "given", "city"):
            return re.findall(r"[^\W_]+", fold(value))
        case _:
            return []


async def test_distances_agree_with_a_sphere(record: Record) -> None:
    """A sphere differs from the earth by half a percent at most."""
    different: list[str] = []
    places = {
        one.place: (float(position["latitude"]), float(position["longitude"]))
        for one in record.of_type("Location")
        if (position := one.resource.get("position"))
    }
    for latitude, longitude in places.values():
        for km in (1, 10, 500, 5_000, 19_000):
            asked = f"{latitude}|{longitude}|{km}|km"
            different += await record.differences("Location", "near", asked)
            found = set(record.oracle_of("Location", "near", asked))
            for place, there in places.items():
                distance = kilometres((latitude, longitude), there)
                if distance < km * 0.994 and place not in found:
                    different.append(f"near={asked}: {place} at {distance} km is not found")
                if distance > km * 1.006 and place in found:
                    different.append(f"near={asked}: {place} at {distance} km is found")

    assert len(places) >= 5
    assert different[:SHOWN] == []


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    a, b = radians(one[0]), radians(other[0])
    half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(other[1] - one[1]) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(min(1.0, half)))


async def test_members_of_lists_are_found(record: Record) -> None:
    different: list[str] = []
    for one in record.of_type("List"):
        texts = [e.get("item", {}).get("reference", "") for e in one.resource.get("entry", [])]
        for type_ in {text.partition("/")[0] for text in texts if re.match(r"[A-Z]\w+/", text)}:
            named = {tuple(text.split("/")[:2]) for text in texts if text.startswith(f"{type_}/")}
            expected = {o.place for o in record.of_type(type_) if o.place in named}
            for asked in (one.place[1], f"List/{one.place[1]}"):
                different += await record.differences(type_, "_list", asked, expected)

    assert different[:SHOWN] == []
    assert len(record.of_type("List")) >= 8
