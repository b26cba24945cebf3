"""How a stored interval compares to the asked one, for dates, numbers and quantities alike.

R4 search.html#prefix.  All intervals are half open.  Every store says exactly this in its own
language: a row matches or not, and a resource matches when one of its rows does.
"""

from server.search.query import Comparator


def compare(op: Comparator, lo: float, hi: float, asked_lo: float, asked_hi: float) -> bool:
    """Tell whether the stored ``lo..hi`` stands in the relation ``op`` to the asked interval.

    ``ap``: the intervals overlap; ``search.parse`` has widened the asked one already.

    >>> compare("eq", 10, 20, 0, 30), compare("gt", 10, 31, 0, 30), compare("sa", 10, 31, 0, 30)
    (True, True, False)
    """
    match op:
        case "eq":
            return asked_lo <= lo and hi <= asked_hi
        case "ne":
            return lo < asked_lo or asked_hi < hi
        case "gt":
            return hi > asked_hi
        case "lt":
            return lo < asked_lo
        case "ge":
            return hi > asked_hi or (asked_lo <= lo and hi <= asked_hi)
        case "le":
            return lo < asked_lo or (asked_lo <= lo and hi <= asked_hi)
        case "sa":
            return lo >= asked_hi
        case "eb":
            return hi <= asked_lo
        case "ap":
            return lo < asked_hi and hi > asked_lo
