"""What a step stands for: whatever takes its time is paid for, so that a limit is a limit."""

import random
from contextlib import suppress
from typing import Any

import pytest

from server.fhir.fhirpath.errors import FhirPathError, StepLimit
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression
from tests.pace import cost_s

MANY: dict[str, Any] = {"resourceType": "Patient", "name": [{"given": ["a"] * 30_000}]}
BITS = "".join(random.Random(1).choices("01", k=500_000))
LONG: dict[str, Any] = {"resourceType": "Patient", "name": [{"text": BITS}]}

MASS = "m.[lb_av]9.[ft_i]9.[gal_us]9.[acr_us]9.[yd_us]9.[oz_tr]9"
SAME = "[yd_us]9.[oz_tr]9.m.[lb_av]9.[ft_i]9.[gal_us]9.[acr_us]9"
EXACT = "1.2345678901234567890123456789012345678"

LIMIT_S = 1.5


def cost(expression: str, resource: dict[str, Any]) -> float:
    """Return the seconds until there is an answer, or a refusal."""
    compiled = compile_expression(expression)

    def evaluate() -> None:
        with suppress(FhirPathError):
            compiled.evaluate(resource, steps=CLIENT_STEPS)

    return cost_s(evaluate, LIMIT_S)


@pytest.mark.parametrize(
    "of_all",
    [
        "$total.distinct()",
        "$total.skip(0)",
        "$total.ofType(string)",
        "$total.where(false) | $total.foo | $total",
        "iif($total.type().empty(), 1, $total)",
        "iif($total = $total, $total)",
        "iif($total.resolve().empty(), $total)",
        "iif($total.extension('a').empty(), $total)",
        "iif($total.select('').join('').exists(), $total)",
        "iif($total is string, $total)",
    ],
)
def test_looking_at_many_items_again_and_again_is_paid_for(of_all: str) -> None:
    looped = f"name.given.take(3000).aggregate({of_all}, name.given)"
    assert cost(looped, MANY) < LIMIT_S


@pytest.mark.parametrize(
    "each",
    [
        f"{EXACT}.power(12345.678901234567)",
        f"{EXACT}.ln()",
        f"{EXACT}.exp()",
        f"{EXACT}.log(1.00001)",
        f"1.23 '{MASS}' + 2.34567 '{SAME}'",
        f"1.23 '{MASS}' < 2.34567 '{SAME}'",
        f"1.23 '{MASS}' = 2.34567 '{SAME}'",
    ],
)
def test_arithmetic_that_takes_long_takes_more_steps(each: str) -> None:
    assert cost(f"name.given.select({each})", MANY) < LIMIT_S


@pytest.mark.parametrize(
    "expression",
    [
        "name.text.matches('(0|1)*1(0|1){200}2')",
        "name.text.matchesFull('.*1.{450}1.{450}x')",
        "name.text.matches('^(.*1.{9}|.*0.{8}1){9}2')",
        "name.text.replaceMatches('1[01]{300}2', 'x')",
        "name.text.replaceMatches('[01](.*2)?', '')",
    ],
)
def test_a_regular_expression_of_many_states_is_paid_for(expression: str) -> None:
    assert cost(expression, LONG) < LIMIT_S


def test_an_expression_of_very_many_parts_is_refused_before_it_is_compiled() -> None:
    row = f"({'|'.join('a' * 40)})"
    rows = f"({'|'.join([row] * 40)})"

    def compile_it() -> None:
        with pytest.raises(FhirPathError, match="more than 8,192 words and signs"):
            compile_expression("|".join([rows] * 19))

    assert cost_s(compile_it, 1) < 1


def test_what_is_not_kept_is_compiled_anew() -> None:
    assert compile_expression("name.given") is compile_expression("name.given")
    once = compile_expression("name.given", keep=False)
    assert once is not compile_expression("name.given", keep=False)


def test_long_texts_that_are_sorted_are_paid_for() -> None:
    pairs = "(name.text & '1').combine(name.text & '2').combine(name.text & '3')"
    grown = f"%context.name.given.take(8).aggregate($total.combine($total), {pairs})"
    long = {"resourceType": "Patient", "name": [{"text": "a" * 300_000, "given": ["a"] * 10}]}
    assert cost(f"({grown}).sort()", long) < LIMIT_S


@pytest.mark.parametrize(
    ("expression", "steps"),
    [
        ("'11/30/1972'.replaceMatches('[0-9]+', 'x')", 5),
        ("'an ordinary sentence'.matches('ordinary|plain')", 5),
        ("1 'kg' > 1 'g'", 10),
        ("(3 | 1 | 2).sort()", 50),
    ],
)
def test_what_is_ordinary_takes_few_steps(expression: str, steps: int) -> None:
    assert compile_expression(expression).evaluate({}, steps=steps)


def test_a_text_of_a_narrative_can_be_cleaned() -> None:
    narrative = {"resourceType": "Patient", "name": [{"text": "some words  here\n" * 300}]}
    found = compile_expression("name.text.replaceMatches('\\\\s+', ' ').length()").evaluate(
        narrative, steps=CLIENT_STEPS
    )
    assert [item.value for item in found] == [4_800]


def test_the_limit_says_what_it_was() -> None:
    with pytest.raises(StepLimit, match="more than 1,000 steps"):
        compile_expression("name.given.distinct()").evaluate(MANY, steps=1_000)
