"""What a launch hands to the app.  SMART scopes-and-launch-context.html."""

from typing import Any

import httpx
import pytest

from tests.smart.app import App

ASKED = "launch patient/Patient.r patient/Observation.rs"


def handle(app: App, **context: Any) -> httpx.Response:
    """Ask for a launch as a record system does, for Ruth."""
    return httpx.post(
        f"{app.root}/auth/launch",
        json={"client": app.client_id, "user": "ruth", **context},
        headers={"Authorization": f"Bearer {app.server.token}"},
    )


def launched(app: App, **context: Any) -> dict[str, Any]:
    made = handle(app, **context)
    assert made.status_code == 200, made.text
    return app.tokens(ASKED, "ruth", launch=made.json()["launch"])


@pytest.mark.smart(27, 73, 83, 149, 168, 169, 170, 171, 173, 174, 176, 277, 352, 359, 361, 362)
def test_a_launch_brings_its_context_beside_the_token(page: App) -> None:
    said = launched(
        page,
        patient="ada",
        encounter="visit",
        intent="reconcile-medications",
        tenant="main-street",
        need_patient_banner=False,
    )
    context = {
        name: said[name]
        for name in ("patient", "encounter", "intent", "tenant", "need_patient_banner")
    }
    assert context == {
        "patient": "ada",
        "encounter": "visit",
        "intent": "reconcile-medications",
        "tenant": "main-street",
        "need_patient_banner": False,
    }


FITTING = [
    {"reference": "Observation/ada-pulse"},
    {"reference": "Observation/ada-weight", "role": "https://roles.example/baseline"},
    {"reference": "Patient/bob", "role": "https://roles.example/twin"},
    {"canonical": "https://forms.example/Questionnaire/phq-9|2.1", "type": "Questionnaire"},
    {
        "identifier": {"system": "https://orders.example", "value": "A-17"},
        "type": "ServiceRequest",
        "role": "launch",
    },
]


@pytest.mark.smart(172, 177, 178, 179, 180, 181, 182, 183, 184, 186, 187, 189, 192)
def test_further_context_is_handed_on_as_it_was_given(page: App) -> None:
    assert launched(page, patient="ada", fhirContext=FITTING)["fhirContext"] == FITTING


@pytest.mark.smart(177, 178, 188, 190)
@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"reference": "Patient/bob"}, id="a patient without a role"),
        pytest.param({"reference": "Encounter/visit", "role": "launch"}, id="an encounter"),
        pytest.param({"type": "Questionnaire"}, id="nothing that is named"),
        pytest.param({"reference": "Observation/ada-pulse", "role": "mine"}, id="a relative role"),
        pytest.param({"reference": "Observation/ada-pulse", "role": ""}, id="an empty role"),
    ],
)
def test_context_that_smart_forbids_is_refused(page: App, item: dict[str, str]) -> None:
    assert handle(page, patient="ada", fhirContext=[item]).status_code == 400


@pytest.mark.smart(164, 165, 170)
def test_a_patient_scope_puts_a_patient_in_context(page: App) -> None:
    said = page.tokens("patient/Observation.rs", "ruth", choose="bob")
    assert said["patient"] == "bob"
    found = page.call(said["access_token"], "Observation").json()
    assert [one["resource"]["id"] for one in found["entry"]] == ["bob-pulse"]


@pytest.mark.smart(167, 363, 364)
def test_an_app_that_starts_by_itself_gets_the_visit_that_it_asks_for(page: App) -> None:
    said = page.tokens(
        "launch/patient launch/encounter patient/Encounter.r", "ruth", choose="ada visit"
    )
    assert (said["patient"], said["encounter"]) == ("ada", "visit")


@pytest.mark.smart(159, 163)
def test_a_role_that_is_not_known_changes_nothing(page: App) -> None:
    said = page.tokens("launch/patient?role=https://roles.example/x patient/Patient.r")
    assert said["patient"] == "ada"


def test_a_launch_works_once(page: App) -> None:
    launch = handle(page, patient="ada").json()["launch"]
    page.tokens(ASKED, "ruth", launch=launch)
    assert page.ask(ASKED, "ruth", launch=launch)["error"] == "invalid_request"
