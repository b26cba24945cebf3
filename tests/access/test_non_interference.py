"""What a patient sees does not depend on any other patient's data: asked of the oracle.

The same property over HTTP, on every store and on every path, is in ``tests/security``.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.scopes import parse
from tests.access.records import NOON, Resource, resource, seen

POLICY = load_policy()
ANNA = Person("anna", ("patient",), "Patient/anna")
SHARED = [
    resource("Practitioner", "bert"),
    resource("Organization", "ward"),
    resource("Location", "bed", managingOrganization="Organization/ward"),
    resource("Medication", "pill"),
]

LABELS = st.lists(st.sampled_from(("R", "V", "HIV", "PSYTHPN")), max_size=2, unique=True)
IDS = st.sampled_from("abcd")


@st.composite
def belongings(draw: st.DrawFn, patient: str) -> Resource:
    """Return something of a patient, which may refer to anything of anybody."""
    id_ = f"{patient}-{draw(IDS)}"
    type_ = draw(st.sampled_from(("Observation", "Encounter", "Task", "Provenance", "Group")))
    elements: dict[str, Any] = {}
    others = ("anna", "zoe")
    at = f"Observation/{draw(st.sampled_from(others))}-{draw(IDS)}"
    match type_:
        case "Observation":
            who = draw(st.sampled_from(("Practitioner/bert", "Organization/ward")))
            elements = {"subject": f"Patient/{patient}", "performer": [{"reference": who}]}
            elements["hasMember"] = [{"reference": at}]
        case "Encounter":
            place = [{"location": {"reference": "Location/bed"}}]
            elements = {"subject": f"Patient/{patient}", "location": place}
        case "Task":
            elements = {"for": f"Patient/{patient}", "focus": at}
        case "Provenance":
            elements = {"target": [{"reference": f"Observation/{id_}"}]}
        case _:
            member = [{"entity": {"reference": f"Patient/{one}"}} for one in others]
            elements = {"member": member}
    return resource(type_, id_, *draw(LABELS), **elements)


def distinct(of: list[Resource]) -> list[Resource]:
    return list({(one["resourceType"], one["id"]): one for one in of}.values())


ANNAS = st.lists(belongings("anna"), max_size=5).map(distinct)
ZOES = st.lists(belongings("zoe"), max_size=5).map(distinct)
SCOPES = st.sampled_from(
    ("patient/*.rs", "user/*.rs", "patient/Observation.rs patient/Practitioner.rs", "user/Task.rs")
)


@settings(max_examples=100, deadline=None)
@given(ANNAS, ZOES, SCOPES)
def test_what_a_patient_sees_is_the_same_whatever_others_have(
    annas: list[Resource], zoes: list[Resource], scope: str
) -> None:
    own = [resource("Patient", "anna"), *annas, *SHARED]
    zoe = resource("Patient", "zoe", link=[{"other": {"reference": "Patient/anna"}}])
    made = permits(POLICY, ANNA, parse(scope), "Patient/anna", NOON)
    alone = seen(made, own)
    assert seen(made, [*own, zoe, *zoes]) == alone


def test_a_shared_resource_that_only_something_hidden_mentions_is_hidden() -> None:
    performer = [{"reference": "Practitioner/bert"}]
    hidden = resource("Observation", "o", "PSYTHPN", subject="Patient/anna", performer=performer)
    shown = resource("Observation", "o", subject="Patient/anna", performer=performer)
    made = permits(POLICY, ANNA, parse("patient/*.rs"), "Patient/anna", NOON)
    assert "Practitioner/bert" not in seen(made, [hidden, *SHARED])
    assert "Practitioner/bert" in seen(made, [shown, *SHARED])
