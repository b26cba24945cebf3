"""NM -> decimal.  HL7 v2.9 chapter 2A.3.46; R4 datatypes.html#decimal."""

import re
from decimal import Decimal

_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?", re.ASCII)
_MOST_DIGITS = 60  # more is no measurement; it would only cost


def decimal_of(text: str) -> Decimal | None:
    """Return the number with the digits that were sent; ``None`` when it is none.

    NM allows what R4 does not: a plus sign, leading zeros, ``.5`` and ``5.``.

    >>> decimal_of("+007.10"), decimal_of(".5"), decimal_of("<5")
    (Decimal('7.10'), Decimal('0.5'), None)
    """
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]) or len(text) > _MOST_DIGITS:
        return None
    sign = "-" if found[1] == "-" else ""
    whole = found[2].lstrip("0") or "0"
    return Decimal(f"{sign}{whole}.{found[3]}" if found[3] else f"{sign}{whole}")
