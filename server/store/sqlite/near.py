"""Points within a distance of a place: a box of degrees first, then the exact distance.  Pure."""

from math import asin, cos, degrees, radians, sin

from server.search.query import Near
from server.store.sqlite.sql import Sql

_SMALLEST_RADIUS_M = 6_335_000.0  # of curvature, of WGS 84; distances in degrees are at most these


def within(asked: Near) -> Sql:
    """Return the condition on a row ``g`` of ``point``."""
    low, high, east = box(asked)
    near = Sql("distance(g.lat,g.lon,?,?)<=?", (asked.latitude, asked.longitude, asked.metres))
    between = Sql("g.lat between ? and ? and ", (low, high))
    if east is not None:
        west, east = asked.longitude - east, asked.longitude + east
        if west >= -180 and east <= 180:
            between = between + Sql("g.lon between ? and ? and ", (west, east))
    return between + near


def box(asked: Near) -> tuple[float, float, float | None]:
    """Return the lowest and highest latitude, and how far longitudes reach; ``None``: all around.

    A little more than the circle: the box never decides alone.

    >>> low, high, reach = box(Near("Location", "near", 60.0, 10.0, 111_000.0))
    >>> low < 59.01 and high > 60.99 and reach is not None and 2.0 < reach < 2.2
    True
    """
    angle = asked.metres / _SMALLEST_RADIUS_M
    low, high = asked.latitude - degrees(angle), asked.latitude + degrees(angle)
    furthest = cos(radians(asked.latitude))
    if low <= -89 or high >= 89 or sin(angle) >= furthest:
        return low, high, None
    return low, high, degrees(asin(sin(angle) / furthest)) * 1.01
