"""A real server in a process of its own, for clients that we did not write."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def node_with() -> Callable[[str], str]:
    """A function: the Node program, with a package installed; without it skip, in CI fail."""

    def program(package: str) -> str:
        found = shutil.which("node")
        missing = ""
        if found is None:
            missing = "Node is not installed: apt-get install nodejs npm"
        elif not (Path(__file__).parent / "node" / "node_modules" / package).is_dir():
            missing = f"{package} is not installed: npm ci in tests/clients/node"
        if missing and os.environ.get("CI"):
            pytest.fail(missing)
        if missing or found is None:
            pytest.skip(missing)
        return found

    return program


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The FHIR address and MLLP port of a server that asks for no token and allows deletion."""
    data = tmp_path_factory.mktemp("clients") / "data"
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--open"]
    command += ["--port", "0", "--mllp-port", "0", "--data", str(data)]
    environment = {**os.environ, "TELLONCE_DELETE": "allow", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            said = iter(process.stdout.readline, b"")
            fhir = next(filter(None, (re.search(rb"FHIR\s+(http://\S+)", s) for s in said)), None)
            mllp = next(filter(None, (re.search(rb"MLLP.*:(\d+)", s) for s in said)), None)
            assert fhir, f"the server ended with {process.poll()}"
            assert mllp, f"the server ended with {process.poll()}"
            yield fhir[1].decode(), int(mllp[1])
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="package")
def base_url(served: tuple[str, int]) -> str:
    """The FHIR address of the running server."""
    return served[0]


@pytest.fixture(scope="package")
def mllp_port(served: tuple[str, int]) -> int:
    """The port of the running server that takes HL7v2 messages."""
    return served[1]
