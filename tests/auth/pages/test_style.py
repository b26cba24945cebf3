"""The style: what is written can be read, in both themes."""

import re

import pytest

from server.auth.pages.static import SMART_STYLE
from server.auth.pages.views import STYLE

TEXT = STYLE.decode()
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", TEXT, re.DOTALL)
)

# Every pair of a text and the ground that it stands on.
PAIRS = [
    ("text", "ground"),
    ("text", "card"),
    ("soft", "ground"),
    ("soft", "card"),
    ("main", "ground"),
    ("main", "card"),
    ("main-over", "ground"),
    ("main-over", "card"),
    ("on-main", "main"),
    ("on-main", "main-over"),
    ("error", "ground"),
    ("error", "card"),
    ("error", "error-ground"),
    ("text", "error-ground"),
    ("text", "warn-ground"),
    ("text", "note-ground"),
]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_texts_stand_out_from_their_ground(theme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(theme[text], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_borders_of_fields_and_the_focus_can_be_seen(theme: dict[str, str]) -> None:
    for line in ("line", "main", "warn-line"):
        for ground in ("ground", "card"):
            assert contrast(theme[line], theme[ground]) >= 3


def test_no_color_is_stated_but_once_for_a_theme() -> None:
    below = TEXT.split("*, *::before")[1]
    assert re.findall(r"#[0-9a-f]{3,6}\b", below) == []


def test_the_style_for_apps_has_the_colors_of_the_pages() -> None:
    assert SMART_STYLE["color_background"] == LIGHT["card"]
    assert SMART_STYLE["color_text"] == LIGHT["text"]
    assert SMART_STYLE["color_error"] == LIGHT["error"]
    assert SMART_STYLE["color_highlight"] == LIGHT["main"]
