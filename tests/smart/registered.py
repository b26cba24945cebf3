"""People and programs of a running server, made with the commands as an operator makes them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.system.process import TELLONCE, Process

PASSWORD = "seven green bicycles sing"


def tellonce(data: Path, *words: str, stdin: str = "", cwd: Path | None = None) -> str:
    """Run a command beside the server; return what it printed."""
    run = subprocess.run(
        [str(TELLONCE), *words, "--data", str(data)],
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 0, f"{words}: {run.stdout}{run.stderr}"
    return run.stdout


def user(data: Path, name: str, role: str, fhir_user: str) -> None:
    """Add somebody who logs in with :data:`PASSWORD`."""
    tellonce(
        data, "user", "add", name, "--role", role, "--fhir-user", fhir_user, "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip


def register(data: Path, id_: str, *options: str, stdin: str = "") -> str:
    """Register a program; return what the command printed."""
    return tellonce(data, "client", "add", id_, *options, stdin=stdin)


def fhir(process: Process, method: str, path: str, body: Any = None, token: str = "") -> Any:
    """Call the FHIR API, as the first administrator when no token is given; return the JSON."""
    answer = httpx.request(
        method,
        f"{process.base_url}/{path}".rstrip("/"),
        content=json.dumps(body) if body is not None else None,
        headers={
            "Authorization": f"Bearer {token or process.token}",
            "Content-Type": "application/fhir+json",
        },
        timeout=30,
    )
    assert answer.is_success, answer.text
    return answer.json()
