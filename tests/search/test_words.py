"""``_text`` and ``_content``: which words a resource has, and how they are asked for."""

from typing import Any

import pytest

from server.fhir.errors import InvalidSearch
from server.search.readable import LONGEST, content, narrative
from server.search.words import fold

REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "not-a-word",
    "meta": {"versionId": "7", "tag": [{"display": "hidden"}]},
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Left <b>heart</b>beat</p>'
        '<p title="no > word">S<sub>p</sub>O&#8322; &lt; 90</p><!-- secret --></div>',
    },
    "identifier": [{"type": {"text": "Lab number"}, "system": "http://h.test", "value": "L-1"}],
    "status": "final",
    "code": {"coding": [{"code": "24331-1", "display": "Lipids"}], "text": "Blood fats"},
    "subject": {"reference": "Patient/p", "display": "Eve O'Brien-Müller"},
    "effectiveDateTime": "2020-01-01",
    "conclusion": "No sign of *infarction*.",
    "contained": [{"resourceType": "Practitioner", "id": "d", "name": [{"family": "Ärmel"}]}],
    "extension": [{"url": "http://h.test/note", "valueString": "extended"}],
}


def test_the_words_of_the_narrative_have_no_markup() -> None:
    assert narrative(REPORT) == "left heartbeat spo2 90"


def test_the_content_is_what_people_read_in_its_order() -> None:
    assert content(REPORT) == (
        "left heartbeat spo2 90 lab number lipids blood fats eve obrien muller"
        " no sign of infarction armel extended"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't", "dont"),
        ("a_b+c<d", "a b c d"),
        ("Ä_Ö+ß", "a o ss"),
        ("１２ ½ x²", "12 1 2 x2"),
        ("...", ""),
    ],
)
def test_only_letters_and_digits_count(text: str, words: str) -> None:
    assert fold(text) == words


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_text=HEARTBEAT", True),
        ("_text=heart", False),
        ("_text=heart*", True),
        ("_text=lipids", False),
        ("_text=left spo2", True),
        ("_text=left lipids", False),
        ("_content=left lipids", True),
        ("_content=lipids and left", True),
        ("_content=right or lipids", True),
        ("_content=right,lipids", True),
        ("_content=lipids not right", True),
        ("_content=not lipids", False),
        ("_content=not nothing", True),
        ('_content="blood fats"', True),
        ('_content="fats blood"', False),
        ('_content="blood fa*"', True),
        ("_content=O'Brien-Muller", True),
        ("_content=Müller-O'Brien", False),
        ("_content=24331", False),
        ("_content=hidden", False),
        ("_content=armel", True),
        ("_content=a b or lipids", True),
    ],
)
def test_words_are_asked_for(finds: Any, query: str, found: bool) -> None:
    assert finds(query, REPORT) is found


@pytest.mark.parametrize(
    "asked", ['"open', "or", "a or", "a not or b", "not", "...", "a,", "x " * 101]
)
def test_what_asks_for_no_words_is_refused(finds: Any, asked: str) -> None:
    with pytest.raises(InvalidSearch, match="_content: "):
        finds(f"_content={asked}", REPORT)


def test_the_words_of_a_large_resource_are_cut_at_a_word() -> None:
    library = {"resourceType": "Library", "id": "a", "description": "abcdefg " * LONGEST}
    words = content(library)
    assert LONGEST - 8 <= len(words) <= LONGEST
    assert words.endswith(" abcdefg")
    many = {"resourceType": "Library", "id": "a", "purpose": "x" * LONGEST, "usage": "never"}
    assert content(many) == "x" * LONGEST
