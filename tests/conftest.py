"""What all tests share: the event loop, and the data of other projects beside the repo."""

import os
import tempfile
from pathlib import Path

import certifi
import pytest

pytest_plugins = ["tests.scheduling", "tests.smart.plugin"]

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_configure() -> None:
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
