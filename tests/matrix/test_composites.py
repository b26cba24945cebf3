"""Every composite parameter: pairs of one element are found, pairs of two elements are not."""

from itertools import product

import pytest

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from tests.matrix import naive_composite
from tests.matrix.naive import atoms
from tests.matrix.naive_composite import Element, elements, parts
from tests.matrix.questions import part, spread
from tests.matrix.record import Record

PLACES = sorted(
    (type_, code)
    for type_ in definitions.resource_types()
    for code, one in definitions.search_parameters(type_).items()
    if one.type == "composite"
)
SHOWN = 12


@pytest.mark.parametrize(("type_", "code"), PLACES)
async def test_a_composite_is_met_by_one_element(type_: str, code: str, record: Record) -> None:
    composite = definitions.search_parameters(type_)[code]
    found = {one.place: elements(composite, one.resource) for one in record.of_type(type_)}
    whole = [e for held in found.values() for e in held if is_whole(composite, e)]
    different, hits = [], set()
    for raw in questions(composite, whole, split_pairs(composite, list(found.values()))):
        second = {p for p, held in found.items() if naive_composite.finds(composite, held, raw)}
        different += await record.differences(type_, code, raw, second)
        hits |= second
    for value in ("true", "false"):
        different += await record.differences(type_, f"{code}:missing", value)

    assert different[:SHOWN] == []
    assert len(hits) >= 3


def is_whole(composite: SearchParameter, element: Element) -> bool:
    return all(
        any(atoms(definition.type, value) for value in values)
        for definition, values in zip(parts(composite), element, strict=True)
    )


def split_pairs(composite: SearchParameter, held: list[list[Element]]) -> list[Element]:
    """Return parts of two elements of one resource put together: the trap."""
    mixed = [
        (*first[:-1], second[-1])
        for found in held
        for first, second in product(found, found)
        if first is not second
    ]
    return [element for element in mixed if is_whole(composite, element)]


def questions(composite: SearchParameter, whole: list[Element], traps: list[Element]) -> list[str]:
    asked: list[str] = []
    for element in (*spread_elements(whole, 4), *spread_elements(traps, 3)):
        of_parts = [part(p, values) for p, values in zip(parts(composite), element, strict=True)]
        asked += ["$".join(one) for one in product(*of_parts)][:24]
    return list(dict.fromkeys([*asked, ",".join(asked[:2])]))


def spread_elements(found: list[Element], count: int) -> list[Element]:
    by_text = {repr(element): element for element in found}
    return [by_text[text] for text in spread(by_text, count)]


def test_the_second_oracle_needs_both_parts_on_one_element() -> None:
    composite = definitions.search_parameters("Observation")["component-code-value-quantity"]
    resource = {
        "resourceType": "Observation",
        "component": [
            {"code": {"coding": [{"code": "a"}]}, "valueQuantity": {"value": 1}},
            {"code": {"coding": [{"code": "b"}]}, "valueQuantity": {"value": 2}},
        ],
    }
    found = elements(composite, resource)
    asked = ("a$1", "b$2", "a$2", "a$gt0", "b$lt2")
    assert [naive_composite.finds(composite, found, raw) for raw in asked] == [
        True,
        True,
        False,
        True,
        False,
    ]
