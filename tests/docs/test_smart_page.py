"""What docs/smart.md tells to type, typed against a real server."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.world import ward
from tests.docs.test_examples import DOCS, block
from tests.smart.person import Person
from tests.smart.registered import PASSWORD, fhir, tellonce
from tests.system.process import Process, served

PAGE = (DOCS / "smart.md").read_text("utf-8")
BACK = "http://127.0.0.1:3000/index.html"

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]


def part(heading: str) -> str:
    return re.split(r"^##", PAGE.split(f"# {heading}\n")[1], flags=re.MULTILINE)[0]


def blocks(heading: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", part(heading), re.DOTALL)


def typed(server: Process, *scripts: str, **variables: str) -> str:
    """Run shell blocks, one after the other in one shell; return what they printed."""
    folder = server.log.parent
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    run = subprocess.run(
        ["bash", "-euc", "\n".join(scripts)],
        env=environment | {"BASE": server.base_url} | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def as_shown(server: Process, line: str) -> None:
    """Run a ``tellonce`` line of the page, for the test's data folder."""
    words = shlex.split(line)
    assert words.pop(0) == "tellonce"
    if words[:2] == ["user", "add"]:
        data = server.log.parent / "data"
        tellonce(data, *words, "--password-stdin", stdin=f"{PASSWORD}\n")
    else:
        tellonce(server.log.parent / "data", *words)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data = tmp_path_factory.mktemp("page") / "data"
    with served(data) as process:
        fhir(process, "POST", "", ward())
        for line in blocks("Register an app in five minutes")[0].splitlines()[1:]:
            as_shown(process, line)
        yield process


@pytest.fixture(scope="module")
def authorized(server: Process) -> dict[str, str]:
    """The variables that are set after the person has allowed it."""
    ask = blocks("With curl")[0]
    printed = typed(server, ask, "echo $VERIFIER").splitlines()
    with Person(server.base_url.removesuffix("/fhir"), "ada") as ada:
        told = ada.authorize(printed[0], BACK)
    assert told["state"] == "any"
    return {"VERIFIER": printed[1], "CODE": told["code"], "BACK": BACK, "CONFIG": ask}


@pytest.mark.smart(139)
def test_the_page_tells_what_linked_patients_mean() -> None:
    assert "`Patient.link` opens nothing." in part("Scopes")


@pytest.mark.smart(53, 56, 57, 59, 73, 74, 75, 78, 84, 101, 109, 110)
def test_what_is_typed_with_curl_works(server: Process, authorized: dict[str, str]) -> None:
    ask, use = blocks("With curl")
    config, variables = ask.splitlines()[0], dict(authorized)
    variables.pop("CONFIG")
    after, ending = blocks("Introspection and revocation")[0].splitlines()
    again = use.splitlines()[2]

    printed = typed(
        server,
        config,
        use.replace("\ncurl", "\necho; curl").replace("\necho; curl", "\ncurl", 1),
        'echo; echo "$TOKENS"',
        after,
        f"echo; {ending} -o /dev/null -w '%{{http_code}}'",
        f"echo; {again}",
        TOKEN=server.token or "",
        **variables,
    ).splitlines()

    patient, found, refreshed, tokens, introspected, revoked, refused = printed
    assert json.loads(patient)["birthDate"] == "1985-12-10"
    assert [one["resource"]["id"] for one in json.loads(found)["entry"]] == [
        "ada-pulse",
        "ada-weight",
    ]
    assert json.loads(refreshed)["token_type"] == "Bearer"
    said = json.loads(tokens)
    assert said.pop("access_token") != said.pop("refresh_token")
    root = server.base_url.removesuffix("/fhir")
    shown = block(part("With curl"), "json").replace("http://127.0.0.1:8080", root)
    assert said == json.loads(shown)
    assert json.loads(introspected)["client_id"] == "diary"
    assert revoked == "200"
    assert json.loads(refused)["issue"][0]["code"] == "login"


@pytest.mark.smart(253, 297, 310)
def test_the_backend_service_of_the_page_writes(server: Process) -> None:
    folder = server.log.parent
    shown = part("Backend services")
    registration, use = blocks("Backend services")
    (folder / "sign.py").write_text(block(shown, "python"), "utf-8")
    config = blocks("With curl")[0].splitlines()[0]
    sign = f"{sys.executable} sign.py $(config token_endpoint)"
    assertion = typed(server, config, sign).strip()
    tellonce(folder / "data", *shlex.split(registration)[1:], cwd=folder)
    member = blocks("With curl")[1].splitlines()[1]
    request, *rest = use.splitlines()[0:2]

    printed = typed(
        server, config, request, *rest, member, *use.splitlines()[2:], ASSERTION=assertion
    )

    made = json.loads(printed)
    assert (made["resourceType"], made["valueInteger"]) == ("Observation", 61)


@pytest.mark.smart(352)
def test_the_launch_of_the_page_gives_a_handle(server: Process) -> None:
    registration, launch = blocks("Launch from the record")
    for line in registration.splitlines():
        as_shown(server, line)

    made = json.loads(typed(server, launch, TOKEN=server.token or ""))

    shown = json.loads(block(part("Launch from the record"), "json"))
    assert made.keys() == shown.keys()
    assert made["url"].startswith(shown["url"].partition("=")[0])
    assert made["url"].endswith(made["launch"])


@pytest.mark.smart(18)
def test_the_clients_of_the_page_can_be_registered(server: Process) -> None:
    assert BACK in tellonce(server.log.parent / "data", "client", "list")
