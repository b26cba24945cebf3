"""What level L1 refuses and where, and what it must let pass.

Each broken resource is broken in one way.  The three that only an invariant forbids (level L2)
are accepted here, and are listed apart so that this is a decision and not an oversight.
"""

from typing import Any

import pytest

from server.fhir.json import dumps, loads
from server.validation import validate

Resource = dict[str, Any]

XHTML = "http://www.w3.org/1999/xhtml"
SCRIPT = f'<div xmlns="{XHTML}"><script>1</script></div>'


def patient(**elements: Any) -> Resource:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> Resource:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}


def extension(**elements: Any) -> Resource:
    return patient(extension=[{"url": "http://x", **elements}])


REFUSED: list[tuple[str, Resource, str, str]] = [
    ("unknown element", patient(foo=1), "structure", "Patient.foo"),
    ("code not in the binding", patient(gender="mal"), "code-invalid", "Patient.gender"),
    ("month 13", patient(birthDate="2020-13-45"), "value", "Patient.birthDate"),
    (
        "time in a date",
        patient(birthDate="2020-01-01T00:00:00Z"),
        "value",
        "Patient.birthDate",
    ),
    ("string for a boolean", patient(active="true"), "structure", "Patient.active"),
    ("number for a string", patient(language=5), "structure", "Patient.language"),
    ("empty array", patient(name=[]), "structure", "Patient.name"),
    ("empty object", patient(name=[{}]), "structure", "Patient.name[0]"),
    ("empty string", patient(language=""), "structure", "Patient.language"),
    ("null property", patient(gender=None), "structure", "Patient.gender"),
    ("object for an array", patient(name={"family": "x"}), "structure", "Patient.name"),
    (
        "array for an object",
        patient(maritalStatus=[{"text": "a"}]),
        "structure",
        "Patient.maritalStatus",
    ),
    (
        "required element missing",
        {"resourceType": "Observation", "code": {"text": "x"}},
        "required",
        "Observation.status",
    ),
    (
        "two of a choice",
        observation(valueString="a", valueBoolean=True),
        "structure",
        "Observation.value",
    ),
    (
        "wrong type of a choice",
        observation(valueAddress={"city": "x"}),
        "structure",
        "Observation.valueAddress",
    ),
    ("misspelt element", observation(status2=1), "structure", "Observation.status2"),
    (
        "status not in the binding",
        observation() | {"status": "finall"},
        "code-invalid",
        "Observation.status",
    ),
    (
        "reference to a type not allowed",
        observation(subject={"reference": "Observation/1"}),
        "value",
        "Observation.subject.reference",
    ),
    (
        "instant without zone",
        observation(issued="2020-01-01T00:00:00"),
        "value",
        "Observation.issued",
    ),
    (
        "dateTime with time but no zone or second",
        observation(effectiveDateTime="2020-01-01T10:00:00"),
        "value",
        "Observation.effective",
    ),
    ("zero for a positiveInt", patient(telecom=[{"rank": 0}]), "value", "Patient.telecom[0].rank"),
    ("id of 65 characters", patient(id="x" * 65), "value", "Patient.id"),
    ("id with a space", patient(id="a b"), "value", "Patient.id"),
    (
        "uri with a space",
        patient(identifier=[{"system": "http://a b"}]),
        "value",
        "Patient.identifier[0].system",
    ),
    ("not base64", patient(photo=[{"data": "***"}]), "value", "Patient.photo[0].data"),
    (
        "string for a decimal",
        observation(valueQuantity={"value": "1.0"}),
        "structure",
        "Observation.value.value",
    ),
    (
        "extension without url",
        patient(extension=[{"valueString": "a"}]),
        "required",
        "Patient.extension[0].url",
    ),
    (
        "script in the narrative",
        patient(text={"status": "generated", "div": SCRIPT}),
        "invalid",
        "Patient.text.div",
    ),
    (
        "contained in contained",
        patient(
            contained=[
                {
                    "resourceType": "Patient",
                    "id": "a",
                    "contained": [{"resourceType": "Patient", "id": "b"}],
                }
            ]
        ),
        "structure",
        "Patient.contained[0].contained",
    ),
    (
        "_given longer than given",
        patient(name=[{"given": ["a"], "_given": [None, {"id": "x"}]}]),
        "structure",
        "Patient.name[0].given",
    ),
    (
        "resource type of R4B",
        {"resourceType": "NutritionProduct", "status": "active"},
        "structure",
        "Resource.resourceType",
    ),
    (
        "data type of R4B",
        extension(valueCodeableReference={"concept": {"text": "a"}}),
        "structure",
        "Patient.extension[0].valueCodeableReference",
    ),
    ("only white space", patient(language=" "), "value", "Patient.language"),
]

INVARIANT_ONLY: list[tuple[str, Resource]] = [
    ("obs-6", observation(valueString="a", dataAbsentReason={"text": "x"})),
    ("pat-1", patient(contact=[{"relationship": [{"text": "x"}]}])),
    ("ext-1", extension(valueString="a", extension=[{"url": "y", "valueString": "b"}])),
]

VALID: list[tuple[str, Resource]] = [
    ("decimal with an exponent", observation(valueQuantity={"value": 1e3})),
    (
        "extension instead of a value",
        patient(_birthDate={"extension": [{"url": "http://x", "valueString": "a"}]}),
    ),
    (
        "null where _given has something",
        patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]),
    ),
    ("extension with Meta", extension(valueMeta={"tag": [{"code": "a"}]})),
    (
        "Evidence as R4 has it",
        {
            "resourceType": "Evidence",
            "status": "draft",
            "name": "x",
            "exposureBackground": {"reference": "EvidenceVariable/1"},
        },
    ),
    ("year only", patient(birthDate="1974")),
    ("year and month", observation(effectiveDateTime="2020-05")),
    ("leap second", observation(effectiveDateTime="2020-06-30T23:59:60Z")),
    ("nanoseconds", observation(issued="2020-01-01T00:00:00.123456789Z")),
]


def test_the_tables_hold_33_broken_3_invariant_and_9_valid_cases() -> None:
    assert (len(REFUSED), len(INVARIANT_ONLY), len(VALID)) == (33, 3, 9)


@pytest.mark.parametrize(
    ("resource", "code", "expression"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_broken_resource_is_refused_with_its_place(
    resource: Resource, code: str, expression: str
) -> None:
    issues = validate(loads(dumps(resource)))

    assert [(issue.code, issue.expression) for issue in issues] == [(code, (expression,))]


@pytest.mark.parametrize(
    "resource",
    [case[1] for case in VALID + INVARIANT_ONLY],
    ids=[case[0] for case in VALID + INVARIANT_ONLY],
)
def test_a_valid_resource_is_accepted(resource: Resource) -> None:
    assert validate(loads(dumps(resource))) == []
