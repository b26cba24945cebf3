import pytest

from server.validation.primitives import PREDICATES, fault
from tests.pace import cost_s

RIGHT = {
    "boolean": [True, False],
    "integer": [0, -2147483648, 2147483647],
    "unsignedInt": [0, 2147483647],
    "positiveInt": [1],
    "decimal": [0, 10**30, 1.5],
    "string": ["a", " a ", "ä\n\t\r", "x" * 1_048_576, "\N{GRINNING FACE}", "a\u2028b\x85"],
    "markdown": ["# a\n\nb"],
    "xhtml": ["<div/>", "x" * 1_048_577],
    # No-break spaces are characters like others: v2 table 0550 has codes that end in one.
    "code": ["a", "a b", "https://x", "CHEST\xa0", "\u3000"],
    "uri": ["http://x", "a", "urn:oid:1.2", "#a", "http://ä", "http://x/\xa0"],
    "url": ["http://x"],
    "canonical": ["http://x|1.0#a"],
    "id": ["a", "A-.9", "x" * 64],
    "oid": ["urn:oid:1.2.840.0"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "base64Binary": ["YQ==", "YWJj", "YW\nJj", " YWJj \n YQ== ", "A" * 4_000_000],
    "date": ["1974", "1974-12", "1974-12-25", "2020-02-29", "2000-02-29", "0001-01-01"],
    "dateTime": [
        "2015",
        "2015-02",
        "2015-02-07",
        "2015-02-07T13:28:17Z",
        "2015-02-07T13:28:17.239+02:00",
        "2016-12-31T23:59:60Z",
        "2015-02-07T13:28:17.123456789-14:00",
    ],
    "instant": ["2015-02-07T13:28:17.239+02:00", "2015-02-07T13:28:17Z"],
    "time": ["00:00:00", "23:59:59.999", "23:59:60"],
}

WRONG = {
    "boolean": ["true", 1, 0, None, [], {}],
    "integer": [True, 1.0, "1", 2147483648, -2147483649, None],
    "unsignedInt": [-1, 2147483648],
    "positiveInt": [0, -1, False],
    "decimal": ["1", True, None, float("nan"), float("inf")],
    "string": ["", " ", "\n", "\xa0", "a\x00", "\x1c", "x" * 1_048_577, 1, None, ["a"]],
    "markdown": ["", "\x0b"],
    "xhtml": ["", " ", 1],
    "code": ["", " a", "a ", "a  b", "a\tb", "a\n", "a\x00", "a\x1fb", "\uffff", 1],
    "uri": ["", "a b", " a", "a\n", "a\x00", "http://x\x1b", "a\ufffe", 1],
    "url": ["a b"],
    "canonical": [""],
    "id": ["", "x" * 65, "a_b", "a/b", "ä", "a\n", "١"],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1"],
    "uuid": ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:1"],
    "base64Binary": ["", "***", "A", "AAA", "AAAAA", "A===", "AA==AA", " ", "A" * 4_000_001],
    "date": [
        "0000",
        "74",
        "2020-13-45",
        "2021-02-29",
        "2021-02-30",
        "1900-02-29",
        "2021-04-31",
        "2021-00-01",
        "2020-01-01T00:00:00Z",
        "2020-1-1",
        "2020-",
        "٢٠٢٠",
        "2020\n",
    ],
    "dateTime": [
        "2015-02-07T13:28:17",
        "2015-02-07T13:28Z",
        "2015-02-07T24:00:00Z",
        "2015-02-07T13:28:61Z",
        "2015-02-07T13:28:17+14:01",
        "2015-02-07T13:28:17.Z",
        "2015-02-07 13:28:17Z",
        "2021-02-30T00:00:00Z",
    ],
    "instant": ["2015-02-07", "2015-02-07T13:28:17", "2021-02-29T00:00:00Z"],
    "time": ["24:00:00", "13:28", "13:28:17Z", "13:28:61"],
}


@pytest.mark.parametrize("type_", sorted(PREDICATES))
def test_right_values_are_right(type_: str) -> None:
    assert [value for value in RIGHT[type_] if not PREDICATES[type_](value)] == []


@pytest.mark.parametrize("type_", sorted(PREDICATES))
def test_wrong_values_are_wrong_and_the_reason_does_not_repeat_them(type_: str) -> None:
    assert [value for value in WRONG[type_] if PREDICATES[type_](value)] == []
    assert all(
        fault(type_, value)[0] in ("structure", "value", "too-long") for value in WRONG[type_]
    )
    assert "secret" not in fault("date", "secret")[1]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("base64Binary", "A" * 2_000_001),
        ("base64Binary", "AAAA " * 400_000 + "*"),
        ("code", "a " * 500_000),
        ("uri", "a" * 1_000_000 + " "),
        ("oid", "urn:oid:1" + ".1" * 500_000 + "x"),
        ("dateTime", "2015-02-07T13:28:17." + "1" * 1_000_000),
        ("string", "\n" * 1_000_000 + "\x00"),
    ],
)
def test_a_hostile_value_takes_linear_time(type_: str, value: str) -> None:
    def check() -> None:
        assert not PREDICATES[type_](value)

    assert cost_s(check, 1.0) < 1.0
