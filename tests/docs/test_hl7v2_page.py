from pathlib import Path

from mappings.compile import OPERATORS
from mappings.coverage import coverage_page
from mappings.maps import load_maps
from mappings.maps_page import maps_page
from mappings.rules import RULES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "hl7v2.md").read_text("utf-8")


def test_the_page_of_the_maps_is_made_from_the_maps() -> None:
    assert (DOCS / "hl7v2-maps.md").read_text("utf-8") == maps_page()


def test_the_page_of_what_is_mapped_is_made_from_the_maps() -> None:
    assert (DOCS / "hl7v2-coverage.md").read_text("utf-8") == coverage_page(load_maps())


def test_every_key_of_the_language_is_on_its_page() -> None:
    for key in (*OPERATORS, "when", "each", "default", "also", "note", "emit", "identity"):
        assert f"`{key}:" in PAGE or f"{key}:" in PAGE, key


def test_every_rule_is_on_the_page_with_its_own_words() -> None:
    for name, rule in RULES.items():
        assert f"| `{name}` | {', '.join(rule.fills)} | {rule.says} |" in PAGE
