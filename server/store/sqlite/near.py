"""Points within a distance of a place: a box of degrees first, then the exact distance.  Pure."""

from server.search.box import box
from server.search.query import Near
from server.store.sqlite.sql import Sql


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
