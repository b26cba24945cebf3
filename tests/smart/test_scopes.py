"""What scopes allow, over HTTP.  SMART scopes-and-launch-context.html."""

from typing import Any

import pytest

from tests.clients.backend import Backend
from tests.smart.app import App

VITAL = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"


def observation(value: int = 70, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": "Patient/ada"},
        "valueInteger": value,
        **more,
    }


@pytest.mark.smart(127, 128, 369)
@pytest.mark.parametrize(
    ("scope", "read", "create"),
    [
        ("patient/Observation.read", 200, 403),
        ("patient/Observation.write", 403, 201),
        ("patient/Observation.*", 200, 201),
        ("patient/*.read", 200, 403),
    ],
)
def test_scopes_of_version_1_mean_what_they_meant_and_are_echoed(
    page: App, scope: str, read: int, create: int
) -> None:
    said = page.tokens(scope, "ruth", choose="ada")
    token = said["access_token"]

    assert said["scope"] == scope
    assert page.call(token, "Observation").status_code == read
    assert page.call(token, "Observation", "POST", observation()).status_code == create


@pytest.mark.smart(129)
def test_letters_out_of_order_are_dropped(page: App) -> None:
    said = page.tokens("patient/Observation.sr patient/Patient.r")
    assert said["scope"] == "patient/Patient.r"


@pytest.mark.smart(370)
def test_a_granular_scope_reaches_its_category_only(page: App) -> None:
    scope = f"patient/Observation.rs?category={VITAL}"
    token = page.tokens(scope)["access_token"]
    other = observation(71, category=[{"coding": [{"system": "https://x.example", "code": "y"}]}])
    writer = page.tokens("patient/Observation.c")["access_token"]
    hidden = page.call(writer, "Observation", "POST", other).json()["id"]

    found = page.call(token, "Observation").json()["entry"]

    assert {"ada-pulse", "ada-weight"} <= {one["resource"]["id"] for one in found}
    assert hidden not in {one["resource"]["id"] for one in found}
    assert page.call(token, f"Observation/{hidden}").status_code in (403, 404)


@pytest.mark.smart(123)
def test_creating_by_update_needs_the_update_scope(lab: Backend) -> None:
    """Who is limited to a part of the record never chooses ids; a backend service is not."""
    made = {**observation(72), "id": "by-update"}
    statuses = [
        lab.call(lab.token(f"system/Observation.{letter}"), "Observation/by-update", "PUT", made)
        for letter in "cu"
    ]
    assert [one.status_code for one in statuses] == [403, 201]


@pytest.mark.smart(130)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_each_entry_of_a_bundle_needs_its_scope(page: App, kind: str) -> None:
    token = page.tokens("patient/Observation.rs", "ruth", choose="ada")["access_token"]
    bundle = {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"request": {"method": "GET", "url": "Observation/ada-pulse"}},
            {"request": {"method": "POST", "url": "Observation"}, "resource": observation(73)},
        ],
    }
    answer = page.call(token, "", "POST", bundle)
    if kind == "transaction":
        assert answer.status_code == 403
    else:
        statuses = [one["response"]["status"][:3] for one in answer.json()["entry"]]
        assert statuses == ["200", "403"]


@pytest.mark.smart(136, 138)
def test_patient_scopes_reach_one_patient_and_what_the_record_refers_to(page: App) -> None:
    token = page.tokens("patient/*.rs")["access_token"]

    assert page.call(token, "Patient/ada").status_code == 200
    assert page.call(token, "Practitioner/ruth").status_code == 200  # of Ada's visit
    absent = page.call(token, "Patient/nobody")
    other = page.call(token, "Patient/bob")
    assert other.status_code == absent.status_code == 404
    assert other.text.replace("bob", "nobody") == absent.text


@pytest.mark.smart(140, 368)
def test_user_scopes_reach_what_the_person_may_see(page: App) -> None:
    clinician = page.tokens("user/Patient.rs", "ruth")["access_token"]
    patient = page.tokens("user/Patient.rs", "ada")["access_token"]

    assert len(page.call(clinician, "Patient").json()["entry"]) == 2
    assert [one["resource"]["id"] for one in page.call(patient, "Patient").json()["entry"]] == [
        "ada"
    ]


@pytest.mark.smart(119, 245)
def test_a_scope_adds_nothing_to_what_the_person_may_do(page: App) -> None:
    token = page.tokens("patient/Observation.cruds")["access_token"]
    changed = {**observation(99), "id": "ada-pulse"}
    assert page.call(token, "Observation/ada-pulse", "PUT", changed).status_code == 403


@pytest.mark.smart(144, 389)
def test_a_wildcard_reaches_every_type(page: App) -> None:
    token = page.tokens("user/*.rs", "ruth")["access_token"]
    for type_ in ("Patient", "Observation", "Encounter", "Practitioner", "Basic"):
        assert page.call(token, type_).status_code == 200, type_


@pytest.mark.smart(244)
def test_a_type_that_does_not_exist_is_refused(page: App) -> None:
    token = page.tokens("user/*.rs", "ruth")["access_token"]
    assert page.call(token, "Nonsense").status_code == 404


@pytest.mark.smart(217)
def test_a_scope_of_another_name_is_left_out_and_never_granted(page: App) -> None:
    said = page.tokens("patient/Patient.r __other https://scopes.example/all")
    assert said["scope"] == "patient/Patient.r"
