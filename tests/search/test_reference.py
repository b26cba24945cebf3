"""R4 search.html#reference and #uri."""

from typing import Any

import pytest

from server.fhir import definitions
from server.fhir.errors import InvalidSearch
from server.search import criteria, parameters
from server.search.extract import index_rows
from server.search.query import AnyOf, CodesOf, HasKey, Predicate
from server.search.reference import HIERARCHIES
from server.search.rows import hash64, param_hash

ME = "http://me.test/fhir"  # the base URL of the fixture ``finds``


def observation(**subject: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "a", "subject": subject}


@pytest.mark.parametrize(
    ("query", "stored", "found"),
    [
        ("subject=Patient/x", "Patient/x", True),
        ("subject=x", "Patient/x", True),
        ("subject=X", "Patient/x", False),
        ("subject:Patient=x", "Patient/x", True),
        ("subject:Group=x", "Patient/x", False),
        (f"subject={ME}/Patient/x", "Patient/x", True),
        ("subject=Patient/x", f"{ME}/Patient/x", True),
        ("patient=Patient/x", "Patient/x", True),
        ("patient=x", "Group/x", False),
        ("patient=http://else.test/Patient/x", "http://else.test/Patient/x", True),
        ("subject=Patient/x", "http://else.test/Patient/x", False),
        ("subject=x", "http://else.test/Patient/x", False),
        ("subject=Patient/x", "Patient/x/_history/2", True),
        ("subject=Patient/x/_history/2", "Patient/x/_history/2", True),
        ("subject=Patient/x/_history/2", "Patient/x", False),
        ("subject=urn:uuid:7", "urn:uuid:7", True),
        ("subject=Patient/y,Group/x", "Group/x", True),
        ("subject:missing=false", "#contained", True),
    ],
)
def test_every_form_of_a_reference(finds: Any, query: str, stored: str, found: bool) -> None:
    assert finds(query, observation(reference=stored)) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject:identifier=s|7", True),
        ("subject:identifier=7", True),
        ("subject:identifier=s|", True),
        ("subject:identifier=|7", False),
        ("patient:identifier=s|7", True),
        ("subject=7", False),
    ],
)
def test_a_logical_reference_is_found_by_its_identifier(
    finds: Any, query: str, found: bool
) -> None:
    stored = observation(type="Patient", identifier={"system": "s", "value": "7"})
    assert finds(query, stored) is found


@pytest.mark.parametrize("stored", ["urn:uuid:7", "http://else.test/people/7", "#7"])
def test_a_reference_that_does_not_show_its_type_may_state_it(finds: Any, stored: str) -> None:
    assert finds("patient:missing=true", observation(reference=stored))
    assert finds("patient:missing=true", observation(reference=stored, type="Group"))
    assert finds("patient:missing=false", observation(reference=stored, type="Patient"))
    assert finds("patient:missing=true", observation(reference="Group/7", type="Patient"))


@pytest.mark.parametrize(
    "query", ["subject=Foo/1", "subject=a b", "subject:Practitioner=x", "subject:Patient=Group/x"]
)
def test_what_can_never_be_referred_to_is_refused(finds: Any, query: str) -> None:
    with pytest.raises(InvalidSearch, match="subject"):
        finds(query, observation())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("http://x.test/Questionnaire/q", True),
        ("http://x.test/Questionnaire/q|2", True),
        ("http://x.test/Questionnaire/q|3", False),
    ],
)
def test_a_canonical_is_found_with_and_without_its_version(
    finds: Any, asked: str, found: bool
) -> None:
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "a",
        "questionnaire": "http://x.test/Questionnaire/q|2",
        "meta": {"profile": ["http://x.test/Questionnaire/q|2"]},
    }
    assert finds(f"questionnaire={asked}", response) is found
    assert finds(f"_profile={asked}", response) is found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("http://x.test/a", True),
        ("http://x.test/", False),
        ("HTTP://x.test/a", False),
        ("http://x.test/b,http://x.test/a", True),
    ],
)
def test_a_uri_is_compared_as_a_whole(finds: Any, asked: str, found: bool) -> None:
    value_set = {"resourceType": "ValueSet", "id": "a", "url": "http://x.test/a"}
    assert finds(f"url={asked}", value_set) is found


def predicate(
    types: tuple[str, ...], code: str, text: str, modifier: str | None = None
) -> Predicate:
    parameter = criteria.common_parameter(types, code)
    assert parameter is not None
    return criteria.predicate(types, parameter, modifier, text, ME)


def test_a_bare_id_is_that_of_any_type_that_may_be_meant() -> None:
    assert predicate(("Condition",), "subject", "x") == HasKey(
        ("Condition|subject|r|Group/x", "Condition|subject|r|Patient/x")
    )
    anything = predicate(("Provenance",), "target", "x")
    assert isinstance(anything, HasKey)
    assert len(anything.keys) == 145  # R4 leaves out Parameters, which nobody stores
    assert "Provenance|target|r|Basic/x" in anything.keys


def test_too_many_meanings_are_refused() -> None:
    with pytest.raises(InvalidSearch, match="target: means 14500 values; at most 10000"):
        predicate(("Provenance",), "target", ",".join(f"x{n}" for n in range(100)))


def test_references_are_kept_as_parameter_and_target() -> None:
    rows = index_rows(observation(reference=f"{ME}/Patient/x/_history/3"), ME)
    assert set(rows.references) == {
        (param_hash("Observation", "subject"), hash64("Patient/x")),
        (param_hash("Observation", "patient"), hash64("Patient/x")),
    }
    elsewhere = index_rows(observation(reference="http://else.test/Patient/x"), ME)
    assert (param_hash("Observation", "subject"), hash64("http://else.test/Patient/x")) in (
        elsewhere.references
    )
    assert index_rows(observation(reference="#x"), ME).references == ()


@pytest.mark.parametrize("canonical", ["http://x.test/q|2", "http://x.test/q"])
def test_a_canonical_is_followed_to_the_version_that_it_states(canonical: str) -> None:
    response = {"resourceType": "QuestionnaireResponse", "id": "a", "questionnaire": canonical}
    targets = [target for _, target in index_rows(response, ME).references]
    assert targets == [hash64(canonical)]


@pytest.mark.parametrize(
    ("resource", "names"),
    [
        ({"resourceType": "Questionnaire", "url": "http://x.test/q"}, ["http://x.test/q"]),
        (
            {"resourceType": "Questionnaire", "url": "http://x.test/q", "version": "2"},
            ["http://x.test/q", "http://x.test/q|2"],
        ),
        ({"resourceType": "Questionnaire", "version": "2"}, []),
        ({"resourceType": "Patient", "url": "http://x.test/q"}, []),
    ],
)
def test_what_canonicals_name_has_its_addresses(resource: dict[str, Any], names: list[str]) -> None:
    assert index_rows({"id": "a", **resource}).names == tuple(map(hash64, names))


def test_places_are_below_and_above_each_other_as_the_record_tells() -> None:
    below = predicate(("Encounter",), "location", "Location/ward", "below")
    assert below == CodesOf("Encounter", "location", "below", "Location/ward")
    assert predicate(("Encounter",), "location", f"{ME}/Location/ward", "below") == below
    assert predicate(("Encounter",), "location", "ward", "below") == below
    assert predicate(("Location",), "partof", "hospital", "above") == CodesOf(
        "Location", "partof", "above", "Location/hospital"
    )
    assert predicate(("Procedure",), "part-of", "x", "below") == CodesOf(
        "Procedure", "part-of", "below", "Procedure/x"
    )
    assert predicate(("Task",), "part-of", "x,y", "above") == AnyOf(
        (
            CodesOf("Task", "part-of", "above", "Task/x"),
            CodesOf("Task", "part-of", "above", "Task/y"),
        )
    )


@pytest.mark.parametrize(
    ("code", "text", "why"),
    [
        ("subject", "Patient/x", "Encounter:subject refers to nothing that has parts"),
        ("location", "Patient/x", "'Patient/x' is none of Location"),
        ("location", "http://else.test/Location/x", "is none of Location"),
    ],
)
def test_what_has_no_parts_has_nothing_above_or_below(code: str, text: str, why: str) -> None:
    with pytest.raises(InvalidSearch, match=why):
        predicate(("Encounter",), code, text, "below")


def test_a_hierarchy_goes_by_a_parameter_of_the_type_that_leads_to_the_type() -> None:
    for type_, code in HIERARCHIES.items():
        assert type_ in parameters.searchable(type_)[code].target
    parts = {"part-of", "partof", "parent"}
    assert set(HIERARCHIES) == {
        type_
        for type_ in definitions.resource_types()
        for code in parts & parameters.searchable(type_).keys()
        if type_ in parameters.searchable(type_)[code].target
    }


@pytest.mark.parametrize(
    ("query", "stored", "found"),
    [
        ("url:below=http://x.test/a", "http://x.test/a", True),
        ("url:below=http://x.test/a", "http://x.test/a/b/c", True),
        ("url:below=http://x.test/a/", "http://x.test/a/b", True),
        ("url:below=http://x.test/a/", "http://x.test/a", False),
        ("url:below=http://x.test/a", "http://x.test/ab", False),
        ("url:below=http://x.test", "http://x.test/a", True),
        ("url:below=urn:oid:1.2", "urn:oid:1.2.3", False),
        ("url:below=urn:oid:1.2", "urn:oid:1.2", True),
        ("url:below=http://y.test,http://x.test", "http://x.test/a", True),
        ("url:above=http://x.test/a/b", "http://x.test/a/b", True),
        ("url:above=http://x.test/a/b", "http://x.test/a/", True),
        ("url:above=http://x.test/a/b", "http://x.test/a", True),
        ("url:above=http://x.test/a/b", "http://x.test", True),
        ("url:above=http://x.test/a/b", "http:", False),
        ("url:above=http://x.test/a/b", "http://x.test/a/b/c", False),
        ("url:above=http://x.test/ab", "http://x.test/a", False),
        ("url:above=urn:oid:1.2.3", "urn:oid:1.2", False),
    ],
)
def test_addresses_are_above_and_below_by_the_steps_of_their_path(
    finds: Any, query: str, stored: str, found: bool
) -> None:
    value_set = {"resourceType": "ValueSet", "id": "a", "url": stored}
    assert finds(query, value_set) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_profile:below=http://x.test/p|1", True),
        ("_profile:below=http://x.test/p|1.2", True),
        ("_profile:below=http://x.test/p|1.2.3.4", False),
        ("_profile:below=http://x.test/p|2", False),
        ("_profile:below=http://x.test", True),
        ("_profile:above=http://x.test/p|1.2.3.4", True),
        ("_profile:above=http://x.test/p|1.2", False),
    ],
)
def test_versions_of_a_canonical_are_below_their_beginning(
    finds: Any, query: str, found: bool
) -> None:
    meta = {"profile": ["http://x.test/p|1.2.3"]}
    assert finds(query, {"resourceType": "Basic", "id": "a", "meta": meta}) is found


def test_an_address_of_very_many_steps_is_refused(finds: Any) -> None:
    with pytest.raises(InvalidSearch, match="url:above: more than 100 steps"):
        finds("url:above=http://x" + "/a" * 100, {"resourceType": "ValueSet", "id": "a"})
