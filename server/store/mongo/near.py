"""Points within a distance of a place: a box of degrees finds them, Python measures.  Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from server.search.box import box
from server.search.geodesic import metres
from server.search.query import Near
from server.search.rows import param_hash
from server.store.mongo.compile import Filter


def found_near(asked: Near) -> Filter:
    """Return the filter that finds all that is near, and a little more.

    >>> found_near(Near("Location", "near", 89.9, 0.0, 20_000.0))["pt"]["$elemMatch"].keys()
    dict_keys(['p', 'la'])
    """
    low, high, east = box(asked)
    element: Filter = {"p": param_hash(asked.type, asked.param), "la": {"$gte": low, "$lte": high}}
    if east is not None:
        west, east = asked.longitude - east, asked.longitude + east
        if west >= -180 and east <= 180:
            element["lo"] = {"$gte": west, "$lte": east}
    return {"pt": {"$elemMatch": element}}


def is_near(asked: Near, points: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether one of the points of a document is near."""
    place, wanted = (asked.latitude, asked.longitude), param_hash(asked.type, asked.param)
    return any(
        metres(place, (point["la"], point["lo"])) <= asked.metres
        for point in points
        if point["p"] == wanted
    )
