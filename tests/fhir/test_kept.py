"""What is kept is bounded in bytes, not only in number: clients choose how long texts are."""

import tracemalloc
from collections.abc import Callable

import pytest

from server.fhir import codes, ucum
from server.fhir.fhirpath.compile import compile_path
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression


def path_of_long_names(at: int) -> None:
    name = f"a{at}" + "x" * 20_000
    assert (
        compile_expression(f"name.{name}", keep=False).evaluate({"resourceType": "Patient"}) == []
    )


def type_of_a_long_name(at: int) -> None:
    compile_expression(f"A{at}" + "x" * 20_000, keep=False).evaluate({"resourceType": "Patient"})


def long_search_parameter(at: int) -> None:
    try:
        compile_path(f"name.given{at}" + " | name.family" * 80 + " " * 10_000, "Patient")
    except FhirPathError:
        pytest.fail("it is a path")


@pytest.mark.parametrize(
    "ask",
    [
        lambda at: ucum.canonical(f"m{at}" + "x" * 20_000),
        lambda at: codes.value_set(f"http://a.test/{at}" + "x" * 20_000),
        lambda at: codes.code_system(f"http://a.test/{at}" + "x" * 20_000),
        path_of_long_names,
        type_of_a_long_name,
        long_search_parameter,
    ],
    ids=["unit", "value set", "code system", "name", "type", "search parameter"],
)
def test_long_texts_do_not_fill_the_memory(ask: Callable[[int], object]) -> None:
    ask(100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(100):
            ask(at)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 400_000
