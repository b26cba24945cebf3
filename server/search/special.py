"""Special search: ``Location?near=[latitude]|[longitude]|[distance]|[units]``.

R4 location.html#search.  Distances are geodesic, on WGS 84 (``geodesic.py``).  The only other
special parameters of R4 are about words (``words.py``) and ``_filter`` (``filter.py``).
"""

import re
from typing import Any

from server.fhir import ucum
from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Near, Predicate
from server.search.rows import hash64, param_hash
from server.search.value import refused, split, unescape

DEFAULT_METRES = 50_000.0  # R4 leaves to the server what is near where no distance is given
MAX_METRES = 20_100_000.0  # farther than any two places are

_NUMBER = re.compile(r"[+-]?\d{1,10}(?:\.\d{1,20})?", re.ASCII)
_SPOKEN = {"mi": "[mi_i]", "mile": "[mi_i]", "miles": "[mi_i]", "ft": "[ft_i]"}  # are no UCUM


def predicate(asked: Asked) -> Predicate:
    """Return what ``near=...`` means.

    >>> predicate(Asked(("Location",), "near", None, ("52.5|13.4|2|km",)))
    Near(type='Location', param='near', latitude=52.5, longitude=13.4, metres=2000.0)
    """
    found = [_wanted(raw, asked.name) for raw in asked.values]
    return any_of([Near(type_, asked.param, *place) for place in found for type_ in asked.types])


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the point of a position; ``None`` for types that have none."""
    if fhir_type != "BackboneElement":
        return None
    presence, hashed = hash64(f"{type_}|{param}|?"), param_hash(type_, param)

    def index(value: Any, rows: Gathered) -> None:
        place = value.get("latitude"), value.get("longitude")
        if None in place:
            return
        latitude, longitude = map(float, place)
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            rows.keys.add(presence)
            rows.points.append((hashed, latitude, longitude))

    return index


def _wanted(raw: str, name: str) -> tuple[float, float, float]:
    match [unescape(part) for part in split(raw, "|")]:
        case [latitude, longitude]:
            asked = latitude, longitude, "", "km"
        case [latitude, longitude, distance]:
            asked = latitude, longitude, distance, "km"
        case [latitude, longitude, distance, unit]:
            asked = latitude, longitude, distance, unit or "km"
        case _:
            raise refused(name, f"{raw!r} is not latitude|longitude|distance|units")
    north, east = (_number(text, name) for text in asked[:2])
    if abs(north) > 90 or abs(east) > 180:
        raise refused(name, "a latitude is from -90 to 90, a longitude from -180 to 180")
    metres = _metres(asked[2], asked[3], name) if asked[2] else DEFAULT_METRES
    return north, east, metres


def _metres(distance: str, unit: str, name: str) -> float:
    found = ucum.canonical(_SPOKEN.get(unit, unit))
    if found is None or found.unit != "m":
        raise refused(name, f"{unit!r} is not a unit of length, as in km, m or [mi_i]")
    metres = _number(distance, name) * float(found.factor)
    if metres < 0:
        raise refused(name, f"{distance!r} is less than nothing")
    return min(metres, MAX_METRES)


def _number(text: str, name: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise refused(name, f"{text!r} is not a number of degrees, or of a distance")
    return float(text)
