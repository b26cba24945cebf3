"""The story of a prepared record, word by word, for both audiences; its Composition is valid."""

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.composition import Composition

from server.continuity.story.sentence import SECTIONS
from server.continuity.story.tell import Story
from server.fhir import json as fhir_json
from server.fhir import xhtml
from server.validation import validate
from tests.continuity.story_house import sentences, texts, told
from tests.continuity.story_record import (
    HOME,
    RECORD,
)
from tests.rest.house import BASE

TOLD = Path(__file__).parent / "story_told"
SINCE = 1_767_225_600_000_000  # 2026-01-01


def written(made: Story) -> str:
    """Return a story as the files beside this test have it."""
    titles = {s["code"]["coding"][0]["code"]: s["title"] for s in made.composition["section"]}
    lines = [f"# {made.composition['title']}"]
    for name in SECTIONS:
        if made.told[name]:
            lines += ["", f"## {titles[name]}", "", *texts(made, name)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("audience", ["clinician", "patient"])
async def test_the_story_of_a_prepared_record_is_word_by_word(audience: str) -> None:
    made = await told([*RECORD, *HOME], audience=audience, since=SINCE)
    assert written(made) == (TOLD / f"{audience}.md").read_text("utf-8")


@pytest.mark.parametrize("audience", ["clinician", "patient"])
async def test_the_composition_and_its_document_are_valid(audience: str) -> None:
    made = await told([*RECORD, *HOME], audience=audience, since=1)
    assert validate(made.composition) == []
    bundle = made.document(BASE, "d")
    assert validate(bundle) == []
    assert bundle["entry"][0]["resource"] is made.composition
    narratives = [made.composition["text"], *(s["text"] for s in made.composition["section"])]
    assert [xhtml.faults(one["div"]) for one in narratives] == [[]] * len(narratives)


async def test_a_document_has_every_version_that_a_sentence_cites_once() -> None:
    made = await told([*RECORD, *HOME])
    inside = [
        f"{one['resource']['resourceType']}/{one['resource']['id']}/_history/"
        f"{one['resource']['meta']['versionId']}"
        for one in made.document(BASE, "d")["entry"][1:]
    ]
    cited = {source.reference for one in sentences(made) for source in one.sources}
    assert len(inside) == len(set(inside))
    assert set(inside) == cited


async def test_each_sentence_is_found_in_the_narrative_with_its_sources() -> None:
    made = await told(RECORD)
    for section in made.composition["section"]:
        entries = {one["reference"] for one in section["entry"]}
        for extension in section["extension"]:
            parts: dict[str, Any] = {}
            sources = []
            for part in extension["extension"]:
                (value,) = (value for name, value in part.items() if name != "url")
                parts[part["url"]] = value
                sources += [value["reference"]] if part["url"] == "source" else []
            assert f'<p id="{parts["id"]}">' in section["text"]["div"]
            assert sources
            assert set(sources) <= entries
            assert all(re.fullmatch(r"\w+/[\w-]+/_history/\d+", one) for one in sources)


async def test_a_narrative_says_which_language_it_is_in() -> None:
    made = await told(RECORD)
    divs = [made.composition["text"], *(one["text"] for one in made.composition["section"])]
    assert all('" lang="en" xml:lang="en">' in one["div"] for one in divs)


async def test_own_words_are_escaped_and_marked_with_their_language() -> None:
    made = await told(RECORD)
    div = made.composition["text"]["div"]
    quote = "I can&#x27;t sleep, &amp; it isn&#x27;t &lt;better&gt;."
    assert f'<span lang="en" xml:lang="en">{quote}</span>”</p>' in div


def grade(text: str) -> float:
    """Return the Flesch-Kincaid grade: 0.39 words a sentence + 11.8 syllables a word - 15.59."""
    words = re.findall(r"[A-Za-z]+", text)
    ends = max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
    syllables = sum(_syllables(word.lower()) for word in words)
    return 0.39 * len(words) / ends + 11.8 * syllables / max(1, len(words)) - 15.59


def _syllables(word: str) -> int:
    found = len(re.findall(r"[aeiouy]+", word))
    if word.endswith("e") and not word.endswith(("le", "ee")) and found > 1:
        found -= 1
    return max(1, found)


def test_the_reading_grade_is_that_of_known_texts() -> None:
    assert grade("The cat sat on the mat.") == pytest.approx(-1.45, abs=0.01)
    assert grade("Hypertension necessitates pharmacological intervention.") > 20


async def test_a_patient_reads_plain_sentences() -> None:
    made = await told([*RECORD, *HOME], audience="patient")
    told_ = [one.text for one in sentences(made) if one.kind != "quoted"]
    assert median(grade(text) for text in told_) <= 8
    assert median(len(text.split()) / (text.count(". ") + 1) for text in told_) <= 12
    assert not [text for text in told_ if re.search(r"\b\d{5,}\b|http|mmHg|g/dL", text)]


async def test_compositions_and_documents_are_what_typed_models_say() -> None:
    made = await told([*RECORD, *HOME])
    for model, resource in ((Composition, made.composition), (Bundle, made.document(BASE, "d"))):
        assert model.model_validate(json.loads(fhir_json.dumps(resource))) is not None
