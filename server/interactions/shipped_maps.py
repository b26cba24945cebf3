"""The tables of HL7v2 that the server ships, as ConceptMaps: ``[PREFIX]AdministrativeSex``.

They are the tables by which messages are read (``terminology/maps``).  HL7's guide says to which
code a code goes, not how close the two are, so every match is ``relatedto``.
"""

from functools import cache, lru_cache
from typing import Any, Final

from mappings.files import TABLES
from mappings.language import Unreadable, read
from mappings.tables import Table, table_of
from terminology.concept_map import ConceptMap, compiled

PREFIX: Final = "https://tellonce.org/fhir/ConceptMap/v2-"


def shipped(url: str) -> ConceptMap | None:
    """Return the map of a canonical URL; ``None`` when no table has it."""
    name = url.removeprefix(PREFIX)
    return _shipped(name) if name != url and name in _names() else None


@cache
def _names() -> frozenset[str]:
    return frozenset(path.stem for path in TABLES.glob("*.yaml"))


@lru_cache(maxsize=128)
def _shipped(name: str) -> ConceptMap | None:
    problems: list[str] = []
    try:
        table = table_of(name, read(TABLES / f"{name}.yaml", name), problems)
    except Unreadable:  # a fault of the package, which its own tests would find
        return None
    return None if table is None or problems else compiled(_resource(table))


def _resource(table: Table) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for code, target in table.codes.items():
        said = {"code": target.code, "display": target.display, "equivalence": "relatedto"}
        kept = {key: value for key, value in said.items() if value}
        groups.setdefault(target.system, []).append({"code": code, "target": [kept]})
    return {
        "url": f"{PREFIX}{table.name}",
        "status": "active",
        "group": [
            {"source": table.source, "target": system, "element": elements}
            for system, elements in groups.items()
        ],
    }
