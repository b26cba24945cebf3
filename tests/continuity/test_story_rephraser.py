"""A site's language model comes in as an installed package, from the outside of the server."""

import sys
from pathlib import Path

import pytest

from server.app.rephrasing import rephraser
from server.continuity.story.rephrase import rephrased
from server.continuity.story.sentence import Sentence
from server.continuity.story.tell import Asked, story
from tests.continuity.story_house import SYSTEM as ROE
from tests.continuity.story_house import services
from tests.continuity.story_record import ADA, ADA_HERSELF, concept, of

MODULE = """
class Polite:
    async def rephrase(self, sentences, *, language, register):
        said = type(sentences[0])
        return [said(one.key, "There is " + one.text[:1].lower() + one.text[1:], one.sources)
                for one in sentences]
"""


def install(folder: Path, *names: str) -> None:
    """Put packages on the path that each bring a rephraser."""
    (folder / "polite_words.py").write_text(MODULE)
    for name in names:
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        point = f"[tellonce.rephraser]\n{name} = polite_words:Polite\n"
        (info / "entry_points.txt").write_text(point)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_there_is_none_unless_a_site_installs_one() -> None:
    assert rephraser() is None


def test_of_several_none_is_chosen_by_chance(path: Path) -> None:
    install(path, "one", "two")
    with pytest.raises(ValueError, match=r"several rephrasers are installed \(one, two\)"):
        rephraser()


async def test_what_it_words_is_labelled_for_people_and_for_programs(path: Path) -> None:
    install(path, "one")
    gout = of("Condition", "x", subject=ADA, code=concept("Gout"), asserter=ADA)
    made = await story(
        await services([ADA_HERSELF, gout]), ROE, Asked("ada"), rephraser=rephraser()
    )
    (findings,) = (s for s in made.composition["section"] if s["title"] == "Findings")
    parts = findings["extension"][1]["extension"]
    assert parts[1] == {"url": "text", "valueString": "There is gout; the patient says, undated."}
    assert {"url": "rephrased", "valueBoolean": True} in parts
    label = "<em>(Rephrased by a language model)</em></p>"
    assert f"There is gout; the patient says, undated. {label}" in findings["text"]["div"]
    assert isinstance(made.told["findings"][1], Sentence)
    assert await rephrased(None, made.told, language="en", register="clinician") == made.told
