from pathlib import Path

from server.settings import Settings
from server.settings_page import settings_page

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8")


def test_every_setting_is_on_the_page_with_its_own_words() -> None:
    for name, field in Settings.model_fields.items():
        assert f"`TELLONCE_{name.upper()}`" in PAGE
        assert field.description
        assert field.description in PAGE


def test_the_page_is_current() -> None:
    assert settings_page() == PAGE
