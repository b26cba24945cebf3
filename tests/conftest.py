"""What all tests share: the event loop, how long clients wait, and the data of other projects."""

import gc
import inspect
import os
import tempfile
from pathlib import Path

import certifi
import httpx
import pytest

pytest_plugins = ["tests.scheduling", "tests.smart.plugin"]

SHARED = Path(__file__).parents[2] / "shared" / "data"


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
