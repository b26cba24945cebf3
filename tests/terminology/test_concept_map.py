"""Concept maps as pure values: groups, what is not mapped, dependencies, both directions."""

from typing import Any

import pytest

from server.fhir.errors import TooCostly
from terminology import concept_map as engine
from terminology.concept_map import Coded, ConceptMap
from terminology.synonyms import Synonyms
from terminology.translation import Translation, Wanted, translate
from tests.pace import cost_s
from tests.terminology.maps import (
    DEPARTMENT,
    LOCAL,
    LOINC,
    SNOMED,
    concept_map,
    element,
    group,
    target,
)


def compiled(*groups: dict[str, Any], name: str = "m") -> ConceptMap:
    return engine.compiled(concept_map(name, *groups))


def asked(map_: ConceptMap, code: str, *, system: str = LOCAL, **wanted: Any) -> Translation:
    return translate([map_], Coded(system, code), Wanted(**wanted))


def told(translation: Translation) -> list[tuple[str, str | None, str | None]]:
    return [
        (m.equivalence, m.concept.system, m.concept.code)
        if m.concept
        else (m.equivalence, None, None)
        for m in translation.matches
    ]


PULSE = group(
    element("HR", target("8867-4", display="Heart rate"), target("8893-0", "wider")),
    element("NONE", target(None, "unmatched")),
    element("NOT", target("1-8", "disjoint")),
    element("EMPTY"),
)


def test_a_code_has_all_its_targets_in_the_order_of_the_map() -> None:
    found = asked(compiled(PULSE), "HR")

    assert found.result
    assert told(found) == [("equivalent", LOINC, "8867-4"), ("wider", LOINC, "8893-0")]
    assert found.matches[0].concept == Coded(LOINC, "8867-4", "Heart rate")
    assert found.matches[0].source == "http://h.test/map/m"


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("NONE", [("unmatched", None, None)]),
        ("NOT", [("disjoint", LOINC, "1-8")]),
        ("EMPTY", []),
        ("UNKNOWN", []),
    ],
)
def test_that_nothing_fits_is_no_result(code: str, matches: list[Any]) -> None:
    found = asked(compiled(PULSE), code)
    assert (found.result, told(found)) == (False, matches)


def test_only_groups_of_the_codes_system_are_asked() -> None:
    assert told(asked(compiled(PULSE), "HR", system=SNOMED)) == []
    assert len(told(asked(compiled(PULSE), "HR", system=""))) == 2


def test_a_wanted_system_leaves_the_others_out() -> None:
    to_snomed = group(element("HR", target("364075005", "equal")), target=SNOMED)
    both = compiled(PULSE, to_snomed)

    assert told(asked(both, "HR", system=LOCAL)) == [
        ("equivalent", LOINC, "8867-4"),
        ("wider", LOINC, "8893-0"),
        ("equal", SNOMED, "364075005"),
    ]
    found = translate([both], Coded(LOCAL, "HR"), Wanted(system=SNOMED))
    assert told(found) == [("equal", SNOMED, "364075005")]


def test_a_group_of_another_version_of_the_system_is_not_asked() -> None:
    map_ = compiled(group(element("HR", target("8867-4")), sourceVersion="2"))

    assert translate([map_], Coded(LOCAL, "HR", version="1")).matches == ()
    assert len(translate([map_], Coded(LOCAL, "HR", version="2")).matches) == 1
    assert len(translate([map_], Coded(LOCAL, "HR")).matches) == 1


@pytest.mark.parametrize(
    ("stated", "reversed_"),
    [
        ("equal", "equal"),
        ("equivalent", "equivalent"),
        ("wider", "narrower"),
        ("narrower", "wider"),
        ("subsumes", "specializes"),
        ("specializes", "subsumes"),
        ("inexact", "inexact"),
        ("relatedto", "relatedto"),
    ],
)
def test_in_reverse_the_equivalence_is_turned_round(stated: str, reversed_: str) -> None:
    map_ = compiled(group(element("HR", target("8867-4", stated))))

    found = translate([map_], Coded(LOINC, "8867-4"), Wanted(reverse=True))

    assert told(found) == [(reversed_, LOCAL, "HR")]


def test_unmapped_provided_keeps_the_code_in_the_other_system() -> None:
    map_ = compiled(group(element("A", target("a")), unmapped={"mode": "provided"}))
    assert told(asked(map_, "B")) == [("relatedto", LOINC, "B")]
    assert told(asked(map_, "A")) == [("equivalent", LOINC, "a")]


def test_unmapped_fixed_gives_its_code() -> None:
    unmapped = {"mode": "fixed", "code": "other", "display": "Other"}
    map_ = compiled(group(element("A", target("a")), unmapped=unmapped))

    found = asked(map_, "B")

    assert told(found) == [("relatedto", LOINC, "other")]
    assert found.matches[0].concept == Coded(LOINC, "other", "Other")


def test_a_code_that_a_group_says_nothing_fits_is_not_unmapped() -> None:
    unmapped = {"mode": "fixed", "code": "other"}
    map_ = compiled(group(element("A", target(None, "unmatched")), unmapped=unmapped))
    assert told(asked(map_, "A")) == [("unmatched", None, None)]


def other_map(url: str) -> dict[str, Any]:
    return {"mode": "other-map", "url": f"http://h.test/map/{url}"}


def test_other_map_asks_the_other_map() -> None:
    first = compiled(group(element("A", target("a")), unmapped=other_map("second")), name="first")
    second = compiled(group(element("B", target("b", "narrower"))), name="second")

    found = translate([first], Coded(LOCAL, "B"), find={second.url: second}.get)

    assert told(found) == [("narrower", LOINC, "b")]
    assert found.matches[0].source == "http://h.test/map/second"


def test_other_maps_that_lead_back_end_with_a_message() -> None:
    names = ("a", "b", "c")
    onward = dict(zip(names, ("b", "c", "a"), strict=True))
    maps = {
        f"http://h.test/map/{name}": compiled(
            group(element("X", target("x")), unmapped=other_map(onward[name])), name=name
        )
        for name in names
    }

    found = translate([maps["http://h.test/map/a"]], Coded(LOCAL, "B"), find=maps.get)

    assert (found.result, found.matches) == (False, ())
    way = " -> ".join(f"http://h.test/map/{name}" for name in "abca")
    assert found.messages == (f"concept maps lead back to themselves: {way}",)


def test_a_long_chain_of_other_maps_ends_with_a_message() -> None:
    maps = {
        f"http://h.test/map/{n}": compiled(
            group(element("X", target("x")), unmapped=other_map(str(n + 1))), name=str(n)
        )
        for n in range(20)
    }
    found = translate([maps["http://h.test/map/0"]], Coded(LOCAL, "B"), find=maps.get)
    assert found.messages == ("more than 10 concept maps lead to each other in a row",)


def test_another_map_that_is_not_here_is_told() -> None:
    map_ = compiled(group(element("A", target("a")), unmapped=other_map("gone")))
    assert asked(map_, "B").messages == (
        "the concept map http://h.test/map/gone that codes are sent on to is not here",
    )


def test_a_match_that_depends_on_something_needs_it() -> None:
    needs = [{"property": DEPARTMENT, "system": "http://h.test/wards", "value": "ICU"}]
    map_ = compiled(group(element("HR", target("8867-4", dependsOn=needs), target("8893-0"))))
    icu, other = Coded("http://h.test/wards", "ICU"), Coded("http://h.test/wards", "ER")

    without = asked(map_, "HR")
    assert told(without) == [("equivalent", LOINC, "8893-0")]
    assert without.messages == (f"http://h.test/map/m has a match that depends on {DEPARTMENT}",)
    assert len(asked(map_, "HR", dependencies={DEPARTMENT: (icu,)}).matches) == 2
    assert len(asked(map_, "HR", dependencies={DEPARTMENT: (other,)}).matches) == 1


def test_products_come_with_their_match() -> None:
    made = [{"property": DEPARTMENT, "system": "http://h.test/wards", "value": "ICU"}]
    (match,) = asked(compiled(group(element("A", target("a", product=made)))), "A").matches
    assert [(one.element, one.value.code) for one in match.products] == [(DEPARTMENT, "ICU")]


@pytest.mark.parametrize("equivalence", ["equal", "equivalent"])
def test_the_same_is_the_same_in_both_directions(equivalence: str) -> None:
    map_ = compiled(group(element("HR", target("8867-4", equivalence))))

    assert Synonyms([map_]).of((LOCAL, "HR")) == {(LOINC, "8867-4")}
    assert Synonyms([map_]).of((LOINC, "8867-4")) == {(LOCAL, "HR")}


@pytest.mark.parametrize(
    "equivalence",
    [
        "wider",
        "subsumes",
        "narrower",
        "specializes",
        "inexact",
        "relatedto",
        "unmatched",
        "disjoint",
    ],
)
def test_nothing_less_than_equivalent_is_the_same(equivalence: str) -> None:
    map_ = compiled(group(element("HR", target("8867-4", equivalence))))

    assert Synonyms([map_]).of((LOCAL, "HR")) == frozenset()
    assert Synonyms([map_]).of((LOINC, "8867-4")) == frozenset()


def test_what_is_unmapped_or_depends_on_something_is_not_the_same() -> None:
    needs = [{"property": DEPARTMENT, "value": "ICU"}]
    map_ = compiled(
        group(element("HR", target("8867-4", dependsOn=needs)), unmapped={"mode": "provided"})
    )
    assert Synonyms([map_]).of((LOCAL, "HR")) == frozenset()
    assert Synonyms([map_]).of((LOCAL, "8867-4")) == frozenset()


def test_what_another_map_denies_is_not_the_same() -> None:
    yes = compiled(group(element("HR", target("8867-4"))), name="yes")
    no = compiled(group(element("HR", target("8867-4", "disjoint"))), name="no")
    assert Synonyms([yes, no]).of((LOCAL, "HR")) == frozenset()


def test_meanings_are_not_chained() -> None:
    first = compiled(group(element("HR", target("8867-4"))))
    second = compiled(
        group(element("8867-4", target("364075005")), source=LOINC, target=SNOMED), name="n"
    )
    assert Synonyms([first, second]).of((LOCAL, "HR")) == {(LOINC, "8867-4")}


def test_a_map_of_a_hundred_thousand_codes_is_asked_by_an_index() -> None:
    map_ = compiled(group(*(element(f"L{n}", target(f"{n}-0")) for n in range(100_000))))

    def ask() -> None:
        for n in range(0, 100_000, 1000):
            assert told(asked(map_, f"L{n}")) == [("equivalent", LOINC, f"{n}-0")]
            assert Synonyms([map_]).of((LOINC, f"{n}-0")) == {(LOCAL, f"L{n}")}

    assert cost_s(ask, 1.0) < 1.0  # a scan would take a hundred times as long


def test_a_map_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_TARGETS", 2)
    with pytest.raises(TooCostly, match="maps more than 2 codes"):
        compiled(group(*(element(f"L{n}", target("x")) for n in range(3))))
