"""People and programs of a running server, made as an operator makes them."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.system import forked
from tests.system.process import Process

PASSWORD = "seven green bicycles sing"


def tellonce(data: Path, *words: str, stdin: str = "", cwd: Path | None = None) -> str:
    """Run a command beside the server; return what it printed."""
    run = forked.tellonce(*words, "--data", data, stdin=stdin, cwd=cwd)
    assert run.returncode == 0, f"{words}: {run.stdout}{run.stderr}"
    return run.stdout


def user(process: Process, name: str, role: str, fhir_user: str, display: str = "") -> None:
    """Add somebody who logs in with :data:`PASSWORD`."""
    said = {"name": name, "roles": [role], "fhir_user": fhir_user, "display": display}
    admin(process, "users", {**said, "password": PASSWORD})


def register(process: Process, id_: str, **members: Any) -> dict[str, Any]:
    """Register a program; return what the admin API answers."""
    return admin(process, "clients", {"id": id_, **members})


def admin(process: Process, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Add something by the admin API, as the first administrator; return it."""
    answer = httpx.post(
        f"{process.base_url.removesuffix('/fhir')}/admin/{path}",
        json=body,
        headers={"Authorization": f"Bearer {process.token}"},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


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
