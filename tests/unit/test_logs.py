import io
import logging
import re
from collections.abc import Iterator

import pytest

from server import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    made = io.StringIO()
    logs.configure("info", made)
    yield made
    root.handlers[:], _ = before
    root.setLevel(before[1])


def test_a_line_has_the_time_in_utc_the_level_and_the_logger(stream: io.StringIO) -> None:
    logging.getLogger("tellonce.request").info("GET /{type} %d", 200)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO tellonce\.request GET /\{type\} 200\n",
        stream.getvalue(),
    )


def test_the_words_of_an_exception_are_never_logged(stream: io.StringIO) -> None:
    try:
        raise ValueError("Jane Doe, born 1985")
    except ValueError:
        logging.getLogger("asyncio").exception("a task failed")
    logged = stream.getvalue()
    assert "Jane" not in logged
    assert "ValueError" in logged
    assert "test_logs.py" in logged


def test_below_the_level_nothing_is_logged(stream: io.StringIO) -> None:
    logging.getLogger("tellonce").debug("x")
    assert stream.getvalue() == ""


def test_a_warning_is_written_at_once_with_the_lines_before_it(stream: io.StringIO) -> None:
    logger = logging.getLogger("tellonce.gathered")
    logger.propagate = False
    logger.addHandler(logs.Gathering(stream))
    logger.info("first")
    logger.warning("second")
    assert stream.getvalue() == "first\nsecond\n"


def test_other_lines_are_written_soon_and_when_the_process_ends(stream: io.StringIO) -> None:
    handler = logs.Gathering(stream)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "soon", (), None))
    assert stream.getvalue() == ""
    handler.flush()
    assert stream.getvalue() == "soon\n"
