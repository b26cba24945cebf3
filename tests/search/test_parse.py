"""From request parameters to a Search; R4 search.html#errors, #return, #modifiers."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.fhir import definitions
from server.fhir.errors import InvalidSearch
from server.search.parse import MAX_PARAMETERS, parse_search
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    Hop,
    IdIs,
    Include,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Reported,
    Search,
    SortKey,
    StringIs,
    Words,
)

Pairs = list[tuple[str, str]]


def parsed(types: str | tuple[str, ...], *pairs: tuple[str, str], strict: bool = False) -> Search:
    return parse_search(types, pairs, default_count=20, max_count=100, strict=strict)


def test_repeating_is_and_and_a_comma_is_or() -> None:
    search = parsed("Patient", ("given", "Eve,Ann"), ("given", "Bo"), ("gender", "male,female"))
    assert search.query.where == AllOf(
        (
            StringIs("Patient", "given", "starts", ("eve", "ann")),
            StringIs("Patient", "given", "starts", ("bo",)),
            HasKey(("Patient|gender|c|male", "Patient|gender|c|female")),
        )
    )


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("a\\,b", "c|a,b"),
        ("s\\|t|a", "s|s|t|a"),
        ("a\\$b", "c|a$b"),
        ("a\\\\", "c|a\\"),
        ("a\\b", "c|a\\b"),
    ],
)
def test_a_backslash_makes_a_separator_a_character(value: str, key: str) -> None:
    search = parsed("Patient", ("identifier", value))
    assert search.query.where == AllOf((HasKey((f"Patient|identifier|{key}",)),))


def test_no_parameter_asks_for_everything() -> None:
    assert parsed("Patient") == Search(parsed("Patient").query, count=20)
    assert parsed("Patient").query.where == EVERYTHING


def test_missing_is_about_presence() -> None:
    present = HasKey(("Patient|birthdate|?",))
    assert parsed("Patient", ("birthdate:missing", "false")).query.where == AllOf((present,))
    assert parsed("Patient", ("birthdate:missing", "true")).query.where == AllOf((Not(present),))


def test_several_types_are_asked_by_what_they_share() -> None:
    search = parsed(("Patient", "Person"), ("birthdate", "2000"), ("name:exact", "A"))
    lo, hi = 946684800000000, 978307200000000
    assert search.query.types == ("Patient", "Person")
    assert search.query.where == AllOf(
        (
            AnyOf(
                (
                    DateIs("Patient", "birthdate", "eq", lo, hi),
                    DateIs("Person", "birthdate", "eq", lo, hi),
                )
            ),
            HasKey(("Patient|name|x|A", "Person|name|x|A")),
        )
    )


def test_a_parameter_that_not_every_type_has_is_not_used() -> None:
    search = parsed(("Patient", "Observation"), ("birthdate", "2000"))
    why = "not every type searched has such a search parameter"
    assert search.reported == (Reported("birthdate", why),)
    assert search.used == ()


def test_type_narrows_a_search_over_the_whole_system() -> None:
    every = tuple(sorted(definitions.resource_types()))
    search = parsed(every, ("_type", "Patient,Person"), ("birthdate", "2000"))
    assert search.query.types == ("Patient", "Person")
    with pytest.raises(InvalidSearch, match="_type: 'Foo' is not a resource type"):
        parsed(every, ("_type", "Foo"))


def test_result_parameters() -> None:
    search = parsed(
        "Observation",
        ("_sort", "-date,_id,_lastUpdated,code"),
        ("_count", "5"),
        ("_total", "accurate"),
        ("_summary", "data"),
        ("_elements", "code,subject,code"),
        ("_include", "Observation:subject:Patient"),
        ("_revinclude", "Provenance:target"),
        ("_format", "json"),
    )
    assert search.sort == (
        SortKey("date", "date", descending=True),
        SortKey("_id", "id"),
        SortKey("_lastUpdated", "updated"),
        SortKey("code", "token"),
    )
    assert (search.count, search.total, search.summary) == (5, "accurate", "data")
    assert search.elements == ("code", "subject")
    assert search.includes == (
        Include("Observation", "subject", "Patient", reverse=False),
        Include("Provenance", "target", None, reverse=True),
    )
    assert search.reported == ()


@pytest.mark.parametrize(
    ("name", "value", "include"),
    [
        ("_include", "*", Include("*", "*", None, reverse=False)),
        ("_revinclude", "*", Include("*", "*", None, reverse=True)),
        ("_include", "Observation:*", Include("Observation", "*", None, reverse=False)),
        ("_include", "Observation:*:Patient", Include("Observation", "*", "Patient", False)),
        (
            "_include:iterate",
            "Patient:general-practitioner",
            Include("Patient", "general-practitioner", None, reverse=False, iterate=True),
        ),
        (
            "_include:recurse",
            "Observation:has-member",
            Include("Observation", "has-member", None, reverse=False, iterate=True),
        ),
        (
            "_revinclude:iterate",
            "Encounter:subject",
            Include("Encounter", "subject", None, reverse=True, iterate=True),
        ),
        ("_revinclude", "Provenance:*", Include("Provenance", "*", None, reverse=True)),
    ],
)
def test_includes_of_everything_and_of_what_is_included(
    name: str, value: str, include: Include
) -> None:
    search = parsed("Observation", (name, value), strict=True)
    assert search.includes == (include,)
    assert search.used == ((name, value),)


def test_a_chained_order() -> None:
    search = parsed(
        "Observation", ("_sort", "-subject:Patient.family,patient.organization.name,_id")
    )
    patient = Hop("subject", Query(("Patient",)))
    through = (Hop("patient", Query(("Patient",))), Hop("organization", Query(("Organization",))))
    assert search.sort == (
        SortKey("family", "string", descending=True, through=(patient,)),
        SortKey("name", "string", through=through),
        SortKey("_id", "id"),
    )


def test_a_chained_order_leads_to_all_types_that_have_the_parameter() -> None:
    (key,) = parsed("Observation", ("_sort", "subject.name")).sort
    assert key.through == (Hop("subject", Query(("Patient", "Location"))),)
    (key,) = parsed("Observation", ("_sort", "-subject._lastUpdated")).sort
    assert (key.kind, key.through[0].to.types) == (
        "updated",
        ("Group", "Device", "Patient", "Location"),
    )


def test_contained_resources_are_asked_for_beside_what_finds_their_containers() -> None:
    search = parsed(
        "Medication", ("code", "x"), ("_contained", "both"), ("_containedType", "contained")
    )
    assert (search.contained, search.contained_as) == ("both", "contained")
    assert search.query == parsed("Medication", ("code", "x")).query
    assert search.containers is not None
    assert search.containers.where == AllOf(
        (HasKey(("#Medication",)), HasKey(("#Medication|code|c|x",)))
    )
    assert parsed("Medication", ("_contained", "false")).containers is None


def test_an_explanation_is_asked_for() -> None:
    assert parsed("Patient", ("_explain", "true")).explain is True
    assert parsed("Patient", ("_explain", "false")).explain is False
    assert parsed("Patient").explain is False


USES = "http://terminology.hl7.org/CodeSystem/list-example-use-codes"


def test_a_list_is_named_by_id_or_by_what_it_is_for() -> None:
    search = parsed("Condition", ("_list", "42,List/7,$current-problems"))
    current = AllOf(
        (
            HasKey(("List|status|c|current",)),
            HasKey(
                (
                    "List|code|s|http://loinc.org|11450-4",
                    "List|code|s|http://loinc.org|46105-3",
                    f"List|code|s|{USES}|problems",
                )
            ),
        )
    )
    assert search.query.where == AllOf(
        (
            AnyOf(
                (
                    ReferredBy(Query(("List",), current), "item"),
                    ReferredBy(Query(("List",), IdIs(("42", "7"))), "item"),
                )
            ),
        )
    )


def test_current_drug_allergies_are_a_part_of_the_current_allergies() -> None:
    (allergies,) = where_of("AllergyIntolerance", "_list", "$current-allergies")
    (drugs,) = where_of("AllergyIntolerance", "_list", "$current-drug-allergies")
    category = HasKey(("AllergyIntolerance|category|c|medication",))
    assert drugs == AllOf((allergies, category))


def test_words_of_the_narrative_and_of_the_whole() -> None:
    assert where_of("Patient", "_text", "chest pain") == (Words("text", (("chest",), ("pain",))),)
    assert where_of("Patient", "_content", '"chest pain"') == (
        Words("content", (("chest", "pain"),)),
    )


def test_a_string_has_no_prefixes_so_they_are_letters_of_it() -> None:
    """R4 search.html#prefix: only numbers, dates and quantities have an order to ask for."""
    assert where_of("Patient", "name", "gtx") == (StringIs("Patient", "name", "starts", ("gtx",)),)
    assert where_of("Patient", "gender", "gt5") == (HasKey(("Patient|gender|c|gt5",)),)


def where_of(type_: str, name: str, value: str) -> tuple[Predicate, ...]:
    where = parsed(type_, (name, value)).query.where
    assert isinstance(where, AllOf)
    return where.of


def test_a_page_that_is_too_long_is_shortened_and_told() -> None:
    search = parsed("Patient", ("_count", "1000"), strict=True)
    assert search.count == 100
    assert search.reported == (Reported("_count", "lowered to 100, the largest page"),)


def test_a_count_of_nothing_is_allowed() -> None:
    assert parsed("Patient", ("_count", "0")).count == 0


UNKNOWN: Pairs = [("shoe-size", "43"), ("gender", "male"), ("name", ""), ("_sort", "")]


def test_unknown_parameters_are_told_and_not_used() -> None:
    search = parsed("Patient", *UNKNOWN)
    assert search.used == (("gender", "male"),)
    assert search.reported == (
        Reported("shoe-size", "Patient has no such search parameter"),
        Reported("name", "it has no value"),
        Reported("_sort", "it has no value"),
    )


def test_strict_handling_refuses_them_all_at_once() -> None:
    with pytest.raises(InvalidSearch) as caught:
        parsed("Patient", *UNKNOWN, strict=True)
    assert caught.value.expression == ("shoe-size", "name", "_sort")
    assert caught.value.issues[0].expression == ("shoe-size", "name", "_sort")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("birthdate", "soon", "'soon' is not a date"),
        ("birthdate", "xx2020", "'xx2020' is not a date"),
        ("birthdate", "2020-02-30", "is not a day of the calendar"),
        ("birthdate:exact", "2020", "a date parameter has no :exact, only :missing"),
        ("gender:", "male", "a token parameter has no :, only "),
        ("gender:contains", "male", "a token parameter has no :contains"),
        ("gender", "male,,female", "a value between commas is empty"),
        ("gender", "a," * 501 + "a", "at most 500 can be ORed"),
        ("birthdate:missing", "yes", "the value is true or false"),
        ("_id:missing", "true", "every resource has one"),
        ("_id", "a b", "'a b' is not an id"),
        ("given", "---", "no letter or digit"),
        ("link:Group", "x", "a Group cannot be meant, only Patient, RelatedPerson"),
        ("given", "x" * 4097, "longer than 4096 characters"),
        ("given", "\ud800", "not Unicode text"),
        ("_count", "-1", "not a whole number"),
        ("_count", "many", "not a whole number"),
        ("_count", "NaN", "not a whole number"),
        ("_count", "١", "not a whole number"),
        ("_sort", "shoe-size", "Patient cannot be sorted by 'shoe-size'"),
        ("_total", "some", "not one of none, estimate, accurate"),
        ("_summary", "yes", "not one of true, text, data, count, false"),
        ("_elements", "a b", "'a b' is not the name of an element"),
        ("_sort", "link.shoe-size", "cannot be sorted by 'shoe-size'"),
        ("_sort", "link:Group.name", "'link' of 'link:Group.name' cannot refer to 'Group'"),
        ("_sort", "name.family", "Patient cannot be sorted through 'name'"),
        ("_sort", "general-practitioner.", "cannot be sorted by ''"),
        ("_sort", "link." * 11 + "name", "has more than 10 hops"),
        ("_sort", "--name", "cannot be sorted by '-name'"),
        ("_sort", "name," * 8 + "name", "9 keys; at most 8"),
        ("_explain", "yes", "not one of true, false"),
        ("_contained", "yes", "not one of false, true, both"),
        ("_containedType", "both", "not one of container, contained"),
        ("_list", "$current-shoes", "'$current-shoes' is none of the lists $current-problems,"),
        ("_list", "Patient/42", "'Patient/42' is not the id of a List"),
        ("_list", "List/42/_history/1", "is not the id of a List"),
        ("_list", "42,", "'' is not the id of a List"),
        ("_list", "1," * 100 + "1", "101 lists; at most 100"),
        ("_list:not", "42", "_list has no modifiers"),
        ("_text:exact", "x", "_text has no modifier"),
        ("_content", "or", "nothing before or"),
        ("_include:all", "Patient:link", "_include has no :all, only :iterate"),
        ("_include:", "Patient:link", "_include has no :, only :iterate"),
        ("_include", "*:link", "'*' is not a resource type"),
        ("_include", "Patient:*:Group", "Patient:* cannot refer to 'Group'"),
        ("_revinclude", "Patient:link:Person", "cannot refer to 'Person'"),
        ("_include", "Patient", "is not Type:parameter"),
        ("_include", "Foo:bar", "'Foo' is not a resource type"),
        ("_include", "Patient:name", "has no reference parameter 'name'"),
        ("_include", "Observation:subject", "Observation is not searched here, only Patient"),
        ("_include", "Patient:link:Group", "cannot refer to 'Group'"),
        ("_revinclude", "Observation:encounter", "cannot refer to Patient"),
        ("_type", "Person", "Person is not searched here"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name: str, value: str, told: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        parsed("Patient", (name, value))
    assert told in caught.value.diagnostics
    assert caught.value.issues[0].code == "invalid"


def test_named_queries_are_said_not_to_be_supported() -> None:
    with pytest.raises(InvalidSearch, match="_query: there are no named queries here") as caught:
        parsed("Patient", ("_query", "x"))
    assert caught.value.issues[0].code == "not-supported"


@pytest.mark.parametrize("name", ["_include", "_revinclude", "_include:iterate", "_type", "_id"])
def test_a_parameter_without_a_value_is_reported_whatever_it_is(name: str) -> None:
    search = parsed("Patient", (name, ""))
    assert search.reported == (Reported(name, "it has no value"),)
    assert (search.includes, search.used) == ((), ())


@pytest.mark.parametrize(
    ("name", "shown"), [("", "''"), ("a\x00", "'a\\x00'"), (" ", "' '"), ("b" * 81, "b" * 80)]
)
def test_an_unknown_name_is_told_as_text_that_an_answer_can_hold(name: str, shown: str) -> None:
    assert [told.param for told in parsed("Patient", (name, "1")).reported] == [shown]


def test_parameters_have_a_limit() -> None:
    with pytest.raises(InvalidSearch, match="101 parameters; at most 100"):
        parsed("Patient", *[("given", "a")] * (MAX_PARAMETERS + 1))


def test_values_times_types_have_a_limit() -> None:
    every = tuple(sorted(definitions.resource_types()))
    with pytest.raises(InvalidSearch, match="more than 10000"):
        parsed(every, ("_tag", ",".join("abcdefghijklmnopqrstuvwxyz" * 3)))


def test_what_may_be_given_once_is_refused_twice() -> None:
    with pytest.raises(InvalidSearch, match="_sort: given twice"):
        parsed("Patient", ("_sort", "name"), ("_sort", "name"))


SOME_NAMES = [
    "given",
    "gender",
    "birthdate",
    "link",
    "identifier",
    "_id",
    "_lastUpdated",
    "_tag",
    "given:exact",
    "gender:not",
    "email",
    "birthdate:missing",
    "link:Patient",
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_cursor",
    "unknown",
    "_has",
    "_has:Observation:patient:code",
    "link.name",
    "link:Patient.link.gender",
    "general-practitioner.name",
    "_has:Observation:subject:performer.name",
    "link._has:Group:member:_id",
    "link.given:exact",
    "_include:iterate",
    "_revinclude",
    "_list",
    "_text",
    "_content",
    "_filter",
    "_contained",
    "_containedType",
    "_explain",
    "subject.name",
    "subject:Patient.birthdate",
    "focus.code",
    "code:in",
    "code:text",
    "value-quantity",
    "component-code-value-quantity",
    "_query",
    "_type",
]
SOME_VALUES = [
    "",
    "a",
    "a,b",
    "x,",
    "s|a",
    "ge2020-01",
    "2020",
    "true",
    "5",
    "gt5||mg",
    "a$b",
    "Patient/x",
    "-given",
    "-subject:Patient.birthdate",
    "link.name",
    "none",
    "text",
    "both",
    "contained",
    r"\,|$",
    "é",
    "*",
    "Patient:*",
    "Patient:link",
    "Observation:has-member",
    "$current-problems,42",
    'given eq "a" or name co x',
    "not (name co x) and link[gender eq male].name sw x",
]


@settings(max_examples=300)
@given(
    st.sampled_from(["Patient", "Observation", ("Patient", "Person")]),
    st.lists(
        st.tuples(
            st.sampled_from(SOME_NAMES) | st.text(max_size=10),
            st.sampled_from(SOME_VALUES) | st.text(max_size=20),
        ),
        max_size=5,
    ),
)
def test_any_request_is_understood_or_refused(types: str | tuple[str, ...], pairs: Pairs) -> None:
    try:
        search = parsed(types, *pairs)
    except InvalidSearch:
        return
    assert parsed(types, *search.used) == replace(search, reported=())


@given(
    st.sampled_from(
        [
            (type_, parameter.code)
            for type_ in ("Observation", "Condition", "Invoice", "RiskAssessment", "ValueSet")
            for parameter in definitions.search_parameters(type_).values()
        ]
    ),
    st.text(max_size=30),
)
def test_no_value_breaks_any_kind_of_parameter(place: tuple[str, str], value: str) -> None:
    type_, code = place
    try:
        parsed(type_, (code, value))
    except InvalidSearch:
        return
