"""What a token opens: scopes and policy together.  SMART App Launch 2.2.0."""

from dataclasses import replace

import pytest

from server.access.context import Permit
from server.access.permits import permits
from server.access.person import Person, role_of
from server.access.policy import Policy
from server.access.proxy import Proxied
from server.access.scopes import parse
from tests.access.records import DAY, NOON, Resource, lab, resource, seen

ANNA = Person("anna", ("patient",), "Patient/anna")
BERT = Person("bert", ("practitioner",), "Practitioner/bert")
LAB_APP = Person("lab-app", service=True)

CHILD = resource("Patient", "child", birthDate="2020-05-05")
RECORD: list[Resource] = [
    resource("Patient", "anna", link=[{"other": {"reference": "Patient/zoe"}, "type": "refer"}]),
    resource("Patient", "zoe", link=[{"other": {"reference": "Patient/anna"}, "type": "refer"}]),
    lab("anna-lab", "Patient/anna"),
    lab("anna-vital", "Patient/anna", category="vital-signs"),
    lab("zoe-lab", "Patient/zoe"),
    lab("anna-hiv", "Patient/anna", "HIV", "R"),
    lab("anna-very", "Patient/anna", "V"),
    lab("anna-notes", "Patient/anna", "PSYTHPN"),
    resource("Encounter", "e", subject="Patient/anna", serviceProvider="Organization/ward"),
    resource("Organization", "ward"),
    resource("Organization", "elsewhere"),
    resource("Group", "g", member=[{"entity": {"reference": "Patient/anna"}}]),
    resource("Task", "t", **{"for": "Patient/anna"}),
    resource("Provenance", "p", target=[{"reference": "Observation/anna-lab"}]),
    resource("Provenance", "q", target=[{"reference": "Observation/zoe-lab"}]),
    resource("Subscription", "s"),
]


def opened(
    policy: Policy,
    person: Person,
    scope: str,
    patient: str | None = None,
    *,
    now: int = NOON,
    doing: str = "read",
    record: list[Resource] = RECORD,
    role: str | None = None,
) -> set[str]:
    made = permits(policy, person, parse(scope), patient, now, role=role)
    return seen(made, record, doing)  # type: ignore[arg-type]


@pytest.mark.smart(136, 138, 367)
def test_a_patient_scope_opens_the_compartment_of_the_patient_in_context(policy: Policy) -> None:
    assert opened(policy, ANNA, "patient/*.rs", "Patient/anna") == {
        "Patient/anna",
        "Observation/anna-lab",
        "Observation/anna-vital",
        "Observation/anna-hiv",
        "Observation/anna-very",
        "Encounter/e",
        "Organization/ward",  # the Encounter refers to it
        "Task/t",
        "Provenance/p",
    }


def test_a_scope_for_one_type_opens_that_type_only(policy: Policy) -> None:
    assert opened(policy, ANNA, "patient/Patient.rs", "Patient/anna") == {"Patient/anna"}


def test_what_is_shared_is_open_where_what_the_token_opens_refers_to_it(policy: Policy) -> None:
    scope = "patient/Patient.rs patient/Organization.rs"
    assert opened(policy, ANNA, scope, "Patient/anna") == {"Patient/anna"}
    scope = "patient/Encounter.rs patient/Organization.rs"
    assert opened(policy, ANNA, scope, "Patient/anna") == {"Encounter/e", "Organization/ward"}


@pytest.mark.parametrize("type_", ["Questionnaire", "ValueSet", "CodeSystem", "ConceptMap"])
def test_forms_and_what_codes_mean_are_open_before_anything_refers_to_them(
    policy: Policy, type_: str
) -> None:
    record = [
        resource(type_, "open", status="active"),
        resource(type_, "draft", status="draft"),
        resource(type_, "very", "V", status="active"),
        resource(type_, "therapy", "PSYTHPN", status="active"),
    ]
    for scope in (f"patient/{type_}.r", "patient/*.rs", "user/*.rs"):
        found = opened(policy, ANNA, scope, "Patient/anna", record=record)
        assert found == {f"{type_}/open", f"{type_}/draft", f"{type_}/very"}, scope
    asked = f"patient/{type_}.rs?status=active"
    found = opened(policy, ANNA, asked, "Patient/anna", record=record)
    assert found == {f"{type_}/open", f"{type_}/very"}
    assert opened(policy, ANNA, "patient/Observation.rs", "Patient/anna", record=record) == set()
    assert opened(policy, ANNA, "patient/*.rs", None, record=record) == set()


def test_no_patient_writes_forms(policy: Policy) -> None:
    record = [resource("Questionnaire", "q", status="active")]
    for doing in ("create", "update", "delete"):
        assert not opened(
            policy, ANNA, "patient/*.cruds", "Patient/anna", doing=doing, record=record
        )


@pytest.mark.parametrize(
    ("person", "scope", "patient"),
    [
        (ANNA, "patient/*.rs", "Patient/anna"),
        (ANNA, "patient/Observation.rs patient/Provenance.rs", "Patient/anna"),
        (BERT, "patient/*.rs", "Patient/anna"),
        (Person("dora", ("practitioner",), None, ("Organization/ward",)), "user/*.rs", None),
        (
            Person("dora", ("practitioner",), None, ("Organization/ward",)),
            "user/Provenance.rs user/Observation.rs",
            None,
        ),
    ],
)
@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], True),
        (["Encounter/e"], True),
        (["Organization/elsewhere", "Binary/of-nobody", "Observation/none"], True),
        (["Observation/zoe-lab"], False),
        (["Patient/zoe"], False),
        (["Observation/anna-notes"], False),
    ],
)
def test_a_provenance_of_several_names_nobody_elses(
    policy: Policy,
    person: Person,
    scope: str,
    patient: str | None,
    others: list[str],
    found: bool,
) -> None:
    about = [{"reference": one} for one in ("Observation/anna-lab", *others)]
    record = [*RECORD, resource("Provenance", "several", target=about)]
    record.append(resource("Binary", "of-nobody"))
    assert ("Provenance/several" in opened(policy, person, scope, patient, record=record)) is found


def test_a_provenance_of_what_is_held_back_is_held_back(policy: Policy) -> None:
    url = "https://tellonce.org/fhir/StructureDefinition/release"
    at = [{"url": "at", "valueInstant": "2026-11-23T12:00:00Z"}]
    held = lab("held", "Patient/anna") | {"extension": [{"url": url, "extension": at}]}
    about = [{"reference": "Observation/anna-lab"}, {"reference": "Observation/held"}]
    record = [*RECORD, held, resource("Provenance", "both", target=about)]
    for now, found in ((NOON, False), (NOON + DAY, True)):
        seen_now = opened(policy, ANNA, "patient/*.rs", "Patient/anna", now=now, record=record)
        assert ("Provenance/both" in seen_now) is found


@pytest.mark.smart(139)
def test_a_link_to_another_patient_opens_nothing(policy: Policy) -> None:
    found = opened(policy, ANNA, "patient/Patient.rs user/Patient.rs", "Patient/anna")
    assert found == {"Patient/anna"}


@pytest.mark.smart(136)
def test_without_a_patient_in_context_a_patient_scope_opens_nothing(policy: Policy) -> None:
    assert permits(policy, ANNA, parse("patient/*.rs"), None, NOON) == ()


@pytest.mark.smart(119)
def test_the_patient_in_context_must_be_one_that_the_person_may_open(policy: Policy) -> None:
    assert permits(policy, ANNA, parse("patient/*.rs"), "Patient/zoe", NOON) == ()


@pytest.mark.parametrize("scope", ["", "openid fhirUser offline_access", "launch/patient"])
def test_a_token_without_a_scope_for_resources_opens_nothing(policy: Policy, scope: str) -> None:
    for person in (ANNA, BERT, LAB_APP):
        assert permits(policy, person, parse(scope), "Patient/anna", NOON) == ()


@pytest.mark.smart(370)
def test_a_granular_scope_opens_what_meets_its_condition(policy: Policy) -> None:
    scope = "patient/Observation.rs?category=vital-signs"
    assert opened(policy, ANNA, scope, "Patient/anna") == {"Observation/anna-vital"}


def test_granular_scopes_open_what_meets_any_of_them(policy: Policy) -> None:
    scope = (
        "patient/Observation.rs?category=vital-signs "
        "patient/Observation.rs?category=laboratory&_security=HIV"
    )
    found = {"Observation/anna-vital", "Observation/anna-hiv"}
    assert opened(policy, ANNA, scope, "Patient/anna") == found


@pytest.mark.parametrize(
    "query",
    [
        "subject.name=x",
        "_has:Provenance:target:agent=x",
        "code:in=http://x.test/vs",
        "code:below=http://x.test|1",
        "unknown=1",
        "_list=1",
        "_filter=status%20eq%20x",
        "_count=1",
        "date=tomorrow",
    ],
)
def test_a_scope_whose_condition_cannot_be_put_on_opens_nothing(policy: Policy, query: str) -> None:
    scope = parse(f"patient/Observation.rs?{query}")
    assert permits(policy, ANNA, scope, "Patient/anna", NOON) == ()


def test_psychotherapy_notes_stay_closed_to_the_patient(policy: Policy) -> None:
    assert "Observation/anna-notes" not in opened(policy, ANNA, "user/*.rs")


@pytest.mark.smart(140, 368)
def test_a_user_scope_opens_to_a_patient_the_own_record_only(policy: Policy) -> None:
    found = opened(policy, ANNA, "user/Observation.rs user/Group.rs")
    assert found == {
        "Observation/anna-lab",
        "Observation/anna-vital",
        "Observation/anna-hiv",
        "Observation/anna-very",
    }


@pytest.mark.smart(140, 368)
def test_a_user_scope_opens_to_a_clinician_every_patient(policy: Policy) -> None:
    found = opened(policy, BERT, "user/*.rs")
    assert {"Patient/anna", "Patient/zoe", "Observation/zoe-lab", "Group/g"} <= found
    assert "Organization/elsewhere" in found
    assert "Observation/anna-hiv" in found
    assert found.isdisjoint({"Observation/anna-very", "Observation/anna-notes"})


def test_a_patient_scope_opens_to_a_clinician_that_patient_only(policy: Policy) -> None:
    found = opened(policy, BERT, "patient/*.rs", "Patient/zoe")
    assert found == {"Patient/zoe", "Observation/zoe-lab", "Provenance/q"}


@pytest.mark.smart(142)
def test_a_system_scope_opens_the_whole_record_to_a_backend_service_alone(policy: Policy) -> None:
    whole = {f"{one['resourceType']}/{one['id']}" for one in RECORD}
    assert opened(policy, LAB_APP, "system/*.rs") == whole
    assert permits(policy, BERT, parse("system/*.rs"), None, NOON) == ()
    assert permits(policy, LAB_APP, parse("user/*.rs patient/*.rs"), "Patient/anna", NOON) == ()


def test_a_whole_record_is_one_permit(policy: Policy) -> None:
    (only,) = permits(policy, LAB_APP, parse("system/*.rs"), None, NOON)
    assert only == Permit("*", frozenset(("read", "search")))


def test_an_administrator_sees_no_clinical_data(policy: Policy) -> None:
    admin = Person("root", ("admin",))
    assert opened(policy, admin, "user/*.cruds") == {
        "Organization/ward",
        "Organization/elsewhere",
        "Subscription/s",
    }
    assert permits(policy, admin, parse("patient/*.rs"), "Patient/anna", NOON) == ()


@pytest.mark.smart(144)
def test_read_and_search_are_apart(policy: Policy) -> None:
    made = permits(policy, ANNA, parse("patient/*.s"), "Patient/anna", NOON)
    assert seen(made, RECORD, "read") == set()
    assert "Organization/ward" in seen(made, RECORD, "search")


@pytest.mark.parametrize(
    ("scope", "doing", "written"),
    [
        ("patient/*.cud", "create", {"Observation/o", "QuestionnaireResponse/hers"}),
        ("patient/*.c", "update", set()),
        ("patient/*.cud", "update", {"QuestionnaireResponse/hers"}),
        ("patient/*.cud", "delete", set()),
        ("patient/Observation.write", "create", {"Observation/o"}),
        ("patient/*.rs", "create", set()),
    ],
)
def test_a_patient_writes_what_the_policy_lists(
    policy: Policy, scope: str, doing: str, written: set[str]
) -> None:
    record = [
        lab("o", "Patient/anna"),
        lab("of-zoe", "Patient/zoe"),
        resource("Condition", "c", subject="Patient/anna"),
        resource("QuestionnaireResponse", "hers", subject="Patient/anna", author="Patient/anna"),
    ]
    assert opened(policy, ANNA, scope, "Patient/anna", doing=doing, record=record) == written


def test_answers_that_a_clinician_gave_are_not_the_patients_to_change(policy: Policy) -> None:
    of_bert = resource(
        "QuestionnaireResponse", "x", subject="Patient/anna", author="Practitioner/bert"
    )
    scope = "patient/QuestionnaireResponse.ru"
    assert opened(policy, ANNA, scope, "Patient/anna", doing="update", record=[of_bert]) == set()
    found = opened(policy, ANNA, scope, "Patient/anna", record=[of_bert])
    assert found == {"QuestionnaireResponse/x"}


def test_what_is_labelled_above_the_clearance_may_be_made_but_not_changed(policy: Policy) -> None:
    record = [lab("very", "Patient/anna", "V")]
    assert opened(policy, BERT, "user/*.cruds", doing="create", record=record) == {
        "Observation/very"
    }
    assert opened(policy, BERT, "user/*.cruds", doing="update", record=record) == set()


def test_a_result_that_is_held_back_is_open_to_clinicians_only(policy: Policy) -> None:
    url = "https://tellonce.org/fhir/StructureDefinition/release"
    at = [{"url": "at", "valueInstant": "2026-11-23T12:00:00Z"}]
    held = lab("held", "Patient/anna") | {"extension": [{"url": url, "extension": at}]}
    for now, found in ((NOON, set()), (NOON + DAY, {"Observation/held"})):
        assert opened(policy, ANNA, "user/*.rs", now=now, record=[held]) == found
    assert opened(policy, BERT, "user/*.rs", record=[held]) == {"Observation/held"}


@pytest.mark.parametrize(
    ("after", "released"), [(0, 0), (1, 0), (1_999_999, 0), (2_000_000, 2_000_000)]
)
def test_releases_count_from_every_second_second_on_and_never_early(
    policy: Policy, after: int, released: int
) -> None:
    made = permits(policy, MOTHER, parse("user/*.cruds"), None, NOON + after)
    assert {one.released for one in made} == {None, NOON + released}  # None: to create
    assert permits(policy, MOTHER, parse("user/*.rs"), None, NOON) == permits(
        policy, MOTHER, parse("user/*.rs"), None, NOON + 1_999_999
    )


@pytest.mark.parametrize("parts", [("at",), ("hold", "until")])
def test_what_is_released_within_the_two_seconds_is_seen_after_them(
    policy: Policy, parts: tuple[str, ...]
) -> None:
    url = "https://tellonce.org/fhir/StructureDefinition/release"
    said = [
        {"url": name, "valueInstant": "2026-11-22T12:00:00.001Z"}
        if name != "hold"
        else {"url": name, "valueString": "review"}
        for name in parts
    ]
    held = lab("held", "Patient/anna") | {"extension": [{"url": url, "extension": said}]}
    for after, found in ((0, 0), (500, 0), (1_000, 0), (1_999_999, 0), (2_000_000, 1)):
        seen_now = opened(policy, ANNA, "user/*.rs", now=NOON + after, record=[held])
        assert len(seen_now) == found


# -- departments ------------------------------------------------------------------------------

WARD = Person("dora", ("practitioner",), "Practitioner/dora", ("Organization/ward",))


def test_a_department_sees_the_patients_with_an_encounter_there(policy: Policy) -> None:
    found = opened(policy, WARD, "user/*.rs")
    assert found == {
        "Patient/anna",
        "Observation/anna-lab",
        "Observation/anna-vital",
        "Observation/anna-hiv",
        "Encounter/e",
        "Group/g",
        "Task/t",
        "Provenance/p",
        "Organization/ward",
        "Organization/elsewhere",
    }


def test_a_department_sees_the_files_of_its_patients(policy: Policy) -> None:
    files = [
        resource("Binary", "annas", securityContext="Patient/anna"),
        resource("Binary", "zoes", securityContext="Patient/zoe"),
        resource("Binary", "nobodys"),
    ]
    found = opened(policy, WARD, "user/Binary.rs", record=[*RECORD, *files])
    assert found == {"Binary/annas"}


def test_a_department_changes_the_record_of_its_own_patients_only(policy: Policy) -> None:
    found = opened(policy, WARD, "user/Observation.cruds", doing="update")
    assert found == {"Observation/anna-lab", "Observation/anna-vital", "Observation/anna-hiv"}


def test_an_encounter_at_a_location_of_the_department_counts(policy: Policy) -> None:
    place = [{"location": {"reference": "Location/bed"}}]
    record = [
        resource("Patient", "zoe"),
        lab("zoe-lab", "Patient/zoe"),
        resource("Encounter", "e", subject="Patient/zoe", location=place),
        resource("Location", "bed", managingOrganization="Organization/ward"),
    ]
    assert "Observation/zoe-lab" in opened(policy, WARD, "user/*.rs", record=record)


def test_an_encounter_above_the_clearance_opens_nothing_to_the_department(policy: Policy) -> None:
    record = [
        resource("Patient", "zoe"),
        resource("Encounter", "e", "V", subject="Patient/zoe", serviceProvider="Organization/ward"),
    ]
    assert opened(policy, WARD, "user/*.rs", record=record) == set()


def test_a_department_launches_an_app_for_its_own_patients_only(policy: Policy) -> None:
    assert "Observation/anna-lab" in opened(policy, WARD, "patient/*.rs", "Patient/anna")
    assert opened(policy, WARD, "patient/*.rs", "Patient/zoe") == set()


def test_a_department_may_register_a_new_patient(policy: Policy) -> None:
    record = [resource("Patient", "new"), lab("o", "Patient/new")]
    made = opened(policy, WARD, "user/*.cruds", doing="create", record=record)
    assert made == {"Patient/new"}


# -- proxies and roles ------------------------------------------------------------------------

GRANT = Proxied(
    "RelatedPerson/mother",
    "Patient/child",
    "parent",
    "patient/*.rs",
    related=resource("RelatedPerson", "mother", patient="Patient/child"),
    subject=CHILD,
)
MOTHER = Person("anna", ("patient",), "Patient/anna", proxies=(GRANT,))
OF_CHILD = [
    CHILD,
    lab("child-lab", "Patient/child"),
    lab("child-secret", "Patient/child", "SEX"),
    lab("child-very", "Patient/child", "V"),
    lab("anna-lab", "Patient/anna"),
]


def test_a_proxy_sees_the_record_acted_for_without_what_is_sensitive(policy: Policy) -> None:
    found = opened(policy, MOTHER, "patient/*.rs", "Patient/child", record=OF_CHILD)
    assert found == {"Patient/child", "Observation/child-lab"}


def test_a_proxy_sees_no_more_than_the_grant_says(policy: Policy) -> None:
    grant = Proxied(
        GRANT.related_person,
        GRANT.patient,
        "parent",
        "patient/Patient.r",
        related=GRANT.related,
        subject=CHILD,
    )
    person = Person("anna", ("patient",), "Patient/anna", proxies=(grant,))
    found = opened(policy, person, "patient/*.cruds", "Patient/child", record=OF_CHILD)
    assert found == {"Patient/child"}


def test_a_user_scope_opens_the_own_record_and_those_acted_for(policy: Policy) -> None:
    found = opened(policy, MOTHER, "user/Observation.rs", record=OF_CHILD)
    assert found == {"Observation/child-lab", "Observation/anna-lab"}


def test_in_the_own_record_a_proxy_sees_the_own_record_only(policy: Policy) -> None:
    found = opened(policy, MOTHER, "patient/*.rs", "Patient/anna", record=OF_CHILD)
    assert found == {"Observation/anna-lab"}


def test_a_proxy_changes_the_answers_that_the_proxy_gave(policy: Policy) -> None:
    grant = replace(GRANT, scope="patient/*.cruds")
    person = replace(MOTHER, fhir_user="Person/anna", roles=(), proxies=(grant,))
    authors = {"hers": "RelatedPerson/mother", "childs": "Patient/child"}
    record = [
        resource("QuestionnaireResponse", id_, subject="Patient/child", author=author)
        for id_, author in authors.items()
    ]
    found = opened(
        policy, person, "patient/*.cruds", "Patient/child", doing="update", record=record
    )
    assert found == {"QuestionnaireResponse/hers"}


@pytest.mark.parametrize(
    ("person", "patient", "role"),
    [
        (ANNA, None, "patient"),
        (BERT, "Patient/anna", "practitioner"),
        (MOTHER, "Patient/child", "proxy"),
        (MOTHER, "Patient/anna", "patient"),
        (LAB_APP, None, "system"),
        (Person("x", ("practitioner", "patient"), "Patient/x"), "Patient/x", "patient"),
        (Person("x", ("patient", "practitioner"), "Patient/x"), "Patient/y", "practitioner"),
        (Person("x", ("admin", "practitioner")), None, "practitioner"),
        (Person("x", (), "RelatedPerson/m", proxies=(GRANT,)), None, "proxy"),
        (Person("x", ("unknown",)), None, None),
    ],
)
def test_the_role_follows_the_patient_in_context(
    policy: Policy, person: Person, patient: str | None, role: str | None
) -> None:
    assert role_of(policy, person, patient) == role


def test_a_clinician_who_is_a_patient_is_one_where_the_token_says_so(policy: Policy) -> None:
    both = Person("x", ("practitioner", "patient"), "Patient/anna")
    assert "Observation/zoe-lab" in opened(policy, both, "user/*.rs")
    found = opened(policy, both, "user/Observation.rs", role="patient")
    assert "Observation/zoe-lab" not in found
    assert "Observation/anna-lab" in found


def test_a_role_that_the_person_does_not_have_opens_nothing(policy: Policy) -> None:
    assert permits(policy, ANNA, parse("user/*.rs"), None, NOON, role="practitioner") == ()


@pytest.mark.parametrize(
    ("person", "scope", "patient", "most"),
    [
        (ANNA, "patient/*.cruds", "Patient/anna", 8),
        (BERT, "user/*.cruds", None, 5),
        (BERT, "patient/*.rs", "Patient/anna", 4),
        (LAB_APP, "system/*.cruds", None, 3),
        (WARD, "user/*.cruds", None, 6),
        (WARD, "patient/*.rs", "Patient/anna", 4),
    ],
)
def test_permits_are_few(
    policy: Policy, person: Person, scope: str, patient: str | None, most: int
) -> None:
    assert len(permits(policy, person, parse(scope), patient, NOON)) <= most
