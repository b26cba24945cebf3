"""What the standard says about fields: the data type of a field and of a component."""

import re
from functools import cache
from pathlib import Path

import yaml

NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_FILE = Path(__file__).with_name("segments.yaml")
_ALIASES = {
    "CE": "CWE",
    "CF": "CWE",
    "CNE": "CWE",
    "TS": "DTM",
    "CM": "ST",
    "PPN": "XCN",
    "varies": "",
}

# Components that are themselves composite; every other one is a single text.
_COMPONENTS = {
    "CX": {4: "HD", 6: "HD", 9: "CWE", 10: "CWE"},
    "XCN": {2: "FN", 9: "HD", 14: "HD", 17: "DR"},
    "XPN": {1: "FN", 10: "DR"},
    "XAD": {1: "SAD", 9: "CWE", 12: "DR"},
    "XON": {6: "HD", 8: "HD"},
    "PL": {1: "HD", 2: "HD", 3: "HD", 4: "HD", 7: "HD", 8: "HD", 10: "EI", 11: "HD"},
    "EIP": {1: "EI", 2: "EI"},
    "NDL": {1: "CNN"},
    "DLD": {1: "CWE"},
    "CQ": {2: "CWE"},
    "FC": {1: "CWE"},
}


@cache
def _table() -> dict[str, list[str]]:
    found = yaml.load(_FILE.read_text("utf-8"), Loader=yaml.CBaseLoader)  # noqa: S506 - our own file
    return {name: text.split() for name, text in found.items()}


def known_segment(name: str) -> bool:
    """Whether a map may speak of segment ``name``: a standard one, or a Z segment."""
    return name.startswith("Z") or name in _table()


def segment_names() -> frozenset[str]:
    """Return the segments of the standard that a map may speak of."""
    return frozenset(_table())


def fields_of(name: str) -> int:
    """Return how many fields the standard gives a segment; 0 for Z segments."""
    return len(_table().get(name, ()))


def type_of(segment: str, field: int, component: int = 0, sub: int = 0) -> str:
    """Return the data type at a path, ``""`` when the standard does not say (Z segments).

    >>> type_of("PID", 5), type_of("PID", 3, 4), type_of("PID", 5, 2), type_of("ZPI", 2)
    ('XPN', 'HD', 'ST', '')
    """
    fields = _table().get(segment, [])
    if not 0 < field <= len(fields):
        return ""
    found = _ALIASES.get(fields[field - 1], fields[field - 1])
    if component:
        return component_type(found, component, sub)
    return found


def component_type(type_: str, component: int, sub: int = 0) -> str:
    """Return the data type of a component of ``type_``.

    >>> component_type("CX", 4)
    'HD'
    """
    return "ST" if sub else _COMPONENTS.get(type_, {}).get(component, "ST")
