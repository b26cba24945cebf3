"""What all tests share: the event loop, how long clients wait, and the data of other projects."""

import gc
import inspect
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi
import httpx
import pytest

pytest_plugins = ["tests.scheduling", "tests.smart.plugin"]

SHARED = Path(__file__).parents[2] / "shared" / "data"
LOGGERS = (None, "tellonce", "server", "httpx")
_LOGGING = pytest.StashKey[dict[logging.Logger, tuple[int, list[logging.Handler]]]]()


def pytest_configure() -> None:
    """Before anything is collected."""
    gc.disable()  # until what is collected, which stays to the end, is out of its way
    _trust_one()
    _wait_longer()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Never look again at the 600,000 objects of the tests themselves for garbage."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest adds its own handlers
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Keep how logging was before the test."""
    item.stash[_LOGGING] = _logging()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Tell of the test that leaves logging in another way than it found it: others look at logs.

    What sets it for a process, as ``tellonce serve`` does, belongs in a process of its own.
    """
    yield
    was, now = item.stash[_LOGGING], _logging()
    for logger, (level, handlers) in was.items():
        logger.setLevel(level)
        logger.handlers[:] = handlers
    assert now == was, "the test changed levels or handlers of logging, and left them so"


def _logging() -> dict[logging.Logger, tuple[int, list[logging.Handler]]]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    return {one: (one.level, one.handlers[:]) for one in loggers}


def _wait_longer() -> None:
    """Let clients that say nothing else wait for an answer as long as a stalled machine takes."""
    waiting = inspect.signature(httpx.Client).parameters["timeout"].default  # shared by all
    for part in ("connect", "read", "write", "pool"):
        setattr(waiting, part, 30.0)


def _trust_one() -> None:
    """Let clients trust one authority instead of all: reading them takes longer than a request."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = Path(tempfile.gettempdir()) / f"tellonce-test-authority-{os.getuid()}.pem"
    file.write_text(first + end)
    os.environ.setdefault("SSL_CERT_FILE", str(file))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ``../shared/data``; a machine without it skips, CI fails."""
    if not SHARED.is_dir():
        missing = "no conformance data: ../shared/data (not part of this repository) is not there"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return SHARED
