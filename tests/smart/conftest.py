"""A real server with a ward, its people, and apps of each kind."""

from collections.abc import Iterator

import pytest

from tests.browser.world import ward
from tests.clients.backend import Backend, key_set, new_key
from tests.smart.app import REDIRECT, App
from tests.smart.registered import fhir, register, user
from tests.system.process import Process, served

SECRET = "Jm4ud8Qx2Lr7Vb1Wn6Ks0Ty5Hc9Pz3Ga"
KEY = new_key("ES384", "2026")
SCOPES = (
    "launch launch/patient launch/encounter openid fhirUser offline_access online_access "
    "patient/*.cruds user/*.cruds"
)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data = tmp_path_factory.mktemp("smart") / "data"
    with served(data, settings={"TELLONCE_REGISTRATION": "open"}) as process:
        fhir(process, "POST", "", ward())
        user(process, "ada", "patient", "Patient/ada")
        user(process, "ruth", "practitioner", "Practitioner/ruth")
        register(process, "page", redirect_uris=[REDIRECT], scope=SCOPES)
        proof = {"auth": "client_secret_basic", "secret": SECRET}
        register(process, "site", redirect_uris=[REDIRECT], scope=SCOPES, **proof)
        service = {"auth": "private_key_jwt", "grants": ["client_credentials"]}
        register(process, "lab", scope="system/*.cruds", jwks=key_set(KEY), **service)
        yield process


@pytest.fixture
def page(server: Process) -> App:
    """A public app."""
    return App(server, "page")


@pytest.fixture
def lab(server: Process) -> Backend:
    """A backend service."""
    return Backend(server.base_url, "lab", KEY, "ES384")


@pytest.fixture
def site(server: Process) -> App:
    """An app with a secret."""
    return App(server, "site", SECRET)
