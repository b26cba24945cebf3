"""Which types belong to nobody: only those that cannot say whose they are."""

import pytest

from server.access.context import shared_types
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import Policy
from server.access.scopes import parse
from server.fhir import definitions
from tests.access.records import NOON, resource, seen

# A reference in them is part of a definition, of what somebody is to be asked for example.
DEFINITIONS = {"ImplementationGuide", "Questionnaire", "StructureDefinition", "StructureMap",
               "TestScript"}  # fmt: skip
# In any resource, and nothing about whose it is.
GENERAL = {"Annotation", "Extension", "Identifier", "Meta", "Signature", "UsageContext"}


def names_a_patient(type_: str) -> bool:
    """Tell whether an element of the type may refer to a Patient, or to anything."""
    todo, known = [type_], set(GENERAL)
    while todo:
        if (one := todo.pop()) in known or not one[0].isupper():
            continue
        known.add(one)
        for child in definitions.children(one).values():
            if "Reference" not in child.types:
                todo.append(child.content)
            elif not child.targets or "Patient" in child.targets:
                return True
    return False


def test_a_shared_type_cannot_name_a_patient() -> None:
    assert {type_ for type_ in shared_types() if names_a_patient(type_)} == DEFINITIONS


@pytest.mark.parametrize(
    ("type_", "element"),
    [("Contract", "subject"), ("GuidanceResponse", "subject"), ("MessageHeader", "focus")],
)
def test_a_reference_that_a_patient_writes_opens_nothing_of_others(
    policy: Policy, type_: str, element: str
) -> None:
    """Else naming the id of somebody else's contract would be enough to read it."""
    zoes = resource(type_, "x", **{element: "Patient/zoe"})
    mine = resource("DocumentReference", "d", subject="Patient/anna")
    mine["context"] = {"related": [{"reference": f"{type_}/x"}]}
    anna = Person("anna", roles=("patient",), fhir_user="Patient/anna")
    for scope in ("patient/*.rs", "user/*.rs"):
        made = permits(policy, anna, parse(scope), "Patient/anna", NOON)
        assert seen(made, [zoes, mine]) == {"DocumentReference/d"}


def test_departments_and_administrators_see_none_of_what_may_be_anybodys(policy: Policy) -> None:
    zoes = resource("GuidanceResponse", "x", subject="Patient/zoe")
    dora = Person("dora", roles=("practitioner",), departments=("Organization/ward",))
    root = Person("root", roles=("admin",))
    for person in (dora, root):
        made = permits(policy, person, parse("user/*.rs"), None, NOON)
        assert seen(made, [zoes]) == set()
