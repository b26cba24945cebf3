"""``_filter``: its grammar, and what it asks of each parameter type; R4 search_filter.html."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.fhir.errors import InvalidSearch
from server.search.filter import Comparison, Joined, Negated, Node, Step, parse_filter
from server.search.parse import parse_search
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    CodesOf,
    DateIs,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    Query,
    Refers,
    StringIs,
    TextIs,
    TextOp,
)

Finds = Callable[..., bool]


def asked(type_: str | tuple[str, ...], text: str) -> Predicate:
    """Return the one predicate that the filter asks."""
    search = parse_search(type_, [("_filter", text)], default_count=20, max_count=100)
    assert search.used == (("_filter", text),)
    (found,) = search.query.where.of  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


def test_a_path_an_operator_and_a_value() -> None:
    assert parse_filter('name co "pet"') == Comparison((Step("name", 1),), "co", "pet", 1)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a b) ]"', "a b) ]"),
        (r'"say \"aé\" \\"', 'say "aé" \\'),
        ("http://loinc.org|1234-5", "http://loinc.org|1234-5"),
        ("2014-10-10T10:00:00+01:00", "2014-10-10T10:00:00+01:00"),
        ("a(b", "a(b"),
        ('a"b', 'a"b'),
        ("-5.4", "-5.4"),
    ],
)
def test_a_value_is_a_json_string_or_a_run_without_blanks_and_brackets(
    written: str, value: str
) -> None:
    for text in (f"code eq {written}", f"(code  eq\t{written} )"):
        found = parse_filter(text)
        assert isinstance(found, Comparison)
        assert found.value == value


def test_and_and_or_are_read_from_left_to_right() -> None:
    a, b, c = (Comparison((Step(name, 0),), "eq", "1", 0) for name in "abc")
    assert without_columns(parse_filter("a eq 1 or b eq 1 and c eq 1")) == Joined(
        "and", Joined("or", a, b), c
    )
    assert without_columns(parse_filter("a eq 1 or (b eq 1 and not(c eq 1))")) == Joined(
        "or", a, Joined("and", b, Negated(c))
    )


def test_a_path_has_steps_types_and_filters_in_brackets() -> None:
    text = "related[type eq has-member].target:Patient.name re Observation/4"
    bracket = Comparison((Step("type", 9),), "eq", "has-member", 9)
    path = (Step("related", 1, None, bracket), Step("target", 29, "Patient"), Step("name", 44))
    assert parse_filter(text) == Comparison(path, "re", "Observation/4", 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(name eq x", "column 1: '(' is not closed"),
        ("((name eq x)", "column 1: '(' is not closed"),
        ("name eq x)", "column 10: nothing was opened before"),
        ("name eq x]", "column 10: nothing was opened before"),
        ("subject[gender eq male.name eq x", "column 29: and, or or a closing bracket is missing"),
        ("subject[gender eq male", "column 8: '[' is not closed"),
        ("subject[gender eq male]", "column 24: a '.' and a name are missing behind ']'"),
        ("subject[gender eq male] eq x", "column 24: a '.' and a name are missing behind ']'"),
        ("subject:Patient eq x", "column 16: a '.' and a name are missing behind a type"),
        ("subject: eq x", "column 9: the name of a type is missing"),
        ("subject. eq x", "column 9: the name of a parameter is missing"),
        (" ", "column 2: the name of a parameter is missing"),
        ("()", "column 2: the name of a parameter is missing"),
        ("not", "column 4: a blank and an operator are missing"),
        ("name", "column 5: a blank and an operator are missing"),
        ("name ", "column 6: an operator is missing"),
        ("name is x", "column 6: 'is' is not one of eq ne co"),
        ("name EQ x", "column 6: 'EQ' is not one of eq ne co"),
        ("name eq", "column 8: a blank and a value are missing"),
        ("name eq ", "column 9: a value is missing"),
        ('name eq "x', "column 9: the string is not one of JSON"),
        ('name eq "x"y', "column 12: a blank is missing behind the string"),
        (r'name eq "\ud800"', "column 17: the string is not Unicode text"),
        ("name eq x and", "column 11: and, or or the end is missing"),
        ("name eq x and ", "column 15: the name of a parameter is missing"),
        ("name eq x name eq y", "column 11: and, or or the end is missing"),
        ("1name eq x", "column 1: the name of a parameter is missing"),
        ("(" * 22 + "name eq x" + ")" * 22, "column 22: more than 20 brackets inside each other"),
        (" or ".join(["name eq x"] * 101), "more than 100 tests"),
        ("name eq x and shoe-size eq 43", "column 15: Patient has no search parameter 'shoe-size'"),
        ("birthdate eq soon", "column 1: birthdate: 'soon' is not a date"),
        ("gender gt male", "column 1: gt means nothing for a token parameter"),
        ("gender co ma", "column 1: co means nothing for a token parameter"),
        ("birthdate sw 2", "column 1: sw means nothing for a date parameter"),
        ("name po 2020", "column 1: po means nothing for a string parameter"),
        ("name re Patient/1", "column 1: re means nothing for a string parameter"),
        ("birthdate in http://x", "column 1: in means nothing for a date parameter"),
        ("gender pr maybe", "column 1: pr is asked with true or false, not 'maybe'"),
        ("name co ---", "column 1: '---' holds no letter or digit to look for"),
        ("name.family eq x", "column 1: 'name' is a string parameter, it refers to nothing"),
        ("address[use eq home].city eq x", "column 1: 'address' is a string parameter"),
        ("link:Group.type eq x", "column 1: link cannot refer to Group"),
        ("link[shoe-size eq 43].name eq x", "column 6: "),
        ("link." * 11 + "name eq x", "column 1: more than 10 hops"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_column(text: str, told: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        asked("Patient", text)
    assert told in caught.value.diagnostics
    assert caught.value.expression == ("_filter",)
    assert caught.value.issues[0].code == "invalid"


@pytest.mark.parametrize("op", ["gt", "lt", "ge", "le"])
def test_strings_have_the_order_of_their_folded_characters(op: TextOp) -> None:
    assert asked("Patient", f"name {op} Mä") == StringIs("Patient", "name", op, ("ma",))


def test_a_filter_has_no_modifiers() -> None:
    with pytest.raises(InvalidSearch, match="_filter:not: _filter has no modifiers"):
        parse_search("Patient", [("_filter:not", "name eq x")], default_count=20, max_count=100)


LOW, HIGH = 1577836800000000, 1609459200000000
MG = "http://unitsofmeasure.org|g"


@pytest.mark.parametrize(
    ("type_", "text", "predicate"),
    [
        ("Patient", 'name eq "Péter  Pan"', StringIs("Patient", "name", "is", ("peter pan",))),
        ("Patient", "name co pet", StringIs("Patient", "name", "contains", ("pet",))),
        ("Patient", "name sw PET", StringIs("Patient", "name", "starts", ("pet",))),
        ("Patient", "name ew ter", StringIs("Patient", "name", "ends", ("ter",))),
        (
            "Patient",
            'name ne "a,b"',
            AllOf(
                (
                    HasKey(("Patient|name|?",)),
                    Not(StringIs("Patient", "name", "is", ("a b",))),
                )
            ),
        ),
        ("Patient", "birthdate ge 2020", DateIs("Patient", "birthdate", "ge", LOW, HIGH)),
        ("Patient", "birthdate ne 2020", DateIs("Patient", "birthdate", "ne", LOW, HIGH)),
        ("Encounter", "date po 2020", DateIs("Encounter", "date", "ap", LOW, HIGH)),
        (
            "Encounter",
            "date co 2020",
            AllOf(
                (
                    DateIs("Encounter", "date", "lt", LOW + 1, HIGH),
                    DateIs("Encounter", "date", "gt", LOW, HIGH - 1),
                )
            ),
        ),
        (
            "RiskAssessment",
            "probability gt 0.8",
            NumberIs("RiskAssessment", "probability", "gt", 0.8, 0.8000000000000002),
        ),
        (
            "RiskAssessment",
            "probability co 0.8",
            NumberIs("RiskAssessment", "probability", "ap", 0.8, 0.8000000000000002),
        ),
        (
            "Observation",
            "value-quantity lt 5|ucum|mg",
            NumberIs("Observation", "value-quantity", "lt", 0.005, 0.005000000000000001, MG),
        ),
        ("Patient", "gender eq male", HasKey(("Patient|gender|c|male", "Patient|gender|c|MALE"))),
        (
            "Observation",
            "code eq loinc|LP1-5",
            HasKey(
                tuple(f"Observation|code|s|http://loinc.org|{code}" for code in ("LP1-5", "lp1-5"))
            ),
        ),
        (
            "Observation",
            r"code eq a,b\|c",
            HasKey(("Observation|code|c|a,b|c", "Observation|code|c|A,B|C")),
        ),
        (
            "Observation",
            "status ne 1",
            AllOf((HasKey(("Observation|status|?",)), Not(HasKey(("Observation|status|c|1",))))),
        ),
        (
            "Observation",
            "code in http://x/vs",
            CodesOf("Observation", "code", "in", "http://x/vs"),
        ),
        (
            "Observation",
            "code ni http://x/vs",
            Not(CodesOf("Observation", "code", "in", "http://x/vs")),
        ),
        (
            "Observation",
            "code ss snomed|123",
            CodesOf("Observation", "code", "below", "http://snomed.info/sct|123"),
        ),
        (
            "Observation",
            "code sb snomed|123",
            CodesOf("Observation", "code", "above", "http://snomed.info/sct|123"),
        ),
        ("Observation", "subject re Patient/4", HasKey(("Observation|subject|r|Patient/4",))),
        ("Observation", "subject eq Patient/4", HasKey(("Observation|subject|r|Patient/4",))),
        ("ValueSet", "url eq http://x/1", HasKey(("ValueSet|url|u|http://x/1",))),
        ("ValueSet", "url co x/", TextIs("ValueSet", "url", "contains", ("x/",))),
        ("Patient", "gender pr true", HasKey(("Patient|gender|?",))),
        ("Patient", "gender pr FALSE", Not(HasKey(("Patient|gender|?",)))),
        ("Patient", "phonetic ew ter", StringIs("Patient", "name", "ends", ("ter",))),
        (
            "Observation",
            "combo-code pr true",
            HasKey(("Observation|code|?", "Observation|component-code|?")),
        ),
        ("Patient", "_id eq a", IdIs(("a",))),
        ("Patient", "_id pr true", EVERYTHING),
        ("Patient", "_lastUpdated pr false", NOTHING),
        (
            "Group",
            "characteristic[code eq x].value eq y",
            HasKey(("Group|characteristic-value|$|c|x$c|y",)),
        ),
        (
            "DocumentReference",
            'relatesTo[code eq "replaces"].target re DocumentReference/x',
            HasKey(("DocumentReference|relationship|$|r|DocumentReference/x$c|replaces",)),
        ),
    ],
)
def test_what_each_operator_asks(type_: str, text: str, predicate: Predicate) -> None:
    assert asked(type_, text) == predicate


def test_an_element_pair_is_asked_by_equality_only() -> None:
    text = "characteristic[code ne x].value eq y"
    with pytest.raises(InvalidSearch, match=r"can be asked as characteristic\[") as caught:
        asked("Group", text)
    assert caught.value.issues[0].code == "not-supported"


def test_brackets_and_what_is_behind_them_speak_of_one_resource() -> None:
    both = AllOf(
        (
            HasKey(("Patient|gender|c|male", "Patient|gender|c|MALE")),
            StringIs("Patient", "name", "contains", ("pet",)),
        )
    )
    assert asked("Observation", "subject[gender eq male].name co pet") == Refers(
        "Observation", "subject", Query(("Patient",), both)
    )


def test_brackets_speak_of_the_types_that_have_what_they_ask_for() -> None:
    found = asked("Observation", "subject[birthdate pr true]._id pr true")
    assert isinstance(found, Refers)
    assert found.to.types == ("Patient",)


@pytest.mark.parametrize("deep", [2, 5, 19])
def test_brackets_in_brackets_through_references_to_anything_have_a_limit(deep: int) -> None:
    text = "target" + "[target" * deep + "[_id eq x].subject pr true" + "].subject pr true" * deep
    with pytest.raises(InvalidSearch, match="_filter: column "):
        asked("Provenance", text + " and status eq x")


def test_not_and_or_of_several_types() -> None:
    keys = tuple(f"{t}|status|c|{c}" for t in ("Encounter", "Observation") for c in ("x", "X"))
    assert asked(("Encounter", "Observation"), "not (status eq x) or status pr true") == AnyOf(
        (Not(HasKey(keys)), HasKey(("Encounter|status|?", "Observation|status|?")))
    )


def test_a_name_that_not_every_type_has_is_refused() -> None:
    with pytest.raises(InvalidSearch, match="not every type searched has a search parameter"):
        asked(("Patient", "Observation"), "birthdate pr true")


ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e",
    "status": "planned",
    "period": {"start": "2020-03-01", "end": "2020-05-31"},
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": "Müller", "given": ["Eva", "Bo"]}],
    "gender": "female",
}


@pytest.mark.parametrize(
    ("resource", "text", "found"),
    [
        (ENCOUNTER, "date co 2020-04", True),
        (ENCOUNTER, "date co 2020", False),
        (ENCOUNTER, "date po 2020-05-31", True),
        (ENCOUNTER, "date po 2020-06", False),
        (ENCOUNTER, "date sa 2020-02-29", True),
        (PATIENT, "name eq muller and given eq eva", True),
        (PATIENT, "given eq ev", False),
        (PATIENT, "given ew va or gender eq male", True),
        (PATIENT, "gender eq FEMALE", True),
        (PATIENT, "gender ne male", True),
        (PATIENT, "birthdate ne 2000", False),
        (PATIENT, "active ne true", False),
        (PATIENT, "not (active eq true)", True),
    ],
)
def test_what_is_found(finds: Finds, resource: dict[str, Any], text: str, found: bool) -> None:
    assert finds(f"_filter={text}", resource) is found


WORDS = "name gender link eq co and or not ( ) [ ] . : x 2020 true | , Patient $ pr birthdate"
PIECES = st.sampled_from([*WORDS.split(" "), " ", "  ", '"', "\\"])


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=30))
def test_any_filter_is_understood_or_refused_by_its_name(text: str) -> None:
    try:
        parse_search("Patient", [("_filter", text)], default_count=20, max_count=100)
    except InvalidSearch as error:
        named = error.expression
    else:
        named = ("_filter",)
    assert named == ("_filter",)


def without_columns(node: Node) -> Node:
    match node:
        case Joined(by, left, right):
            return Joined(by, without_columns(left), without_columns(right))
        case Negated(of):
            return Negated(without_columns(of))
        case Comparison(path, op, value, _):
            return Comparison(tuple(Step(step.name, 0) for step in path), op, value, 0)
