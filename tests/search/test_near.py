"""Location?near: geodesic distances on WGS 84, against published ones."""

from math import cos, dist, radians, sin, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.errors import InvalidSearch
from server.search.geodesic import Place, metres

PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((40.6, -73.8), (51.6, -0.5), 5_551_759.400),  # GeographicLib, GeodSolve: JFK to LHR
        ((-41.32, 174.81), (40.96, -5.50), 19_959_679.267),  # the same: Wellington to Salamanca
        ((0, 0), (0.5, 179.5), 19_936_288.579),  # Karney 2013: Vincenty converges slowly
        ((0, 0), (0.5, 179.7), 19_944_127.421),  # and here not at all
        ((0, 0), (0, 180), 20_003_931.459),  # half of a meridian
        ((90, 0), (-90, 0), 20_003_931.459),
        ((30, 10), (-30, -170), 20_003_931.459),
        ((0, 0), (1, 0), 110_574.389),
        ((0, 0), (0, 1), 111_319.491),
        ((0, 179.5), (0, -179.5), 111_319.491),
        ((90, 0), (90, 120), 0.0),
        ((52.5, 13.4), (52.5, 13.4), 0.0),
    ],
)
def test_a_distance_is_the_published_one(one: Place, other: Place, distance: float) -> None:
    assert metres(one, other) == pytest.approx(distance, abs=0.001)


def chord_end(place: Place) -> tuple[float, float, float]:
    """Return where a place is, in metres from the middle of the earth."""
    flattening = 1 / 298.257223563
    squared = flattening * (2 - flattening)
    latitude, longitude = map(radians, place)
    normal = 6_378_137.0 / sqrt(1 - squared * sin(latitude) ** 2)
    around = normal * cos(latitude)
    return around * cos(longitude), around * sin(longitude), normal * (1 - squared) * sin(latitude)


@given(PLACES, PLACES)
def test_a_distance_is_the_same_both_ways_and_no_shorter_than_the_chord(
    one: Place, other: Place
) -> None:
    there = metres(one, other)
    assert there == pytest.approx(metres(other, one), abs=0.01)
    assert dist(chord_end(one), chord_end(other)) <= there + 0.001
    assert there <= 20_003_931.46


def location(latitude: float, longitude: float) -> dict[str, Any]:
    position = {"latitude": latitude, "longitude": longitude}
    return {"resourceType": "Location", "id": "a", "position": position}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("0|0|111|km", False),
        ("0|0|112|km", True),
        ("0|0|112", True),
        ("0|0|112|", True),
        ("0|0|111319|m", False),
        ("0|0|111320|m", True),
        ("0|0|70|[mi_i]", True),
        ("0|0|69|mi", False),
        ("0|0", False),
        ("0|0.6", True),
        ("0|0.6|", True),
        ("0|0|1|km,0|1|0|km", True),
    ],
)
def test_a_place_is_near_within_the_distance(finds: Any, asked: str, found: bool) -> None:
    assert finds(f"near={asked}", location(0, 1)) is found


def test_places_are_near_each_other_across_the_date_line(finds: Any) -> None:
    assert finds("near=10|179.9|30|km", location(10, -179.9))


@pytest.mark.parametrize(
    "asked",
    [
        "0",
        "0|0|1|km|x",
        "91|0|1|km",
        "0|181|1|km",
        "0|0|-1|km",
        "0|0|1|kg",
        "0|0|1|?",
        "a|0",
        "nan|0",
    ],
)
def test_what_is_no_place_or_distance_is_refused(finds: Any, asked: str) -> None:
    with pytest.raises(InvalidSearch, match="near: "):
        finds(f"near={asked}", location(0, 0))


def test_a_location_without_a_position_is_near_nothing(finds: Any) -> None:
    nowhere = {"resourceType": "Location", "id": "a"}
    assert not finds("near=0|0|20000|km", nowhere)
    assert finds("near:missing=true", nowhere)
    assert finds("near:missing=false", location(0, 0))
    assert finds("near:missing=true", location(100, 0))
