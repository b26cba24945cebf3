"""Whatever is asked of whatever data, there is an answer or a FhirPathError, and soon."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.fhir.fhirpath.errors import FhirPathError, StepLimit
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression
from server.fhir.fhirpath.functions import FUNCTIONS
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.operators import OPERATORS
from tests.pace import cost_s

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NAMES = (
    "name",
    "given",
    "family",
    "birthDate",
    "deceased",
    "multipleBirth",
    "extension",
    "value",
    "url",
    "contact",
    "identifier",
    "period",
    "start",
    "end",
    "active",
    "gender",
    "contained",
    "link",
    "other",
    "reference",
    "meta",
    "lastUpdated",
    "id",
    "photo",
    "size",
)

literals = st.sampled_from(
    [
        "{}",
        "true",
        "false",
        "0",
        "1",
        "2147483647",
        "1.5",
        "0.000000001",
        "99999999999999999999.9",
        "''",
        "'a'",
        "'2020'",
        "'['",
        "'(a*)*'",
        "'x\\ny'",
        "'$1'",
        "'\\ud83d'",
        "@2020",
        "@2020-02-29",
        "@2020-02T",
        "@2020-02-29T23:59:59.999+14:00",
        "@9999-12-31",
        "@0001-01-01T00:00:00Z",
        "@T23:59",
        "@T10:00:00.1",
        "$this",
        "$index",
        "$total",
        "%context",
        "%resource",
        "%rootResource",
        "%ucum",
        "%x",
        "1 'mg'",
        "1 year",
        "10.5 days",
        "1 'mo'",
        "3 '[degF]'",
        "1 'nonsense'",
        "999999999 years",
        "'1 day'",
    ]
)
names = st.sampled_from([*NAMES, "Patient", "Resource", "System", "`div`"])
types = st.sampled_from(
    ["Patient", "HumanName", "string", "Quantity", "FHIR.code", "System.String"]
)


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.one_of(
        st.builds(
            "{}({})".format,
            st.just(name),
            st.lists(inner, min_size=known.least, max_size=known.most).map(", ".join),
        )
        for name, known in [*FUNCTIONS.items(), ("sort", Function(len, 0, 2))]  # type: ignore[arg-type]
    )
    typed = st.builds("{}({})".format, st.sampled_from(["is", "as", "ofType"]), types)
    return call | typed


def compounds(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    symbols = st.sampled_from([*OPERATORS, "and", "or", "xor", "implies"])
    return st.one_of(
        st.builds("{}.{}".format, inner, names),
        st.builds("({}).{}".format, inner, calls(inner)),
        st.builds("{}.{}".format, inner, calls(inner)),
        st.builds("({} {} {})".format, inner, symbols, inner),
        st.builds("({})[{}]".format, inner, st.sampled_from("012") | inner),
        st.builds("(-{})".format, inner),
        st.builds("({} is {})".format, inner, types),
        calls(inner),
    )


expressions = st.recursive(literals | names, compounds, max_leaves=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.floats(),
    st.sampled_from([Decimal("1e9999"), Decimal("-1e-9999"), float("nan"), float("inf")]),
    st.sampled_from(["", "a", "2020-02-30", "2020-02-29", "2020-02-29T10:00:00Z", "#x", "\ud800"]),
    st.text(max_size=8),
)
keys = st.sampled_from([*NAMES, *(f"_{name}" for name in NAMES), "valueQuantity", "valueDate"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
resources = st.dictionaries(keys, values, max_size=6).map(
    lambda made: {"resourceType": "Patient", **made}
)


def answered(expression: str, resource: Any, **given: Any) -> None:
    try:
        found = compile_expression(expression, "Patient").evaluate(resource, now=NOW, **given)
    except FhirPathError:
        return
    for item in found:
        assert item.type
        assert repr(item)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions, resources)
def test_only_a_fhirpath_error_comes_out(expression: str, resource: dict[str, Any]) -> None:
    answered(expression, resource, steps=5_000)


@settings(max_examples=150, deadline=None)
@given(values, expressions)
def test_a_root_may_be_anything(root: Any, expression: str) -> None:
    answered(expression, root, steps=5_000)


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_the_strict_check_fails_only_with_a_fhirpath_error(expression: str) -> None:
    with suppress(FhirPathError):
        compile_expression(expression, "Patient", strict=True)


LONG = "'x'" + ".replace('x', 'xxxxxxxxxx')" * 5
SPACES = LONG.replace("x", " ")
BOMBS = {
    "repeat": "repeat('a' | $this & 'a').count()",
    "aggregate": "(1 | 2 | 3 | 4).aggregate($total & $total & 'aaaaaaaaaa', 'a').length()",
    "combine": "name" + ".select($this.combine($this))" * 40,
    "nested select": "name.given" + ".select(%context.name.given)" * 30,
    "descendants": "descendants()" + ".select(%context.descendants())" * 5,
    "comparisons": "descendants().select(%context = %context).descendants().count()",
    "equivalence": "descendants() ~ descendants().combine(descendants())",
    "regex": "('a'.repeat($this & $this).first()).matches('(a*)*(a*)*b')",
    "replace": "'aaaaaaaaaaaaaaaa'.replace('', 'aaaaaaaaaaaaaaaa')" + ".replace('a', 'aaaaaa')" * 9,
    "join": "name.given.join(" + "name.given.join(" * 20 + "'a'" + ")" * 21,
    "power": "2147483647.power(2147483647).power(2147483647)",
    "search": f"descendants().aggregate(iif($total.indexOf('xxxxz') > 5, 'a', $total), {LONG})",
    "spacing": f"descendants().aggregate(iif($total ~ ($total), $total, 'a'), {LONG})",
    "spaces": f"descendants().aggregate(iif(('1' & $total).toQuantity() > 1, 'a'), {SPACES})",
    "huge numbers": "(1 | 2 | 3).select(%huge = 1 'kg') | descendants().select(%huge < 1 'kg')",
    "exp": "99999999.9.exp().exp()",
    "years": "@2020 + 999999999.9 years",
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"given": [f"{number}" for number in range(50)], "family": "x"}] * 20,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_an_answer_or_an_error_within_seconds(name: str) -> None:
    huge = {"huge": [Decimal("1e9999")]}

    def explode() -> None:
        answered(BOMBS[name], PATIENT, steps=CLIENT_STEPS, variables=huge)

    assert cost_s(explode, 5) < 5


def test_what_never_ends_meets_the_limit_of_steps() -> None:
    with pytest.raises(StepLimit, match="more than 1,000 steps"):
        compile_expression("1.repeat($this + 1)").evaluate({}, steps=1_000)


def test_deep_data_is_an_error_and_not_a_crash() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"extension": [deep]}
    with pytest.raises(FhirPathError, match="inside each other"):
        compile_expression("(extension | extension).count()").evaluate(
            {"resourceType": "Patient", **deep}
        )


def test_the_strict_check_of_repeats_inside_of_repeats_ends() -> None:
    def check() -> None:
        compile_expression("repeat(" * 50 + "name" + ")" * 50, "Patient", strict=True, keep=False)

    assert cost_s(check, 2) < 2
