"""What each feed said last about each element of a resource, and when.  Pure.

It lies beside the resource as a record of kind ``feed-owned`` (key ``Type/id``), written in the
commit of the version it is about.  Values are kept as hashes: the record holds no patient data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import orjson

OWNED = "feed-owned"


@dataclass(frozen=True, slots=True)
class Said:
    """One feed's last word on one element, at its time (microseconds, ``0``: no time to trust).

    Of a list: ``items`` are the hashes of the items it named.  Of a single value: the hash of what
    the record then held, and behind it that of what was said when this differs.  ``~`` stands
    before what somebody else had put there, so that it is not the feed's own.  Empty: deleted.
    """

    at: int
    items: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """The hashes of ``items`` without their marks."""
        return tuple(item.removeprefix("~") for item in self.items)


Voice = Mapping[str, Said]  # element -> last word
Ownership = Mapping[str, Voice]  # feed, filling(feed) or DEFAULTS -> its voice

_FILLING = "?"
DEFAULTS = _FILLING  # the voice of what no message said; it counts from no time at all


def filling(feed: str) -> str:
    """Return the name of the voice that ``feed`` speaks with when it only fills gaps.

    One feed brings both: admissions with authority, and results that know the patient by hearsay.
    """
    return feed + _FILLING


def is_filling(voice: str) -> bool:
    """Tell whether a voice is without authority.

    >>> is_filling(filling("adt")), is_filling("adt")
    (True, False)
    """
    return voice.endswith(_FILLING)


def digest(value: Any) -> str:
    """Return a hash of a JSON value: equal for equal content whatever the order of properties.

    A decimal without a point and the integer as which it is read back are the same.

    >>> digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    True
    >>> digest(Decimal("48")) == digest(48)
    True
    """
    text = orjson.dumps(value, default=_literal, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=8).hexdigest()


def _literal(value: object) -> orjson.Fragment | str:
    return orjson.Fragment(str(value)) if isinstance(value, Decimal) else str(value)


def dump(owned: Ownership) -> bytes:
    """Return the record's value; an element's time is written where it is not its feed's latest."""
    made: dict[str, Any] = {}
    for feed, voice in owned.items():
        latest = max((said.at for said in voice.values()), default=0)
        late = {name: said.at for name, said in voice.items() if said.at != latest}
        row: dict[str, Any] = {"at": latest, "said": {n: s.items for n, s in voice.items()}}
        made[feed] = row | ({"late": late} if late else {})
    return orjson.dumps(made)


def load(value: bytes) -> Ownership:
    """Return what :func:`dump` wrote.

    >>> owned = {"adt": {"name": Said(5, ("a", "~b")), "gender": Said(3, ())}}
    >>> load(dump(owned)) == owned
    True
    """
    return {
        feed: {
            name: Said(row.get("late", {}).get(name, row["at"]), tuple(items))
            for name, items in row["said"].items()
        }
        for feed, row in orjson.loads(value).items()
    }
