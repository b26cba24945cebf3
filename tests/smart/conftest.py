"""A real server with a ward, its people, and apps of each kind."""

from collections.abc import Iterator

import pytest

from tests.browser.world import ward
from tests.smart.app import REDIRECT, App
from tests.smart.registered import fhir, register, user
from tests.system.process import Process, served

SECRET = "Jm4ud8Qx2Lr7Vb1Wn6Ks0Ty5Hc9Pz3Ga"
SCOPES = (
    "launch launch/patient launch/encounter openid fhirUser offline_access online_access "
    "patient/*.cruds user/*.cruds"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for what needs the server: it is started once."""
    for item in items:
        if "tests/smart" in item.path.as_posix() and "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("smart"))


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data = tmp_path_factory.mktemp("smart") / "data"
    with served(data, settings={"TELLONCE_REGISTRATION": "open"}) as process:
        fhir(process, "POST", "", ward())
        user(data, "ada", "patient", "Patient/ada")
        user(data, "ruth", "practitioner", "Practitioner/ruth")
        register(data, "page", "--public", "--redirect", REDIRECT, "--scope", SCOPES)
        register(
            data, "site", "--secret-stdin", "--redirect", REDIRECT, "--scope", SCOPES,
            stdin=f"{SECRET}\n",
        )  # fmt: skip
        yield process


@pytest.fixture
def page(server: Process) -> App:
    """A public app."""
    return App(server, "page")


@pytest.fixture
def site(server: Process) -> App:
    """An app with a secret."""
    return App(server, "site", SECRET)
