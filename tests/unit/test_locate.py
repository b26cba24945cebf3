import pytest

from server.fhir.locate import locate

TEXT = """{
 "resourceType": "Observation",
 "codeX": 1, "code": {"text": "x"},
 "valueQuantity": {"value": 1, "unit": ""},
 "name": [
   {"given": ["a", null],
    "_given": [null, {"extension": [{}, {"url": 3}]}]},
   {"family": "]\\"", "fam\\u0069": [[1, 2], [3]]}
 ]
}"""


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("Observation", (1, 1)),
        ("Observation.code", (3, 14)),
        ("Observation.value", (4, 2)),
        ("Observation.value.unit", (4, 32)),
        ("Observation.name[0].given[1]", (6, 20)),
        ("Observation.name[0].given[1].extension[1].url", (7, 42)),
        ("Observation.name[1].family", (8, 5)),
        ("Observation.name[1].fami[1][0]", (8, 45)),
    ],
)
def test_an_element_stands_at_its_property_or_item(expression: str, place: tuple[int, int]) -> None:
    assert locate(TEXT, [expression]) == {expression: place}


def test_a_missing_element_stands_where_the_one_around_it_begins() -> None:
    assert locate(TEXT, ["Observation.status", "Observation.name[1].use"]) == {
        "Observation.status": (1, 1),
        "Observation.name[1].use": (8, 4),
    }
