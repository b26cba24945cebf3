"""The Python client fhirclient (SMART's own): its code flow, and what it reads with the token."""

from collections.abc import Iterator

import pytest
from fhirclient import client as smart
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient

from tests.browser.world import ward
from tests.smart.person import Person
from tests.smart.registered import fhir, register, user
from tests.system.process import Process, served

REDIRECT = "http://127.0.0.1:9/callback"
SECRET = "Jm4ud8Qx2Lr7Vb1Wn6Ks0Ty5Hc9Pz3Ga"
SCOPE = "launch/patient offline_access patient/Patient.r patient/Observation.rs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data = tmp_path_factory.mktemp("fhirclient") / "data"
    with served(data) as process:
        fhir(process, "POST", "", ward())
        user(process, "ada", "patient", "Patient/ada")
        register(process, "diary", redirect_uris=[REDIRECT], scope=SCOPE)
        proof = {"auth": "client_secret_basic", "secret": SECRET}
        register(process, "report", redirect_uris=[REDIRECT], scope=SCOPE, **proof)
        yield process


def connected(server: Process, app: str, secret: str | None = None) -> smart.FHIRClient:
    made = smart.FHIRClient(
        settings={
            "app_id": app,
            "app_secret": secret,
            "api_base": server.base_url,
            "redirect_uri": REDIRECT,
            "scope": SCOPE,
        }
    )
    assert not made.ready
    assert not made.prepare()  # it has to ask the person first
    with Person(server.base_url.removesuffix("/fhir"), "ada") as person:
        told = person.authorize(made.authorize_url, REDIRECT)
    made.handle_callback(f"{REDIRECT}?code={told['code']}&state={told['state']}")
    return made


@pytest.mark.smart(14, 31, 53, 57, 59, 355)
def test_fhirclient_completes_its_code_flow(server: Process) -> None:
    """It finds the addresses in the CapabilityStatement only, and sends S256 (since 4.4)."""
    app = connected(server, "diary")

    assert app.ready
    assert app.patient_id == "ada"
    assert Patient.read("ada", app.server).name[0].family == "Lovelace"


@pytest.mark.smart(136, 367)
def test_fhirclient_finds_the_patients_own_and_nobody_elses(server: Process) -> None:
    app = connected(server, "diary")

    found = Observation.where({}).perform_resources_iter(app.server)

    assert sorted(one.id for one in found) == ["ada-pulse", "ada-weight"]


@pytest.mark.smart(101, 356, 365)
def test_fhirclient_refreshes_as_a_client_with_a_secret(server: Process) -> None:
    app = connected(server, "report", SECRET)
    before = app.server.auth.access_token

    assert app.reauthorize()

    assert app.server.auth.access_token != before
    assert Patient.read("ada", app.server).birthDate.isostring == "1985-12-10"


def test_fhirclient_keeps_its_state_over_a_restart(server: Process) -> None:
    state = connected(server, "diary").state

    again = smart.FHIRClient(state=state)

    assert Patient.read("ada", again.server).gender == "female"
