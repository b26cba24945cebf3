from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.dates import DAY, InvalidDate, http_date, instant_text, interval

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC).replace(tzinfo=None)


def us(*parts: int) -> int:
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("2020", us(2020, 1, 1), us(2021, 1, 1)),
        ("2020-02", us(2020, 2, 1), us(2020, 3, 1)),
        ("2020-12", us(2020, 12, 1), us(2021, 1, 1)),
        ("2020-02-29", us(2020, 2, 29), us(2020, 3, 1)),
        ("2020-01-02T03:04", us(2020, 1, 2, 3, 4), us(2020, 1, 2, 3, 5)),
        ("2020-01-02T03:04:05Z", us(2020, 1, 2, 3, 4, 5), us(2020, 1, 2, 3, 4, 6)),
        ("2020-01-02T03:04:05+02:30", us(2020, 1, 2, 0, 34, 5), us(2020, 1, 2, 0, 34, 6)),
        ("2020-01-01T00:00:00-14:00", us(2020, 1, 1, 14), us(2020, 1, 1, 14, 0, 1)),
        ("1970-01-01T00:00:00.5Z", 500_000, 600_000),
        ("1970-01-01T00:00:00.000001Z", 1, 2),
        ("1970-01-01T00:00:00.0000019Z", 1, 2),
        ("2016-12-31T23:59:60Z", us(2017, 1, 1), us(2017, 1, 1, 0, 0, 1)),
        ("0001", us(1, 1, 1), us(2, 1, 1)),
        ("9999-12-31", us(9999, 12, 31), us(9999, 12, 31) + DAY),
        ("9999", us(9999, 1, 1), us(9999, 12, 31) + DAY),
    ],
)
def test_a_date_is_all_that_it_may_mean(text: str, lo: int, hi: int) -> None:
    assert interval(text) == (lo, hi)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20",
        "0000",
        "2020-1",
        "2020-13",
        "2020-00",
        "2020-02-30",
        "2021-02-29",
        "2020-01-01T24:00:00Z",
        "2020-01-01T10",
        "2020-01-01T10:60",
        "2020-01-01T10:00:61Z",
        "2020-01-01T10:00:00.Z",
        "2020-01-01T10:00:00+15:00",
        "2020-01-01 10:00",
        "2020-01-01Z",
        "２０２０",
        "2020\n",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidDate):
        interval(text)


def test_a_zone_counts_for_texts_without_an_offset_only() -> None:
    new_york = ZoneInfo("America/New_York")
    assert interval("2020-03-08", new_york) == (us(2020, 3, 8, 5), us(2020, 3, 9, 4))
    assert interval("2020-01-01T00:00:00Z", new_york)[0] == us(2020, 1, 1)
    assert interval("9999-12-31", new_york)[1] == us(9999, 12, 31, 5) + DAY


@given(st.datetimes(max_value=LAST))
def test_an_instant_reads_back_as_itself(moment: datetime) -> None:
    at = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1) * 1000
    assert interval(instant_text(at)) == (at, at + 1000)


def test_header_dates_are_those_of_http() -> None:
    assert http_date(us(1994, 11, 6, 8, 49, 37)) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        lo, hi = interval(text)
    except InvalidDate:
        return
    assert lo < hi
