from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.fhir import definitions
from server.fhir.errors import InvalidResource, Issue
from server.fhir.json import dumps, loads
from server.validation import check, validate
from tests.pace import cost_s

Resource = dict[str, Any]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)

TEMPLATE: Resource = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "text": {"status": "generated", "div": "<div>"},
                "contained": [{"resourceType": "Patient", "id": "p", "meta": {"versionId": "1"}}],
                "category": [{"coding": [{"system": "http://x", "code": "x"}]}],
                "code": {"text": "x", "_text": {"extension": [{"url": "http://x"}]}},
                "subject": {"reference": "#p", "type": "Patient"},
                "_effectiveDateTime": {"id": "a"},
                "valueQuantity": {"value": 1, "code": "mg"},
                "component": [{"code": {"text": "y"}, "referenceRange": [{"text": "z"}]}],
            }
        },
        {
            "resource": {
                "resourceType": "AllergyIntolerance",
                "clinicalStatus": {"coding": [{"system": "http://x", "code": "active"}]},
                "patient": {"reference": "Patient/1"},
            }
        },
        {"resource": {"resourceType": "Patient", "name": [{"given": ["a"], "_given": [None]}]}},
    ],
}


def patient(**elements: Any) -> Resource:
    return {"resourceType": "Patient", **elements}


def found(resource: Any) -> list[tuple[str, str]]:
    return [(issue.code, *issue.expression) for issue in validate(resource)]  # type: ignore[misc]


def test_all_issues_are_reported_at_once() -> None:
    broken = patient(gender="x", birthDate="2021-02-30", name=[{"given": ["a", ""]}, {"use": "y"}])

    assert found(broken) == [
        ("code-invalid", "Patient.gender"),
        ("value", "Patient.birthDate"),
        ("structure", "Patient.name[0].given[1]"),
        ("code-invalid", "Patient.name[1].use"),
    ]


def test_an_issue_inside_a_bundle_names_its_entry() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"resource": patient()},
            {"resource": {"resourceType": "Nothing"}},
            {"resource": {"resourceType": "Observation", "code": {"foo": 1}}},
            {"resource": {}},
        ],
    }

    assert found(bundle) == [
        ("structure", "Bundle.entry[1].resource.resourceType"),
        ("structure", "Bundle.entry[2].resource.code.foo"),
        ("required", "Bundle.entry[2].resource.status"),
        ("required", "Bundle.entry[3].resource.resourceType"),
    ]


@pytest.mark.parametrize(
    ("value", "code", "expression"),
    [
        ([], "structure", "Resource"),
        ("Patient", "structure", "Resource"),
        (None, "structure", "Resource"),
        ({}, "required", "Resource.resourceType"),
        ({"resourceType": 1}, "structure", "Resource.resourceType"),
        ({"resourceType": "Resource"}, "structure", "Resource.resourceType"),
        ({"resourceType": "DomainResource"}, "structure", "Resource.resourceType"),
        ({"resourceType": "HumanName", "family": "x"}, "structure", "Resource.resourceType"),
    ],
)
def test_what_is_no_resource_at_all_is_said_to_be_none(
    value: Any, code: str, expression: str
) -> None:
    assert found(value) == [(code, expression)]


def test_a_required_element_may_have_extensions_only() -> None:
    observation = {
        "resourceType": "Observation",
        "_status": {"extension": [{"url": "http://x", "valueCode": "unknown"}]},
        "code": {"text": "x"},
    }

    assert found(observation) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ({"_given": [{"id": "a"}]}, []),
        ({"given": ["a", "b"], "_given": [None, {"id": "x"}]}, []),
        ({"given": ["a", None]}, [("structure", "Patient.name[0].given[1]")]),
        ({"given": ["a"], "_given": []}, [("structure", "Patient.name[0].given")]),
        ({"given": ["a"], "_given": {"id": "x"}}, [("structure", "Patient.name[0].given")]),
        ({"given": ["a", "b"], "_given": [None]}, [("structure", "Patient.name[0].given")]),
        ({"_given": [None]}, [("structure", "Patient.name[0].given[0]")]),
        (
            {"given": [None], "_given": [None]},
            [("structure", "Patient.name[0].given[0]"), ("structure", "Patient.name[0].given[0]")],
        ),
        (
            {"given": ["a"], "_given": [{"extension": [{"url": "x", "valueFoo": 1}]}]},
            [("structure", "Patient.name[0].given[0].extension[0].valueFoo")],
        ),
        ({"_family": {}}, [("structure", "Patient.name[0].family")]),
        ({"_family": {"value": "x"}}, [("structure", "Patient.name[0].family.value")]),
        ({"family": "x", "_period": {"id": "x"}}, [("structure", "Patient.name[0]._period")]),
        ({"use": "usual", "resourceType": "X"}, [("structure", "Patient.name[0].resourceType")]),
    ],
)  # fmt: skip
def test_underscored_properties_go_with_their_primitives(
    name: Resource, expected: list[tuple[str, str]]
) -> None:
    assert found(patient(name=[name])) == expected


def test_two_of_a_choice_are_found_behind_underscores_too() -> None:
    assert found(patient(deceasedBoolean=True, _deceasedDateTime={"id": "x"})) == [
        ("structure", "Patient.deceased")
    ]
    assert found(patient(deceasedBoolean=True, _deceasedBoolean={"id": "x"})) == []


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/1"},
        {"reference": "http://x.org/fhir/Patient/1/_history/2"},
        {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
        {"reference": "Patient?identifier=http://x|1"},
        {"reference": "http://x.org/something/else"},
        {"reference": "#p"},
        {"reference": "#missing"},
        {"type": "Patient", "identifier": {"value": "1"}},
        {"type": "http://x.org/my-type", "display": "x"},
    ],
)
def test_references_that_may_be_right_are_accepted(reference: Resource) -> None:
    condition = {
        "resourceType": "Condition",
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "subject": reference,
    }

    assert found(condition) == []


@pytest.mark.parametrize(
    ("reference", "expression"),
    [
        ({"reference": "Location/1"}, "Condition.subject.reference"),
        ({"reference": "http://x.org/fhir/Location/1/_history/2"}, "Condition.subject.reference"),
        ({"reference": "Location?name=x"}, "Condition.subject.reference"),
        ({"reference": "#l"}, "Condition.subject.reference"),
        ({"reference": "#"}, "Condition.subject.reference"),
        ({"type": "Location", "display": "x"}, "Condition.subject.type"),
    ],
)
def test_references_to_types_that_are_not_allowed_are_refused(
    reference: Resource, expression: str
) -> None:
    condition = {
        "resourceType": "Condition",
        "contained": [{"resourceType": "Location", "id": "l"}],
        "subject": reference,
    }

    assert found(condition) == [("value", expression)]


@pytest.mark.parametrize("part", ["/AA?", "/AA/a/_history/"])
def test_a_hostile_reference_takes_linear_time(part: str) -> None:
    """The match of the whole text looked at its rest again from every slash: minutes for 500 kB."""
    literal = "http://x" + part * 30_000 + " "
    resource = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}}

    def check() -> None:
        assert validate({**resource, "subject": {"reference": literal}}) == []

    assert cost_s(check, 1.0) < 1.0


def test_many_references_to_many_contained_resources_take_linear_time() -> None:
    """10,000 of each were 100 million comparisons, half a minute in which nobody was served."""
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "contained": [{"resourceType": "Patient", "id": f"p{n}"} for n in range(10_000)],
        "performer": [{"reference": "#p9999"}] * 10_000,
    }

    def check() -> None:
        assert validate(resource) == []

    assert cost_s(check, 2.0) < 2.0


def test_a_contained_resource_has_an_id_and_no_life_of_its_own() -> None:
    meta = {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z", "security": [{"code": "R"}]}

    assert found(patient(contained=[{"resourceType": "Organization", "meta": meta}])) == [
        ("required", "Patient.contained[0].id"),
        ("structure", "Patient.contained[0].meta.versionId"),
        ("structure", "Patient.contained[0].meta.lastUpdated"),
        ("structure", "Patient.contained[0].meta.security"),
    ]


@pytest.mark.parametrize(
    ("concept", "accepted"),
    [
        ({"coding": [{"system": "CLINICAL", "code": "active"}]}, True),
        ({"coding": [{"code": "x"}, {"system": "CLINICAL", "code": "active"}]}, True),
        ({"extension": [{"url": "http://x", "valueCode": "unknown"}]}, True),
        ({"coding": [{"system": "CLINICAL", "code": "x"}]}, False),
        ({"coding": [{"code": "active"}]}, False),
        ({"text": "active"}, False),
    ],
)
def test_a_concept_with_a_required_binding_needs_one_coding_of_it(
    concept: Resource, accepted: bool
) -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    condition = {
        "resourceType": "Condition",
        "clinicalStatus": loads(dumps(concept).replace(b"CLINICAL", system.encode())),
        "subject": {"reference": "Patient/1"},
    }

    expected = [] if accepted else [("code-invalid", "Condition.clinicalStatus")]
    assert found(condition) == expected


def test_a_currency_is_three_capital_letters() -> None:
    def invoice(currency: str) -> Resource:
        total = {"value": loads(b"1.00"), "currency": currency}
        return {"resourceType": "Invoice", "status": "issued", "totalNet": total}

    assert found(invoice("EUR")) == []
    assert found(invoice("euro")) == [("code-invalid", "Invoice.totalNet.currency")]


def test_after_100_issues_a_note_says_that_there_may_be_more() -> None:
    issues = validate(patient(name=[{"use": "x"}] * 100_000))

    assert len(issues) == 101
    assert issues[99].expression == ("Patient.name[99].use",)
    assert issues[100] == Issue(
        "information", "incomplete", "only the first 100 issues are reported; there may be more"
    )


def test_hostile_nesting_is_an_issue_and_not_a_crash() -> None:
    extension: Resource = {"url": "http://x", "valueBoolean": True}
    for _ in range(5_000):
        extension = {"url": "http://x", "extension": [extension]}

    (issue,) = validate(patient(extension=[extension]))

    assert issue.diagnostics == "more than 64 levels"


def test_every_issue_gets_its_line_and_column() -> None:
    raw = b'{\n "resourceType": "Patient",\n "gender": "x",\n "name": [\n  {"use": 5}\n ]\n}'

    with pytest.raises(InvalidResource) as refused:
        check(loads(raw), raw)

    assert [(i.expression[0], i.line, i.column) for i in refused.value.issues] == [
        ("Patient.gender", 3, 2),
        ("Patient.name[0].use", 5, 4),
    ]
    assert refused.value.diagnostics == (
        "2 issues; the first: 'x' is not a code of "
        "http://hl7.org/fhir/ValueSet/administrative-gender, which is required (Patient.gender)"
    )


def test_a_missing_element_gets_the_line_of_what_it_is_missing_from() -> None:
    raw = b"""{"resourceType": "Bundle", "type": "batch",
        "entry": [{"link": [{"relation": "self"}]},
            {"search": {}}]}"""

    with pytest.raises(InvalidResource) as refused:
        check(loads(raw), raw)

    assert [(i.expression[0], i.line) for i in refused.value.issues] == [
        ("Bundle.entry[0].link[0].url", 2),
        ("Bundle.entry[1].search", 3),
    ]


def test_a_valid_resource_passes_check() -> None:
    check(patient(active=True), b'{"resourceType":"Patient","active":true}')


def test_every_type_and_backbone_can_be_validated() -> None:
    """Each shape is compiled once: an unknown property makes every type's shape."""
    for type_ in definitions.resource_types():
        codes = [issue.code for issue in validate({"resourceType": type_, "unknownProperty": 1})]
        assert codes[0] == "structure"
        assert set(codes[1:]) <= {"required"}


@given(json_values)
def test_any_json_value_is_answered(value: Any) -> None:
    assert isinstance(validate(value), list)


@settings(max_examples=300)
@given(st.data())
def test_a_resource_with_any_value_anywhere_is_answered(data: st.DataObject) -> None:
    resource = loads(dumps(TEMPLATE))
    at: Any = resource
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        inner = at[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        at = inner
    at[key] = data.draw(json_values)
    raw = dumps(resource)

    try:
        check(loads(raw), raw)
    except InvalidResource as refused:
        located = [issue for issue in refused.issues if issue.expression]
        assert all(issue.line == 1 for issue in located)
