"""What the words of an item narrow.  Words answer nothing: they only keep something that the
record has of another kind from being taken as known (a work address for "Home address").  Pure.
"""

import re
from collections.abc import Mapping
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")

_SYSTEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": ("phone", "telephone", "telefon", "téléphon", "teléfon", "mobil", "cell", "handy"),
    "email": ("email", "mail"),
    "fax": ("fax", "telefax"),
    "sms": ("sms",),
    "url": ("url", "website", "homepage"),
}
_USES: Final[Mapping[str, tuple[str, ...]]] = {
    "home": ("home", "private", "privat", "landline", "festnetz", "residen", "wohn"),
    "work": ("work", "business", "office", "employer", "dienst", "beruf", "geschäft", "arbeit"),
    "mobile": ("mobil", "cell", "handy"),
    "temp": ("temporary", "vorübergehend"),
    "billing": ("billing", "invoice", "rechnung"),
    "maiden": ("maiden", "geburtsname", "mädchenname"),
}


def system(text: str) -> tuple[tuple[str, str], ...]:
    """Return the ``ContactPoint.system`` that an item's words name, if they name just one.

    >>> system("Telefonnummer"), system("Phone or e-mail")
    ((('system', 'phone'),), ())
    """
    found = _named(text, _SYSTEMS)
    return tuple(("system", one) for one in found) if len(found) == 1 else ()


def uses(text: str) -> frozenset[str]:
    """Return the uses of an address, a name or a number that an item's words name.

    >>> uses("Business address"), uses("Town")
    (frozenset({'work'}), frozenset())
    """
    return frozenset(_named(text, _USES))


def _named(text: str, known: Mapping[str, tuple[str, ...]]) -> list[str]:
    words = _WORD.findall(text.casefold())
    return [name for name, stems in known.items() if any(w.startswith(stems) for w in words)]
