"""Cursors are opaque, belong to one context, and give back what they hold."""

from base64 import urlsafe_b64decode
from typing import Any

import pytest

from server.fhir.errors import InvalidSearch
from server.interactions.cursor import seal, unseal

KEY = b"k" * 32


@pytest.mark.parametrize(
    "state",
    [
        None,
        0,
        {"a": ["Müller", 1767323045678000, 1.5, None], "t": 7},
        {"a": [float("inf"), float("-inf")]},
        ["\ud800"],
        "x" * 100_000,
    ],
)
def test_what_is_sealed_comes_back(state: Any) -> None:
    assert unseal(KEY, seal(KEY, state, "me"), "me") == state


def test_equal_places_have_equal_cursors() -> None:
    assert seal(KEY, {"a": [1]}, "me") == seal(KEY, {"a": [1]}, "me")


def test_a_cursor_can_stand_in_an_address_and_shows_nothing() -> None:
    cursor = seal(KEY, {"a": ["Geheim"]}, "me")

    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert b"Geheim" not in urlsafe_b64decode(cursor + "==")


def test_a_cursor_is_of_one_key_and_one_context() -> None:
    cursor = seal(KEY, [1], "me")
    for key, context in ((b"q" * 32, "me"), (KEY, "you"), (KEY, "")):
        with pytest.raises(InvalidSearch):
            unseal(key, cursor, context)


@pytest.mark.parametrize("cursor", ["", "a", "abc", "A" * 21, "A" * 22, "A" * 400, "é", "\ud800"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        unseal(KEY, cursor, "me")
    assert caught.value.expression == ("_cursor",)


def test_every_changed_byte_is_found() -> None:
    cursor = seal(KEY, {"a": [1]}, "me")
    for at in range(len(cursor) - 1):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(InvalidSearch):
            unseal(KEY, changed, "me")
