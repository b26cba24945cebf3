"""Chains and _has: from names to hops, from hops to queries; R4 search.html#chaining, #has."""

import pytest

from server.fhir.definitions import SearchParameter
from server.fhir.errors import InvalidSearch
from server.search.catalog import Catalog
from server.search.parse import parse_search
from server.search.query import (
    AnyOf,
    HasKey,
    IdIs,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    Reported,
    StringIs,
    UpdatedIs,
)


def asked(types: str | tuple[str, ...], name: str, value: str) -> Predicate:
    """Return the one predicate that the parameter asks."""
    search = parse_search(types, [(name, value)], default_count=20, max_count=100)
    assert search.reported == ()
    assert search.used == ((name, value),)
    (found,) = search.query.where.of  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


MALE = HasKey(("Patient|gender|c|male",))


def test_a_chain_asks_what_a_reference_leads_to() -> None:
    assert asked("Observation", "subject:Patient.gender", "male") == Refers(
        "Observation", "subject", Query(("Patient",), MALE)
    )


def test_a_chain_of_any_depth_is_a_query_in_a_query() -> None:
    name = StringIs("Practitioner", "name", "contains", ("x",))
    by_practitioner = Refers("Patient", "general-practitioner", Query(("Practitioner",), name))
    assert asked(
        "Observation", "subject:Patient.general-practitioner:Practitioner.name:contains", "x"
    ) == Refers("Observation", "subject", Query(("Patient",), by_practitioner))


def test_a_chain_without_a_type_leads_to_every_type_that_has_the_parameter() -> None:
    """Groups and Devices have no name that is searched by, so they are not meant."""
    either = AnyOf(
        (
            StringIs("Patient", "name", "starts", ("x",)),
            StringIs("Location", "name", "starts", ("x",)),
        )
    )
    assert asked("Observation", "subject.name", "x") == Refers(
        "Observation", "subject", Query(("Patient", "Location"), either)
    )


def test_types_that_mean_another_kind_of_parameter_are_asked_apart() -> None:
    """The lot number of an Immunization is a string, that of a Medication a token."""
    text = Query(("Immunization",), StringIs("Immunization", "lot-number", "starts", ("x",)))
    token = Query(("Medication",), HasKey(("Medication|lot-number|c|x",)))
    assert asked("Provenance", "target.lot-number", "x") == AnyOf(
        (Refers("Provenance", "target", text), Refers("Provenance", "target", token))
    )


def test_a_value_that_one_of_the_kinds_cannot_read_is_refused() -> None:
    """The start of a GraphDefinition is a token, that of a Slot a date, which ``x`` is not."""
    with pytest.raises(InvalidSearch, match=r"target\.start: start: 'x' is not a date"):
        asked("Provenance", "target.start", "x")
    token = Query(("GraphDefinition",), HasKey(("GraphDefinition|start|c|x",)))
    assert asked("Provenance", "target:GraphDefinition.start", "x") == Refers(
        "Provenance", "target", token
    )


def test_several_types_have_a_chain_each() -> None:
    assert asked(("Observation", "Condition"), "subject:Patient.gender", "male") == AnyOf(
        (
            Refers("Observation", "subject", Query(("Patient",), MALE)),
            Refers("Condition", "subject", Query(("Patient",), MALE)),
        )
    )


def test_not_speaks_of_the_last_resource() -> None:
    assert asked("Observation", "subject.gender:not", "male") == Refers(
        "Observation", "subject", Query(("Patient",), Not(MALE))
    )


def test_missing_speaks_of_the_last_resource() -> None:
    assert asked("Observation", "subject:Patient.gender:missing", "true") == Refers(
        "Observation", "subject", Query(("Patient",), Not(HasKey(("Patient|gender|?",))))
    )


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("_id", "1,2", IdIs(("1", "2"))),
        ("_lastUpdated", "gt2020", UpdatedIs("gt", 1577836800000000, 1609459200000000)),
        ("_tag", "x", HasKey(("Patient|_tag|c|x",))),
        ("_list", "7", ReferredBy(Query(("List",), IdIs(("7",))), "item")),
    ],
)
def test_a_chain_ends_with_what_every_resource_has(name: str, value: str, where: Predicate) -> None:
    assert asked("Observation", f"subject:Patient.{name}", value) == Refers(
        "Observation", "subject", Query(("Patient",), where)
    )


def test_canonical_references_are_followed_too() -> None:
    assert asked("QuestionnaireResponse", "questionnaire.status", "active") == Refers(
        "QuestionnaireResponse",
        "questionnaire",
        Query(("Questionnaire",), HasKey(("Questionnaire|status|c|active",))),
    )


CODED = Query(("Observation",), HasKey(("Observation|code|c|x",)))


def test_has_asks_what_refers_to_the_resource() -> None:
    assert asked("Patient", "_has:Observation:patient:code", "x") == ReferredBy(CODED, "patient")


def test_has_within_has() -> None:
    by_event = ReferredBy(
        Query(("AuditEvent",), HasKey(("AuditEvent|agent|r|Practitioner/1",))), "entity"
    )
    assert asked(
        "Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent", "Practitioner/1"
    ) == ReferredBy(Query(("Observation",), by_event), "patient")


def test_has_behind_a_chain() -> None:
    member = ReferredBy(Query(("Group",), IdIs(("1",))), "member")
    assert asked("Observation", "subject:Patient._has:Group:member:_id", "1") == Refers(
        "Observation", "subject", Query(("Patient",), member)
    )


def test_a_chain_behind_has() -> None:
    by_name = StringIs("Practitioner", "name", "starts", ("x",))
    performer = Refers("Observation", "performer", Query(("Practitioner",), by_name))
    assert asked("Patient", "_has:Observation:subject:performer:Practitioner.name", "x") == (
        ReferredBy(Query(("Observation",), performer), "subject")
    )


def test_has_with_a_modifier() -> None:
    assert asked("Patient", "_has:Observation:patient:code:not", "x") == ReferredBy(
        Query(("Observation",), Not(CODED.where)), "patient"
    )


def test_a_chain_goes_through_parameters_added_at_run_time() -> None:
    keeper = SearchParameter(
        "keeper", "http://x/keeper", "reference", ("Basic",), "Basic.author", ("Patient",), ()
    )
    search = parse_search(
        "Basic",
        [("keeper.gender", "male")],
        default_count=20,
        max_count=100,
        catalog=Catalog((keeper,)),
    )
    assert Refers("Basic", "keeper", Query(("Patient",), MALE)) in search.query.where.of  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("subject:Practitioner.name", "subject cannot refer to Practitioner, only to Group, "),
        ("subject:Foo.name", "'Foo' is not a resource type"),
        ("subject.shoe-size", "none of Group, Device, Patient, Location has a search parameter"),
        ("subject:Patient.shoe-size", "Patient has no search parameter 'shoe-size'"),
        ("subject.name.family", "'name' is a string parameter, it refers to nothing"),
        ("code.text", "'code' is a token parameter, it refers to nothing"),
        ("subject.", "a chain is reference.parameter"),
        ("subject:.name", "a chain is reference.parameter"),
        ("subject..name", "a chain is reference.parameter"),
        ("subject:Patient.gender:foo", "a token parameter has no :foo"),
        ("subject:Patient.birthdate", "'x' is not a date"),
        ("subject._list:not", "_list has no modifiers"),
        ("subject." * 11 + "name", "more than 10 hops"),
        ("_has", "_has is _has:Type:reference:parameter"),
        ("_has:Observation", "_has is _has:Type:reference:parameter"),
        ("_has:Observation:subject:", "_has is _has:Type:reference:parameter"),
        ("_has::subject:code", "_has is _has:Type:reference:parameter"),
        ("_has:Foo:subject:code", "'Foo' is not a resource type"),
        ("_has:Observation:foo:code", "Observation has no search parameter 'foo'"),
        ("_has:Observation:code:code", "'code' is a token parameter, it refers to nothing"),
        ("_has:Observation:subject:code", "Observation:subject cannot refer to Observation"),
        ("_has:Observation:has-member:foo", "Observation has no search parameter 'foo'"),
    ],
)
def test_a_chain_that_leads_nowhere_is_refused_by_its_whole_name(name: str, told: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        asked("Observation", name, "x")
    assert told in caught.value.diagnostics
    assert caught.value.expression == (name[:80],)
    assert caught.value.issues[0].code == "invalid"
    assert caught.value.issues[0].expression == (name[:80],)


def test_a_chain_that_begins_with_an_unknown_name_is_reported_as_unknown() -> None:
    search = parse_search("Observation", [("foo.name", "x")], default_count=20, max_count=100)
    assert search.reported == (Reported("foo.name", "Observation has no such search parameter"),)


@pytest.mark.parametrize("deep", range(2, 9))
def test_chains_through_references_to_anything_have_a_limit(deep: int) -> None:
    """Found at once: what lies behind a hop is looked up once for each set of types."""
    with pytest.raises(InvalidSearch, match="lead to more than 200 types; name them"):
        asked("Provenance", "target" + ".subject" * deep + ".name", "x")


def test_the_limit_is_one_of_the_request() -> None:
    pairs = [("focus.subject.name", f"x{n}") for n in range(6)]
    with pytest.raises(InvalidSearch, match="lead to more than 200 types"):
        parse_search("Observation", pairs, default_count=20, max_count=100)


def test_values_times_types_of_a_chain_have_a_limit() -> None:
    values = ",".join(f"v{n}" for n in range(100))
    with pytest.raises(InvalidSearch, match="values times types are more than 10000"):
        asked("Observation", "focus._tag", values)
