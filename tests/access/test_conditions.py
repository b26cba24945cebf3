"""Which conditions of granular scopes can be put on."""

import pytest

from server.access.conditions import NoCondition, condition, grantable
from server.access.scopes import parse
from server.search.query import EVERYTHING, HasKey

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def test_a_condition_is_what_a_search_asks() -> None:
    assert condition(["Observation"], ()) == EVERYTHING
    asked = condition(["Observation"], (("category", LAB),))
    assert HasKey((f"Observation|category|s|{LAB}",)) in (asked, *getattr(asked, "of", ()))


def test_what_cannot_be_put_on_is_not_granted_and_told() -> None:
    asked = (
        "openid patient/Observation.rs?category=x patient/Observation.rs?subject.name=x "
        "patient/Observation.rs?colour=red patient/*.rs?category=x patient/*.rs?_tag=x"
    )
    kept, reasons = grantable(parse(asked))
    assert kept.text == "openid patient/Observation.rs?category=x patient/*.rs?_tag=x"
    assert len(reasons) == 3
    assert reasons[0] == (
        "patient/Observation.rs?subject.name=x: "
        "it asks for other resources, or for what only terminology knows"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("_count", "1"), ("_has:Provenance:target:agent", "x"), ("_filter", "a eq b"), ("_list", "1")],
)
def test_what_is_no_condition_is_refused(name: str, text: str) -> None:
    with pytest.raises(NoCondition, match="is no condition of a scope"):
        condition(["Observation"], ((name, text),))
