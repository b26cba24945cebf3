"""A real server in a process of its own, for clients that we did not write."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="package")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The FHIR address of a running server that asks for no token and allows deletion."""
    data = tmp_path_factory.mktemp("clients") / "data"
    command = [str(Path(sys.executable).with_name("tellonce")), "serve", "--open"]
    command += ["--port", "0", "--mllp-port", "0", "--data", str(data)]
    environment = {**os.environ, "TELLONCE_DELETE": "allow", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            said = iter(process.stdout.readline, b"")
            found = next(filter(None, (re.search(rb"FHIR\s+(http://\S+)", s) for s in said)), None)
            assert found, f"the server ended with {process.poll()}"
            yield found[1].decode()
        finally:
            process.terminate()
            process.wait(30)
