"""The table of UCUM units, as published, read when first asked for.

``data/ucum-essence.xml.zst`` is the file of the UCUM organization, byte for byte (its licence
allows no selections); see NOTICE and ``scripts/gen_ucum.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import zstandard
from lxml import etree

_NAMESPACE: Final = "{http://unitsofmeasure.org/ucum-essence}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: ``value`` times ``definition``, which is a UCUM code; no definition for a base.

    ``function``: what the two go through if the unit is special.  ``metric``: takes prefixes.
    ``arbitrary``: defined by a procedure, comparable with nothing.
    """

    name: str
    value: Fraction = Fraction(1)
    definition: str = ""
    function: str = ""
    metric: bool = True
    arbitrary: bool = False

    @property
    def is_base(self) -> bool:
        """Tell whether it is one of the seven that all others are made of."""
        return not self.definition


@dataclass(frozen=True, slots=True)
class Table:
    """Units and prefixes by their case-sensitive code."""

    version: str
    units: Mapping[str, Unit]
    prefixes: Mapping[str, Fraction]


@cache
def table() -> Table:
    """Return the one table; it takes some milliseconds the first time."""
    packed = files("server.fhir").joinpath("data/ucum-essence.xml.zst").read_bytes()
    root = etree.fromstring(zstandard.decompress(packed))
    units = {each.get("Code"): Unit(_name(each)) for each in root.iter(f"{_NAMESPACE}base-unit")}
    units |= {each.get("Code"): _unit(each) for each in root.iter(f"{_NAMESPACE}unit")}
    prefixes = {
        each.get("Code"): Fraction(each.find(f"{_NAMESPACE}value").get("value"))
        for each in root.iter(f"{_NAMESPACE}prefix")
    }
    return Table(root.get("version"), MappingProxyType(units), MappingProxyType(prefixes))


def _unit(element: Any) -> Unit:
    value = element.find(f"{_NAMESPACE}value")
    function = value.find(f"{_NAMESPACE}function")
    defined = value if function is None else function
    return Unit(
        name=_name(element),
        value=Fraction(defined.get("value")),
        definition=defined.get("Unit"),
        function="" if function is None else function.get("name"),
        metric=element.get("isMetric") == "yes",
        arbitrary=element.get("isArbitrary") == "yes",
    )


def _name(element: Any) -> str:
    return str(element.findtext(f"{_NAMESPACE}name"))
