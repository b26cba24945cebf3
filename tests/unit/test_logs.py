import io
import logging
import re
from collections.abc import Iterator

import pytest

from server import logs

FIELDS = ("logThreads", "logProcesses", "logMultiprocessing")


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, logs.OURS)]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    fields = [getattr(logging, field) for field in FIELDS]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for field, was in zip(FIELDS, fields, strict=True):
        setattr(logging, field, was)


@pytest.fixture
def stream(restored: None) -> io.StringIO:
    made = io.StringIO()
    logs.configure("info", made)
    return made


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


@pytest.mark.parametrize("level", ["debug", "info"])
def test_libraries_tell_nothing_of_their_work(level: str, restored: None) -> None:
    stream = io.StringIO()
    logs.configure(level, stream)
    for name in ("httpx", "httpcore.http11", "pymongo.command", "uvicorn.error", "asyncio"):
        logging.getLogger(name).info("canary")
        logging.getLogger(name).debug("canary")
        logging.getLogger(name).warning("%s warns", name)
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count(" warns\n") == 5


@pytest.mark.parametrize("name", ["tellonce.request", "server.feeds.service", "mappings.maps"])
def test_the_program_tells_its_work_at_the_level_that_was_asked_for(
    name: str, restored: None
) -> None:
    stream = io.StringIO()
    logs.configure("debug", stream)
    logging.getLogger(name).debug("x")
    logs.configure("error", stream)
    logging.getLogger(name).warning("y")
    assert stream.getvalue().endswith(f" DEBUG {name} x\n")


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
