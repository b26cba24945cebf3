"""Laws of the language, against oracles that are written another way."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.fhirpath.expression import compile_expression

Truth = bool | None
TRUTHS: dict[str, Truth] = {"true": True, "false": False, "{}": None}


def truth(expression: str) -> Truth:
    return compile_expression(expression).truth({})


def possible(op: str, left: Truth, right: Truth) -> Truth:
    """The answer when all that the unknowns may be give the same one, else unknown."""
    answers = {
        {"and": a and b, "or": a or b, "xor": a != b, "implies": not a or b}[op]
        for a, b in product(
            (True, False) if left is None else (left,), (True, False) if right is None else (right,)
        )
    }
    return answers.pop() if len(answers) == 1 else None


@pytest.mark.parametrize("op", ["and", "or", "xor", "implies"])
def test_an_operator_is_unknown_exactly_when_it_could_be_either(op: str) -> None:
    for (left, a), (right, b) in product(TRUTHS.items(), repeat=2):
        assert truth(f"{left} {op} {right}") is possible(op, a, b), (left, op, right)


truths = st.recursive(
    st.sampled_from(list(TRUTHS)),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("{}.not()".format, inner)
    ),
    max_leaves=10,
)


@given(truths, truths)
def test_de_morgan_holds_with_three_truths(left: str, right: str) -> None:
    assert truth(f"({left} and {right}).not()") is truth(f"{left}.not() or {right}.not()")
    assert truth(f"({left} or {right}).not()") is truth(f"{left}.not() and {right}.not()")


@given(truths, truths, truths)
def test_and_distributes_over_or(one: str, two: str, three: str) -> None:
    left = truth(f"{one} and ({two} or {three})")
    assert left is truth(f"({one} and {two}) or ({one} and {three})")


FIRST, LAST = datetime(1, 1, 3), datetime(9998, 12, 30)  # noqa: DTZ001 - local, as they are written
moments = st.datetimes(FIRST, LAST).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
FORMS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
forms = st.integers(0, len(FORMS) - 1)


def written(moment: datetime, form: int) -> str:
    return moment.strftime(FORMS[form]).zfill(len(FORMS[form]) + (2 if form < 6 else 0))


def span(moment: datetime, form: int) -> tuple[datetime, datetime]:
    """First and last millisecond of what is written; seconds are compared as points."""
    if form == 5:
        point = moment.replace(microsecond=0)
        return point, point
    low = moment.replace(microsecond=0, second=0)
    for field, first in (("minute", 0), ("hour", 0), ("day", 1), ("month", 1))[: 4 - form]:
        low = low.replace(**{field: first})
    if form < 2:
        high = low.replace(year=low.year + 1) if form == 0 else (low + timedelta(32)).replace(day=1)
    else:
        high = low + (timedelta(1), timedelta(hours=1), timedelta(minutes=1))[form - 2]
    return low, high - timedelta(milliseconds=1)


@given(moments, forms, moments | st.none(), forms)
def test_dates_compare_when_their_spans_do_not_overlap(
    one: datetime, form: int, other: datetime | None, other_form: int
) -> None:
    other = one if other is None else other
    low, high = span(one, form)
    other_low, other_high = span(other, other_form)
    if form == other_form and low == other_low:
        wanted: Truth = False
    else:
        wanted = True if high < other_low else False if low > other_high else None
    left, right = f"@{written(one, form)}", f"@{written(other, other_form)}"
    left, right = (text if "T" in text else f"{text}T" for text in (left, right))
    assert truth(f"{left} < {right}") is wanted
    assert truth(f"{right} > {left}") is wanted


zones = st.integers(-12 * 60, 14 * 60)


@given(moments, zones, st.integers(-100_000, 100_000), zones)
def test_moments_compare_whatever_their_zones(
    one: datetime, zone: int, seconds: int, other_zone: int
) -> None:
    aware = one.replace(tzinfo=UTC)
    other = aware + timedelta(seconds=seconds)
    left = aware.astimezone(timezone(timedelta(minutes=zone)))
    right = other.astimezone(timezone(timedelta(minutes=other_zone)))
    texts = [f"@{moment.isoformat(timespec='milliseconds')}" for moment in (left, right)]
    assert truth(f"{texts[0]} = {texts[1]}") is (seconds == 0)
    assert truth(f"{texts[0]} < {texts[1]}") is (seconds > 0)
    assert truth(f"{texts[0]} ~ {texts[1]}") is (seconds == 0)


@given(moments, st.integers(-40_000, 40_000))
def test_days_are_added_as_the_calendar_counts(moment: datetime, days: int) -> None:
    text = moment.date().isoformat()
    found = compile_expression(f"(@{text} + {abs(days)} days).toString()").evaluate({})
    try:
        wanted = [(moment.date() + timedelta(abs(days))).isoformat()]
    except OverflowError:
        wanted = []
    assert [item.value for item in found] == wanted


decimals = st.decimals(-(10**9), 10**9, places=4).map(lambda number: number + Decimal(0))


@given(decimals, decimals)
def test_sums_and_products_are_exact(one: Decimal, other: Decimal) -> None:
    found = compile_expression("%a + %b | %a * %b | %a - %b")
    values = [item.value for item in found.evaluate({}, variables={"a": one, "b": other})]
    assert set(values) == {one + other, one * other, one - other}


@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_collections_are_sets_in_the_order_of_their_first_items(a: list[int], b: list[int]) -> None:
    def made(expression: str) -> list[int]:
        found = compile_expression(expression).evaluate({}, variables={"a": a, "b": b})
        return [item.value for item in found]

    assert made("%a | %b") == list(dict.fromkeys(a + b))
    assert made("%a.combine(%b)") == a + b
    assert made("%a.intersect(%b)") == list(dict.fromkeys(n for n in a if n in b))
    assert made("%a.exclude(%b)") == [n for n in a if n not in b]
    assert made("%a.subsetOf(%b)") == [set(a) <= set(b)]
    assert made("%a.sort()") == sorted(a)
    assert made("%a.sort(-$this)") == sorted(a, reverse=True)
    assert made("%a.where($this > 2).select($this * 2)") == [n * 2 for n in a if n > 2]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(texts, texts)
def test_texts_come_back_from_where_they_went(text: str, mark: str) -> None:
    given: dict[str, object] = {"t": text, "m": mark or ","}
    for there, back in (
        ("encode('base64')", "decode('base64')"),
        ("encode('urlbase64')", "decode('urlbase64')"),
        ("encode('hex')", "decode('hex')"),
        ("escape('html')", "unescape('html')"),
        ("escape('json')", "unescape('json')"),
        ("split(%m)", "join(%m)"),
        ("toChars()", "join('')"),
    ):
        found = compile_expression(f"%t.{there}.{back}").evaluate({}, variables=given)
        assert [item.value for item in found] in ([text], [] if not text else [text]), there
