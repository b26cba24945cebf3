"""Code tables: HL7v2 code -> FHIR code.  One YAML file per table in ``terminology/maps``.

``source`` is the code system of the v2 table, ``system`` that of the targets; a row is ``v2: code``
or ``v2: {code: ..., system: ..., display: ...}``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappings.language import Entries, Node, Text

_KEYS = {"source", "system", "codes", "note"}
_ROW_KEYS = {"code", "system", "display"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a code becomes; ``system`` and ``display`` may be ``""``.  ``place``: of its row."""

    code: str
    system: str = ""
    display: str = ""
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``place`` is its file for messages about it."""

    name: str
    source: str
    system: str
    codes: Mapping[str, Target]
    place: str = ""

    def get(self, code: str) -> Target | None:
        """Return the target of a code: as it is, else in capitals; ``None`` when it has no row."""
        return self.codes.get(code) or self.codes.get(code.upper())


def table_of(name: str, node: Node, problems: list[str]) -> Table | None:
    """Read a table; what is wrong goes to ``problems`` with its place."""
    if not isinstance(node, Entries) or not isinstance(node.get("codes"), Entries):
        problems.append(f"{node.place}: table {name} needs 'codes:'")
        return None
    unknown = node.keys() - _KEYS
    problems += [f"{node.places[key]}: a table has no key {key!r}" for key in unknown]
    system = str(node.get("system", ""))
    codes = node["codes"]
    assert isinstance(codes, Entries)
    rows = {str(code): _target(row, system, problems) for code, row in codes.items()}
    return Table(name, str(node.get("source", "")), system, rows, node.place)


def _target(row: Node, system: str, problems: list[str]) -> Target:
    if isinstance(row, Text):
        return Target(str(row), system, place=row.place)
    if isinstance(row, Entries) and "code" in row and not row.keys() - _ROW_KEYS:
        text = {key: str(value) for key, value in row.items()}
        shown = text.get("display", "")
        return Target(text["code"], text.get("system", system), shown, row.place)
    problems.append(f"{row.place}: a row is a code, or {{code, system, display}}")
    return Target("")
