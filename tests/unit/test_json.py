import pickle
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.errors import InvalidJson
from server.fhir.json import MAX_DEPTH, dumps, loads

NUMBERS = [
    "0", "-0", "-0.0", "1.0", "1.50", "1e2", "1E+3", "1e-10", "0.000000001", "0.00", "-1.20",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
    "3.141592653589793238462643383279502884", "1e9999",
]  # fmt: skip

REFUSED = [
    (b"", 1, 1, "the body is empty"),
    (b" \n ", 2, 2, "the body is empty"),
    (b'\xef\xbb\xbf{"a": 1}', 1, 1, "byte order mark"),
    (b'{"a": "\xff"}', 1, 8, "not UTF-8"),
    ('"\ud800"'.encode("utf-8", "surrogatepass"), 1, 2, "not UTF-8"),
    (b'{"a": 1}}', 1, 9, "Extra data"),
    (b'{"a": 1} {"a": 1}', 1, 10, "Extra data"),
    (b'{"a": 1,\n "a": 2}', 2, 2, "'a' is there twice"),
    (b'[{"a": {"b": 1}}, {"b": 1, "\\u0062": 2}]', 1, 28, "'b' is there twice"),
    (b'{"a": "NaN", "b": NaN}', 1, 19, "NaN is not a JSON number"),
    (b"[1,\n\n-Infinity]", 3, 1, "-Infinity is not a JSON number"),
    (b'["\\ud83d"]', 1, 3, "surrogate"),
    (b'["\\ud83d\\ude00", "\\ude00\\ud83d"]', 1, 19, "surrogate"),
    (b"[1e10000]", 1, 2, "exponent beyond 9999"),
    (b"[1e-99999999999999999999]", 1, 2, "exponent beyond 9999"),
    (b"[" + b"1" * 1001 + b"]", 1, 2, "longer than 1000 characters"),
    (b"[01]", 1, 3, "not JSON"),
    (b"[1.]", 1, 3, "not JSON"),
    (b"[+1]", 1, 2, "not JSON"),
    (b"['a']", 1, 2, "not JSON"),
    (b"[1,]", 1, 4, "not JSON"),
    (b'{"a": 1,}', 1, 9, "not JSON"),
    (b'["a\tb"]', 1, 4, "not JSON: Invalid control character"),
    (b'["' + b'\\"' * 100_000, 1, 2, "Unterminated string"),
    (b"{" * 10, 1, 2, "not JSON"),
    (b"[" * 100_000, 1, 65, "more than 64"),
    (b'{"a":' * 100_000, 1, 321, "more than 64"),
    (b"[" * 65 + b"]" * 65, 1, 65, "more than 64"),
    (b'["]",' * 100, 1, 321, "more than 64"),
    (b'["\\\\\\"]",' * 100, 1, 9 * 64 + 1, "more than 64"),
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_comes_out_as_it_was_sent(number: str) -> None:
    assert dumps(loads(f'{{"value":{number}}}'.encode())) == f'{{"value":{number}}}'.encode()


@pytest.mark.parametrize(("body", "line", "column", "words"), REFUSED)
def test_what_fhir_does_not_allow_is_refused_with_its_place(
    body: bytes, line: int, column: int, words: str
) -> None:
    with pytest.raises(InvalidJson) as refused:
        loads(body)

    issue = refused.value.issues[0]
    assert words in issue.diagnostics
    assert (issue.line, issue.column) == (line, column)


@pytest.mark.parametrize(
    "body",
    [b"[" * 64 + b"]" * 64, b'["' + b"[{" * 1000 + b'"]', b"[" + b"[]," * 1000 + b"[]]"],
    ids=["64 levels", "brackets in a string", "many brackets side by side"],
)
def test_depth_is_not_the_number_of_brackets(body: bytes) -> None:
    assert MAX_DEPTH == 64
    assert dumps(loads(body)) == body


def test_an_escaped_backslash_before_ud800_is_text() -> None:
    assert loads(b'["\\\\ud800", "\\ud83d\\ude00"]') == ["\\ud800", "\N{GRINNING FACE}"]


def test_the_order_of_properties_is_kept() -> None:
    assert dumps(loads(b'{"z":1,"a":{"y":2,"b":3}}')) == b'{"z":1,"a":{"y":2,"b":3}}'


def test_a_literal_decimal_survives_copying() -> None:
    value = loads(b'{"value":1e2}')

    assert dumps(deepcopy(value)) == b'{"value":1e2}'
    assert dumps(pickle.loads(pickle.dumps(value))) == b'{"value":1e2}'
    assert value["value"] == Decimal(100)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object(), {1: 2}])
def test_what_json_cannot_hold_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        dumps({"value": value})


@given(st.binary() | st.text(alphabet='{}[]",:\\0129.eE-au\n').map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = loads(body)
    except InvalidJson as refused:
        assert refused.issues[0].line is not None  # noqa: PT017 - one of two right outcomes
    else:
        assert loads(dumps(value)) == value
