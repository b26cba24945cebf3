"""What the consent page says, and offers instead."""

import pytest

from server.access.plain import describe, offers
from server.access.scopes import Scope, parse
from server.fhir import definitions

OBSERVATION = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION = "http://terminology.hl7.org/CodeSystem/condition-category"
US_CORE = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"


def scope(text: str) -> Scope:
    (found,) = parse(text).resources
    return found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient/Patient.rs", "see your name, birth date and contact details"),
        ("patient/Observation.rs?category=laboratory", "see your laboratory results"),
        (
            f"patient/Observation.rs?category={OBSERVATION}|laboratory",
            "see your laboratory results",
        ),
        ("patient/Appointment.c", "add your appointments"),
        ("patient/*.rs", "see everything in your record"),
        ("patient/*.cruds", "see, add, change and delete everything in your record"),
        ("patient/Practitioner.r", "see clinicians that your record mentions"),
        ("patient/Questionnaire.r", "see empty questionnaires"),
        (
            "patient/Observation.rs?category=laboratory&status=final",
            "see your laboratory results, where status is final",
        ),
        (
            "user/Condition.rs",
            "see health problems and diagnoses of the patients whose records you may open",
        ),
        ("user/*.rs", "see everything that you may see"),
        (
            "system/Observation.c",
            (
                "add test results, vital signs and other observations of every patient, "
                "without a person being there"
            ),
        ),
        ("patient/MolecularSequence.r", "see your resources of the type MolecularSequence"),
    ],
)
def test_a_scope_is_said_in_plain_words(text: str, said: str) -> None:
    assert describe(scope(text)) == said


def test_a_condition_that_is_not_said_by_the_words_is_never_left_out() -> None:
    told = describe(scope("patient/Observation.rs?category=laboratory&category=vital-signs"))
    assert told == "see your laboratory results, where category is vital-signs"


def test_the_record_of_somebody_else_is_called_so() -> None:
    assert describe(scope("patient/Immunization.rs"), "Maria's") == "see Maria's immunizations"


def test_every_other_scope_has_words() -> None:
    text = (
        "openid fhirUser profile launch launch/patient launch/encounter launch/imagingstudy "
        "offline_access online_access admin/tellonce introspect"
    )
    assert [describe(one) for one in parse(text).others] == [
        "know who you are",
        "know which person of the record you are",
        "know your name",
        "know what you were working on when you opened it",
        "know which patient's record you chose",
        "know which visit you chose",
        "know which imagingstudy you chose",
        "keep its access when you are not using it, until you remove it",
        "keep its access for as long as you are logged in",
        "administer this server: users, apps and access",
        "ask whether a token of this server is valid",
    ]


def test_every_type_has_words() -> None:
    for type_ in definitions.resource_types():
        assert describe(scope(f"patient/{type_}.rs")).startswith("see ")


@pytest.mark.smart(145, 370)
def test_observations_are_offered_by_category() -> None:
    assert [str(one) for one in offers(scope("patient/Observation.rs"))] == [
        f"patient/Observation.rs?category={OBSERVATION}|vital-signs",
        f"patient/Observation.rs?category={OBSERVATION}|laboratory",
        f"patient/Observation.rs?category={OBSERVATION}|social-history",
        f"patient/Observation.rs?category={OBSERVATION}|survey",
    ]


def test_conditions_are_offered_by_category_for_reading_only() -> None:
    assert [str(one) for one in offers(scope("patient/Condition.cruds"))] == [
        f"patient/Condition.rs?category={CONDITION}|encounter-diagnosis",
        f"patient/Condition.rs?category={CONDITION}|problem-list-item",
        f"patient/Condition.rs?category={US_CORE}|health-concern",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation.rs?category=laboratory",
        "patient/Observation.c",
        "patient/Patient.rs",
        "patient/*.rs",
        "system/Observation.rs",
    ],
)
def test_nothing_is_offered_for_other_scopes(text: str) -> None:
    assert offers(scope(text)) == ()


def test_every_offer_is_narrower_than_what_it_stands_for() -> None:
    for text in ("patient/Observation.read", "user/Condition.cruds"):
        asked = scope(text)
        assert all(asked.covers(offer) and not offer.covers(asked) for offer in offers(asked))
