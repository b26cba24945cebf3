"""Degrees around a place, in which all lies that is near it.  Pure."""

from math import asin, cos, degrees, radians, sin

from server.search.query import Near

_SMALLEST_RADIUS_M = 6_335_000.0  # of curvature, of WGS 84; distances in degrees are at most these


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
