"""The oracle: each predicate over one resource, and references among a few."""

from collections.abc import Iterable
from typing import Any

import pytest

from server.search import reach
from server.search.containers import containers
from server.search.extract import index_rows
from server.search.match import Candidate, Moment, matches, names_of
from server.search.parse import parse_search
from server.search.query import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    CodesOf,
    HasKey,
    Hop,
    IdIs,
    Near,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
    StringIs,
    TextIs,
    UpdatedIs,
    Words,
)
from server.search.rows import hash64


class Record:
    """A world of these resources."""

    def __init__(self, *resources: dict[str, Any]) -> None:
        self.all = [Candidate(one, index_rows(one), 0) for one in resources]

    def named(self, target: int) -> Iterable[Candidate]:
        return [one for one in self.all if target in names_of(one.resource, one.rows)]

    def of_type(self, type_: str) -> Iterable[Candidate]:
        return [one for one in self.all if one.resource["resourceType"] == type_]

    def found(self, query: Query) -> list[str]:
        return [
            one.resource["id"]
            for one in self.all
            if matches(query, one.resource, one.rows, updated=0, world=self)
        ]


def holds(where: Predicate, resource: dict[str, Any]) -> bool:
    query = Query((resource["resourceType"],), where)
    return matches(query, resource, index_rows(resource), updated=0)


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "gender": "male",
    "name": [{"family": "Smithson"}, {"family": "Lee"}],
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">Chest <b>pain</b>, no fever</div>',
    },
}


@pytest.mark.parametrize(
    ("op", "value", "found"),
    [
        ("is", "smithson", True),
        ("is", "smith", False),
        ("starts", "smith", True),
        ("starts", "son", False),
        ("contains", "ths", True),
        ("contains", "lees", False),
        ("ends", "son", True),
        ("ends", "smith", False),
    ],
)
def test_a_string_is_starts_contains_or_ends(op: Any, value: str, found: bool) -> None:
    assert holds(StringIs("Patient", "family", op, (value, "nobody")), PATIENT) is found


def test_texts_are_compared_by_part() -> None:
    coded = {
        "resourceType": "Condition",
        "id": "c",
        "code": {"text": "Broken arm", "coding": [{"display": "Fracture of humerus"}]},
    }
    assert holds(TextIs("Condition", "code:text", "ends", ("humerus",)), coded)
    assert holds(TextIs("Condition", "code:text", "is", ("broken arm",)), coded)
    assert not holds(TextIs("Condition", "code:text", "starts", ("humerus", "arm")), coded)
    assert not holds(TextIs("Condition", "category:text", "contains", ("arm",)), coded)


@pytest.mark.parametrize(
    ("phrases", "found"),
    [
        ((("chest", "pain"),), True),
        ((("pain", "chest"),), False),
        ((("fever",), ("chest",)), True),
        ((("fever",), ("cough",)), False),
        ((("fev*",),), True),
        ((("fev",),), False),
        ((("no", "fev*"),), True),
        ((("ever",),), False),
    ],
)
def test_words_stand_in_a_row_and_begin_as_asked(
    phrases: tuple[tuple[str, ...], ...], found: bool
) -> None:
    assert holds(Words("text", phrases), PATIENT) is found
    assert holds(Words("content", phrases), PATIENT) is found


def test_the_narrative_is_part_of_the_content_and_not_the_other_way_round() -> None:
    assert holds(Words("content", (("smithson",),)), PATIENT)
    assert not holds(Words("text", (("smithson",),)), PATIENT)


def test_near_is_geodesic_and_crosses_the_line_of_dates() -> None:
    taveuni = {
        "resourceType": "Location",
        "id": "l",
        "position": {"latitude": -16.8, "longitude": 179.99},
    }
    assert holds(Near("Location", "near", -16.8, -179.99, 2_200), taveuni)
    assert not holds(Near("Location", "near", -16.8, -179.99, 2_100), taveuni)
    assert not holds(Near("Location", "position", -16.8, 179.99, 100), taveuni)


def test_codes_that_nobody_has_named_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match=r"Patient\.gender asks for codes that are not known here"):
        holds(CodesOf("Patient", "gender", "in", "http://x"), PATIENT)


def observation(id_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "status": "final", **elements}


RECORD = Record(
    PATIENT,
    {"resourceType": "Patient", "id": "q", "gender": "female"},
    observation("1", subject={"reference": "Patient/p"}),
    observation("2", subject={"reference": "Patient/q/_history/3"}, status="amended"),
    observation("3", subject={"reference": "Patient/gone"}),
    observation("4", subject={"reference": "#in"}),
    observation("5", hasMember=[{"reference": "Observation/1"}, {"reference": "Observation/6"}]),
    observation("6", hasMember=[{"reference": "Observation/5"}]),
    {"resourceType": "Questionnaire", "id": "v1", "url": "http://q", "version": "1"},
    {"resourceType": "Questionnaire", "id": "v2", "url": "http://q", "version": "2"},
    {"resourceType": "QuestionnaireResponse", "id": "any", "questionnaire": "http://q"},
    {"resourceType": "QuestionnaireResponse", "id": "one", "questionnaire": "http://q|1"},
)
OF_MALE = Refers("Observation", "subject", Query(("Patient",), HasKey(("Patient|gender|c|male",))))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (OF_MALE, ["1"]),
        (Not(OF_MALE), ["2", "3", "4", "5", "6"]),
        (Refers("Observation", "subject", Query(("Patient",))), ["1", "2"]),
        (Refers("Observation", "subject", Query(("Group",))), []),
        (Refers("Observation", "patient", Query(("Patient",))), ["1", "2"]),
        (Refers("Observation", "has-member", Query(("Observation",), OF_MALE)), ["5"]),
        (
            Refers(
                "Observation",
                "has-member",
                Query(
                    ("Observation",),
                    Refers("Observation", "has-member", Query(("Observation",), OF_MALE)),
                ),
            ),
            ["6"],
        ),
        (ReferredBy(Query(("Observation",)), "has-member"), ["1", "5", "6"]),
        (ReferredBy(Query(("Observation",), IdIs(("6",))), "has-member"), ["5"]),
        (ReferredBy(Query(("Observation",), NOTHING), "has-member"), []),
    ],
)
def test_references_are_followed_both_ways(where: Predicate, found: list[str]) -> None:
    assert RECORD.found(Query(("Observation",), where)) == found


def test_a_canonical_reference_means_each_version_or_the_one_it_states() -> None:
    def asked_by(id_: str) -> Query:
        by = Query(("QuestionnaireResponse",), IdIs((id_,)))
        return Query(("Questionnaire",), ReferredBy(by, "questionnaire"))

    assert RECORD.found(asked_by("any")) == ["v1", "v2"]
    assert RECORD.found(asked_by("one")) == ["v1"]


def test_without_a_world_no_chain_finds_any() -> None:
    one = RECORD.all[2]
    query = Query(("Observation",), OF_MALE)
    assert matches(query, one.resource, one.rows, updated=0, world=RECORD)
    assert not matches(query, one.resource, one.rows, updated=0)


def test_a_moment_remembers_and_answers_as_the_world_does() -> None:
    moment = Moment(RECORD)
    query = Query(("Observation",), OF_MALE)
    found = [one.resource["id"] for one in RECORD.all if moment.matches(query, one)]
    assert found == ["1"]
    assert found == [one.resource["id"] for one in RECORD.all if moment.matches(query, one)]


def test_a_chained_sort_takes_the_smallest_or_largest_of_all_that_is_reached() -> None:
    hops = (Hop("has-member", Query(("Observation",))),)
    ascending, descending = (SortKey("_id", "id", down, hops) for down in (False, True))
    five, alone = RECORD.all[6], RECORD.all[2]
    moment = Moment(RECORD)
    assert reach.sort_value(five, ascending, moment) == "1"
    assert reach.sort_value(five, descending, moment) == "6"
    assert reach.sort_value(alone, ascending, moment) is None


def test_the_hops_of_a_sort_lead_to_what_their_queries_hold_of() -> None:
    there = Hop("has-member", Query(("Observation",), IdIs(("6",))))
    moment = Moment(RECORD)
    reached = list(reach.reached(RECORD.all[6], (there,), moment))
    assert [one.resource["id"] for one in reached] == ["6"]
    back = reach.reached(RECORD.all[6], (there, Hop("has-member", Query(("Observation",)))), moment)
    assert [one.resource["id"] for one in back] == ["5"]


REQUEST: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "id": "r",
    "contained": [
        {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "x"}]}},
        {"resourceType": "Medication", "id": "n", "status": "inactive"},
    ],
    "medicationReference": {"reference": "#m"},
}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("code", "x", True),
        ("code", "y", False),
        ("status", "inactive", True),
        ("code:not", "x", True),
        ("_id", "m", True),
        ("code:missing", "true", True),
        ("manufacturer.name", "x", False),
        ("_has:MedicationRequest:medication:_id", "r", False),
    ],
)
def test_containers_are_found_by_what_they_contain(name: str, value: str, found: bool) -> None:
    search = parse_search(
        "Medication", [(name, value), ("_contained", "true")], default_count=1, max_count=9
    )
    assert search.containers is not None
    assert matches(search.containers, REQUEST, index_rows(REQUEST), updated=0) is found


def test_what_contains_none_of_the_type_is_no_container() -> None:
    found = containers(Query(("Substance",)))
    assert not matches(found, REQUEST, index_rows(REQUEST), updated=0)
    assert "MedicationRequest" in found.types


def test_what_the_index_cannot_tell_of_contained_resources_is_left_to_the_check() -> None:
    code, there = HasKey(("Medication|code|c|x",)), HasKey(("#Medication",))
    unknown: tuple[Predicate, ...] = (
        Not(code),
        IdIs(("a",)),
        UpdatedIs("gt", 0, 1),
        Words("text", (("a",),)),
        AnyOf((code, IdIs(("a",)))),
        EVERYTHING,
    )
    for where in unknown:
        assert containers(Query(("Medication",), where)).where == AllOf((there,))
    both = containers(Query(("Medication",), AllOf((code, IdIs(("a",))))))
    assert both.where == AllOf((there, HasKey(("#Medication|code|c|x",))))


def test_a_resource_is_named_by_type_and_id_and_by_its_canonical_addresses() -> None:
    version_one = RECORD.all[8]
    assert set(names_of(version_one.resource, version_one.rows)) == {
        hash64("Questionnaire/v1"),
        hash64("http://q"),
        hash64("http://q|1"),
    }
    assert names_of({"resourceType": "Patient"}, index_rows(PATIENT)) == ()
