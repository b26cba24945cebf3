"""R4 search.html#string."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.search.string import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Müller", "muller"),
        ("MU\u0308LLER", "muller"),
        ("Straße", "strasse"),
        ("Łukasz Żółć", "lukasz zolc"),
        ("Søren Ærø", "soren aero"),
        ("İbrahim Yıldız", "ibrahim yildiz"),
        ("O'Brien", "obrien"),
        ("O’Brien", "obrien"),
        ("O´Brien", "obrien"),
        ("Anne-Marie  Smith, Jr.", "anne marie smith jr"),
        ("\u3000山田\u3000太郎 ", "山田 太郎"),
        ("Ｙａｍａｄａ", "yamada"),
        ("Мария", "мария"),
        ("Nguyễn", "nguyen"),
        ("a\u200bb", "ab"),
        ("---", ""),
    ],
)
def test_case_accents_and_punctuation_do_not_count(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_letters_fold_the_same_on_the_short_way_and_the_long_one(text: str) -> None:
    assert fold(f"{text} é") == f"{fold(text)} e".strip()


def test_the_start_of_a_long_text_is_searched_and_all_of_it_is_exact(finds: Any) -> None:
    text = "é" * 9_999 + " end"
    library = {"resourceType": "Library", "id": "a", "description": f"start {text}"}
    assert finds("description=start", library)
    assert finds("description:contains=eee", library)
    assert not finds("description:contains=end", library)
    assert not finds("description:exact=start", library)


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "name": [
        {"family": "van der Müller", "given": ["Eve", "Ann-Sophie"], "prefix": ["Dr."]},
        {"text": "Evie, the one"},
    ],
    "address": [{"line": ["Main St. 5"], "city": "Köln", "postalCode": "50667"}],
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("given=eve", True),
        ("given=Ev", True),
        ("given=ve", False),
        ("given:contains=ve", True),
        ("given:exact=Eve", True),
        ("given:exact=eve", False),
        ("given=ann sophie", True),
        ("name=van der muller", True),
        ("name=muller", False),
        ("family:contains=MULLER", True),
        ("family:exact=van der Müller", True),
        ("family:exact=van der Muller", False),
        ("name=dr", True),
        ("name=evie", True),
        ("name=nobody,evie", True),
        ("given=eve&given=ann", True),
        ("given=eve&given=bob", False),
        ("address=koln", True),
        ("address-city=KÖLN", True),
        ("address=main st 5", True),
        ("address-postalcode=506", True),
        ("name:missing=true", False),
        ("mothersMaidenName:missing=true", True),
    ],
)
def test_names_and_addresses_are_found_by_each_part(finds: Any, query: str, found: bool) -> None:
    assert finds(query, PATIENT) is found
