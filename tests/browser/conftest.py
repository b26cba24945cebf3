"""One server, one browser: every journey is walked once, and the tests look at what was seen."""

import functools
import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.world import ward
from tests.smart.registered import PASSWORD, fhir, tellonce, user
from tests.system.process import Process, served

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "smart_apps" / "example"
LIMIT_S = 120


@pytest.fixture(scope="package")
def programs() -> tuple[str, str]:
    """Node and Chromium, with the packages of both folders; without them skip, in CI fail."""
    node, chromium = shutil.which("node"), shutil.which("chromium")
    missing = ""
    if node is None:
        missing = "Node is not installed: apt-get install nodejs npm"
    elif chromium is None:
        missing = "Chromium is not installed: apt-get install chromium"
    elif not (HERE / "node_modules" / "playwright-core").is_dir():
        missing = "playwright-core is not installed: npm ci in tests/browser"
    elif not (EXAMPLE / "node_modules" / "fhirclient").is_dir():
        missing = "fhirclient is not installed: npm ci in smart_apps/example"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    assert node
    assert chromium
    return node, chromium


class Quiet(SimpleHTTPRequestHandler):
    """The files of the example app, without a log."""

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="package")
def app_url() -> Iterator[str]:
    """Where the example app is served, as ``npm start`` would."""
    handler = functools.partial(Quiet, directory=str(EXAMPLE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _registration(app_url: str) -> list[str]:
    """Return the words that the app's README registers it with, for its address of today."""
    shown = (EXAMPLE / "README.md").read_text("utf-8").split("tellonce ")[1].split("\n")[0]
    return shlex.split(shown.replace("http://127.0.0.1:3000", app_url))


@pytest.fixture(scope="package")
def server(
    programs: tuple[str, str], app_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """A server with the ward's record, its people, and the example app registered."""
    data = tmp_path_factory.mktemp("browser") / "data"
    with served(data) as process:
        fhir(process, "POST", "", ward())
        user(process, "ada", "patient", "Patient/ada")
        user(process, "bob", "patient", "Patient/bob")
        user(process, "ruth", "practitioner", "Practitioner/ruth", "Dr. Ruth Ruiz")
        tellonce(data, *_registration(app_url))
        yield process


@pytest.fixture(scope="package")
def seen(
    programs: tuple[str, str], server: Process, app_url: str
) -> Callable[[str], dict[str, Any]]:
    """A function: the facts of a journey; it fails with the journey's own error."""
    node, chromium = programs
    world = {
        "base": server.base_url,
        "root": server.base_url.removesuffix("/fhir"),
        "app": app_url,
        "chromium": chromium,
        "password": PASSWORD,
    }
    run = subprocess.run(
        [node, "main.js"],
        cwd=HERE,
        input=json.dumps(world),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)

    def of(journey: str) -> dict[str, Any]:
        found: dict[str, Any] = facts[journey]
        assert "error" not in found, found["error"]
        return found

    return of
