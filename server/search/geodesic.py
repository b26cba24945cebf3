"""How far two places are from each other on the WGS 84 ellipsoid.

Vincenty's inverse formula (Survey Review 23, 1975), good to a millimetre.  It fails to converge
for places nearly opposite each other; their shortest way is found through the places halfway.
"""

from collections.abc import Callable
from math import atan, atan2, cos, degrees, hypot, pi, radians, sin, sqrt, tan

_A = 6_378_137.0  # semi-major axis, metres
_F = 1 / 298.257223563
_B = _A * (1 - _F)
_HALFWAY = 1e7  # metres
_GOLDEN = (sqrt(5) - 1) / 2

Place = tuple[float, float]
"""Latitude and longitude in degrees."""

Function = Callable[[float], float]


def metres(one: Place, other: Place) -> float:
    """Return the length of the shortest way over the ellipsoid.

    >>> round(metres((40.6, -73.8), (51.6, -0.5)))  # New York to London
    5551759
    >>> round(metres((0.0, 0.0), (0.0, 180.0)))  # over a pole
    20003931
    """
    found = _vincenty(one, other)
    return found if found is not None else _around(one, other)


def _vincenty(one: Place, other: Place) -> float | None:
    """Return the distance in metres, ``None`` where the iteration finds no end."""
    difference = radians((other[1] - one[1] + 180) % 360 - 180)
    u1, u2 = (atan((1 - _F) * tan(radians(place[0]))) for place in (one, other))
    sin1, cos1, sin2, cos2 = sin(u1), cos(u1), sin(u2), cos(u2)
    longitude = difference
    for _ in range(50):
        sin_l, cos_l = sin(longitude), cos(longitude)
        sin_s = hypot(cos2 * sin_l, cos1 * sin2 - sin1 * cos2 * cos_l)
        if sin_s == 0:
            return 0.0 if cos_l > 0 and abs(u1 - u2) < 1 else None
        cos_s = sin1 * sin2 + cos1 * cos2 * cos_l
        arc = atan2(sin_s, cos_s)
        sin_a = cos1 * cos2 * sin_l / sin_s
        squared = 1 - sin_a * sin_a
        middle = cos_s - 2 * sin1 * sin2 / squared if squared > 1e-15 else 0.0
        c = _F / 16 * squared * (4 + _F * (4 - 3 * squared))
        bent = middle + c * cos_s * (2 * middle * middle - 1)
        before, longitude = longitude, difference + (1 - c) * _F * sin_a * (arc + c * sin_s * bent)
        if abs(longitude) > pi:
            return None
        if abs(longitude - before) < 1e-12:
            return _length(squared, sin_s, cos_s, arc, middle)
    return None


def _length(squared: float, sin_s: float, cos_s: float, arc: float, middle: float) -> float:
    a, b = _series(squared)
    return _B * a * (arc - _correction(b, sin_s, cos_s, middle))


def _series(squared: float) -> tuple[float, float]:
    u = squared * (_A * _A - _B * _B) / (_B * _B)
    a = 1 + u / 16384 * (4096 + u * (u * (320 - 175 * u) - 768))
    return a, u / 1024 * (256 + u * (u * (74 - 47 * u) - 128))


def _correction(b: float, sin_s: float, cos_s: float, middle: float) -> float:
    double = 2 * middle * middle - 1
    cubic = b / 6 * middle * (4 * sin_s * sin_s - 3) * (4 * middle * middle - 3)
    return b * sin_s * (middle + b / 4 * (cos_s * double - cubic))


def _around(one: Place, other: Place) -> float:
    """Return the distance of places nearly opposite: the least sum over all ways to begin.

    The shortest way begins in some direction, and the place halfway along it is on no detour.
    """

    def through(azimuth: float) -> float:
        rest = _vincenty(_direct(one, azimuth), other)
        return _HALFWAY + rest if rest is not None else 2.1e7

    steps = 24
    ways = (2 * pi * step / steps for step in range(steps))
    best = sorted((through(azimuth), azimuth) for azimuth in ways)[:2]
    return min(_least(through, at - 2 * pi / steps, at + 2 * pi / steps) for _, at in best)


def _least(of: Function, low: float, high: float) -> float:
    """Return the least value between (golden section)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    while high - low > 1e-8:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = of(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = of(right)
    return min(at_left, at_right)


def _direct(start: Place, azimuth: float) -> Place:
    """Return the place halfway round from ``start``, by Vincenty's direct formula."""
    u1 = atan((1 - _F) * tan(radians(start[0])))
    sin1, cos1, sin_z, cos_z = sin(u1), cos(u1), sin(azimuth), cos(azimuth)
    first = atan2(sin1, cos1 * cos_z)
    sin_a = cos1 * sin_z
    squared = 1 - sin_a * sin_a
    a, b = _series(squared)
    arc = _HALFWAY / (_B * a)
    for _ in range(20):
        middle = cos(2 * first + arc)
        arc = _HALFWAY / (_B * a) + _correction(b, sin(arc), cos(arc), middle)
    middle, sin_s, cos_s = cos(2 * first + arc), sin(arc), cos(arc)
    across = sin1 * sin_s - cos1 * cos_s * cos_z
    latitude = atan2(sin1 * cos_s + cos1 * sin_s * cos_z, (1 - _F) * hypot(sin_a, across))
    turned = atan2(sin_s * sin_z, cos1 * cos_s - sin1 * sin_s * cos_z)
    c = _F / 16 * squared * (4 + _F * (4 - 3 * squared))
    bent = middle + c * cos_s * (2 * middle * middle - 1)
    longitude = turned - (1 - c) * _F * sin_a * (arc + c * sin_s * bent)
    return degrees(latitude), start[1] + degrees(longitude)
