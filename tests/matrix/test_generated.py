"""The resources that the matrix asks about are valid, and the same at every run."""

import json
from hashlib import blake2b

import pytest

from server.fhir import definitions
from server.validation import validate
from tests.matrix.generate import FEWEST, generated
from tests.matrix.paths import needs
from tests.matrix.test_matrix import TYPES


@pytest.mark.parametrize("type_", TYPES)
def test_generated_resources_are_valid(type_: str) -> None:
    faults = {one["id"]: issues for one in generated(type_) if (issues := validate(one))}
    assert faults == {}
    assert len(generated(type_)) > FEWEST


def test_they_are_the_same_at_every_run() -> None:
    made = json.dumps([generated(type_) for type_ in TYPES], default=str, sort_keys=True)
    generated.cache_clear()
    again = json.dumps([generated(type_) for type_ in TYPES], default=str, sort_keys=True)
    assert blake2b(made.encode()).digest() == blake2b(again.encode()).digest()


def test_every_element_that_a_parameter_reads_is_there_in_some_resource() -> None:
    lacking = [
        f"{type_}.{name}"
        for type_ in TYPES
        for name in needs(type_).children
        if name not in ("id", "text")
        and not any(
            child.name in one
            for one in generated(type_)
            for child in definitions.children(type_).values()
            if name in (child.name, child.choice)
        )
    ]
    assert lacking == []
