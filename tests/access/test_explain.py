"""Why something is open to a caller, or is not: lines for an administrator."""

from server.access.context import Permit
from server.access.explain import explain
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import Policy
from server.access.scopes import parse
from server.search.query import HasKey
from tests.access.records import CONFIDENTIALITY, NOON, context, lab

LOOKING = frozenset(("read", "search"))


def test_each_permit_says_why(policy: Policy) -> None:
    permits_ = (
        Permit("Observation", LOOKING, "Patient/anna", hidden=(f"{CONFIDENTIALITY}|R",)),
        Permit("Observation", LOOKING, "Patient/zoe"),
        Permit("Patient", LOOKING, "Patient/anna"),
    )
    found = explain(context(permits_), "read", lab("o", "Patient/anna", "R"))
    assert found.open is False
    assert (
        "\n".join(found.lines)
        == f"""\
Observation/o is not there to user/x with app, for read
permit 1, read, search of Observation in Patient/anna: \
its label {CONFIDENTIALITY}|R is above the clearance
permit 2, read, search of Observation in Patient/zoe: the resource is in Patient/anna's record
permit 3, read, search of Patient in Patient/anna: it does not speak of read of Observation"""
    )


def test_what_is_open_says_by_which_permit(policy: Policy) -> None:
    anna = Person("anna", ("patient",), "Patient/anna")
    made = permits(policy, anna, parse("patient/Observation.rs"), "Patient/anna", NOON)
    found = explain(context(made), "read", lab("o", "Patient/anna"))
    assert found.open is True
    assert found.lines == (
        "Observation/o is open to user/x with app, for read",
        "permit 1, read, search of Observation in Patient/anna: it opens the resource",
    )


def test_a_condition_is_asked_where_the_record_can_be_asked() -> None:
    permit = Permit("Observation", LOOKING, where=HasKey(("Observation|status|c|final",)))
    of_anna = lab("o", "Patient/anna")
    assert explain(context((permit,)), "read", of_anna).open is None
    assert explain(context((permit,)), "read", of_anna, lambda _: True).open is True
    found = explain(context((permit,)), "read", of_anna, lambda _: False)
    assert (found.open, found.lines[1]) == (
        False,
        "permit 1, read, search of Observation under a condition: its condition does not hold",
    )


def test_a_release_says_when(policy: Policy) -> None:
    url = "https://tellonce.org/fhir/StructureDefinition/release"
    at = [{"url": "at", "valueInstant": "2026-11-23T12:00:00Z"}]
    hold = [{"url": "hold", "valueString": "x"}]
    permit = Permit("Observation", LOOKING, released=NOON)
    for inside, why in (
        (at, "it is released on 2026-11-23T12:00:00.000Z"),
        (hold, "it is on hold"),
    ):
        one = lab("o", "Patient/p") | {"extension": [{"url": url, "extension": inside}]}
        found = explain(context((permit,)), "read", one)
        assert found.lines[1] == f"permit 1, read, search of Observation: {why}"


def test_a_token_without_permits_says_so() -> None:
    found = explain(context(()), "read", lab("o", "Patient/p"))
    assert found.lines[1] == "the token has no scope for resources that this person may use"
