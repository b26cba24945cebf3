"""A person, a browser, the example app with npm's fhirclient, and a real server."""

from collections.abc import Callable
from typing import Any

import pytest

Seen = Callable[[str], dict[str, Any]]

JOURNEYS = [
    "patientByKeyboard",
    "patientAdds",
    "patientRefuses",
    "clinicianLaunches",
    "whoOpened",
    "strangers",
]
PAGES = {
    "patientByKeyboard": ["app: start", "login", "login refused", "consent", "app: connected"],
    "patientAdds": ["apps", "home", "logged out"],
    "clinicianLaunches": [
        "choose an app",
        "choose a patient",
        "choose a visit",
        "app: during a visit",
    ],
    "whoOpened": ["opened"],
    "strangers": ["unknown app"],
}


@pytest.mark.smart(48, 53, 164, 165, 348, 353, 363, 367)
def test_a_patient_logs_in_and_consents_by_the_keyboard_alone(seen: Seen) -> None:
    facts = seen("patientByKeyboard")

    assert facts["patient"] == "ada"
    assert facts["name"] == "Ada Lovelace"
    assert facts["observations"] == [
        "Pulse\n64 /min\n2026-03-01",
        "Weight\n61.5 kg\n2026-02-01",
    ]


def test_a_wrong_password_is_told_without_saying_what_was_wrong(seen: Seen) -> None:
    assert "The name or the password is not right." in seen("patientByKeyboard")["alert"]


@pytest.mark.smart(78, 79, 145)
def test_what_was_unticked_is_not_granted(seen: Seen) -> None:
    facts = seen("patientByKeyboard")

    assert "patient/Observation.rs" in facts["scope"].split()
    assert "patient/Observation.c" not in facts["scope"]
    assert not facts["mayAdd"]


@pytest.mark.smart(136)
def test_another_patient_is_not_there(seen: Seen) -> None:
    assert seen("patientByKeyboard")["foreign"] == 404


@pytest.mark.smart(17, 370)
def test_a_patient_adds_what_was_measured_at_home(seen: Seen) -> None:
    facts = seen("patientAdds")

    assert facts["before"].startswith("Already known: 61.5 kg (2026-02-01).")
    assert facts["after"].startswith("Already known: 60.2 kg")
    assert facts["newest"].startswith("Weight\n60.2 kg\n")
    assert facts["newest"].endswith("told by the patient")


@pytest.mark.smart(101, 116, 365)
def test_the_token_is_refreshed_as_npms_fhirclient_asks(seen: Seen) -> None:
    """It sends no client_id with the refresh token of a public client."""
    facts = seen("patientAdds")
    assert (facts["refreshed"], facts["rotated"], facts["status"]) == (True, True, 200)


@pytest.mark.smart(200, 203, 209, 358)
def test_the_app_learns_who_the_person_is(seen: Seen) -> None:
    assert seen("patientAdds")["fhirUser"] == "Patient/ada"


def test_taking_access_away_works_on_the_apps_next_request(seen: Seen) -> None:
    facts = seen("patientAdds")
    assert "Told once" in facts["listed"]
    assert facts["revoked"] in (400, 401)  # the refresh token that is then tried is refused, too
    assert "No app may open a record in your name." in facts["left"]


def test_after_that_the_app_can_ask_again(seen: Seen) -> None:
    assert seen("patientAdds")["again"] == "consent"


def test_after_logging_out_pages_ask_for_a_login(seen: Seen) -> None:
    assert seen("patientAdds")["loggedOut"] == "/auth/login"


@pytest.mark.smart(54)
def test_a_patient_who_says_no_shares_nothing(seen: Seen) -> None:
    assert seen("patientRefuses")["said"] == "You said no. Nothing was shared."


@pytest.mark.smart(100, 171, 351, 352, 359, 361, 362, 366)
def test_a_clinician_opens_the_app_from_the_record_during_a_visit(seen: Seen) -> None:
    facts = seen("clinicianLaunches")

    assert facts["name"] == "Ada Lovelace"
    assert facts["context"] == "Opened during a visit: Cardiology (in-progress)"
    assert facts["encounter"] == "visit"
    assert facts["banner"] is True
    assert facts["refreshed"]
    assert not facts["mayAdd"]


def test_the_clinician_sees_what_the_patient_told(seen: Seen) -> None:
    assert any("60.2 kg" in one for one in seen("clinicianLaunches")["observations"])


def test_the_patient_sees_who_opened_the_record(seen: Seen) -> None:
    assert "Ruiz" in seen("whoOpened")["opened"]


def test_pages_cannot_be_framed(seen: Seen) -> None:
    assert seen("frames")["inside"] == "chrome-error://chromewebdata/"


def test_an_unknown_app_is_told_on_a_page_and_nowhere_else(seen: Seen) -> None:
    facts = seen("strangers")
    assert (facts["status"], facts["at"]) == (400, "/auth/authorize")
    assert facts["heading"]


@pytest.mark.parametrize(
    ("journey", "page"), [(journey, page) for journey, pages in PAGES.items() for page in pages]
)
def test_a_page_is_for_everybody(seen: Seen, journey: str, page: str) -> None:
    """No grave finding of axe in light or dark, nothing beyond 320 pixels, a title, a language."""
    looked = seen(journey)["pages"][page]

    assert looked["violations"] == []
    assert looked["overflow"] <= 0
    assert looked["lang"] == "en"
    assert looked["title"]


def test_pages_of_the_server_have_no_script(seen: Seen) -> None:
    scripts = {
        page: looked["scripts"]
        for journey in PAGES
        for page, looked in seen(journey)["pages"].items()
        if not page.startswith("app: ")
    }
    assert set(scripts.values()) == {0}


@pytest.mark.parametrize("journey", JOURNEYS)
def test_the_browser_complains_about_nothing(seen: Seen, journey: str) -> None:
    """Neither of a script's error, nor of something that the content security policy forbids."""
    assert seen(journey)["complaints"] == []
