"""FHIR codes, identifier systems and coding systems -> HL7v2's names for them.

The inbound tables, read backwards: the destination's own rows first, then those that
``out/preferred.yaml`` prefers where several codes mean the same, then the first of the file.
"""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from mappings.emit_destination import Destination
from mappings.feed import NAMESPACE
from mappings.tables import Table

_V2 = "http://terminology.hl7.org/CodeSystem/v2-"
Authority = tuple[str, str, str]  # HD: namespace, universal id, its type


class Reverse:
    """One destination's way back; made once, when the maps are loaded."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        preferred: Mapping[str, Mapping[str, str]],
        destination: Destination,
    ) -> None:
        self.tables = tables
        self._codes = {
            name: _reversed(table, preferred.get(name, {}), destination.tables.get(name, {}))
            for name, table in tables.items()
        }
        self._systems = _names(tables.get("CodingSystem"), preferred.get("CodingSystem", {}))
        self._systems |= {url: name for name, url in destination.code_systems.items()}
        self._authorities = _names(tables.get("AssigningAuthority"), {})
        self._authorities |= {
            url: name for name, url in reversed(list(destination.authorities.items()))
        }
        self._default = destination.default_authority

    def code(self, table: str, system: str, code: str) -> str | None:
        """Return the v2 code that means ``code``; ``None`` when no row says so.

        A code that already is of the v2 table itself stays.
        """
        known = self.tables[table]
        if system and system == known.source:
            return code
        rows = self._codes[table]
        return rows.get((system or known.system, code)) if system else rows.get(("", code))

    def code_system(self, url: str) -> str | None:
        """Return the name of a coding system (CWE.3); ``None`` when it has none.

        Tables of HL7 are ``HL7nnnn``; an OID is its own name.
        """
        if found := self._systems.get(url):
            return found
        if url.startswith(_V2):
            return f"HL7{url.removeprefix(_V2)}"
        if url.startswith("urn:oid:"):
            return url.removeprefix("urn:oid:")
        if url.startswith(f"{NAMESPACE}:codes:"):
            return unquote(url.rpartition(":")[2])
        return None

    def authority(self, system: str) -> Authority:
        """Return the assigning authority (HD) of an identifier system.

        The destination's name for it; else an OID, UUID or URI is its own universal id.  Systems
        that this server made for what came without an authority give nothing.
        """
        if name := self._authorities.get(system):
            return _own(name)
        if not system or system == self._default:
            return "", "", ""
        if system.startswith(f"{NAMESPACE}:authority:"):
            return unquote(system.rpartition(":")[2]), "", ""
        if system.startswith(f"{NAMESPACE}:"):
            return "", "", ""
        return _universal(system)


def _own(name: str) -> Authority:
    if name.replace(".", "").isdigit() and "." in name:
        return "", name, "ISO"
    return name, "", ""


@lru_cache(maxsize=1024)
def _universal(system: str) -> Authority:
    if system.startswith("urn:oid:"):
        return "", system.removeprefix("urn:oid:"), "ISO"
    if system.startswith("urn:uuid:"):
        return "", system.removeprefix("urn:uuid:"), "UUID"
    return "", system, "URI"


def _reversed(
    table: Table, preferred: Mapping[str, str], own: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Return (system, code) and ("", code) -> v2 code."""
    made: dict[tuple[str, str], str] = {}
    for v2, target in own.items():
        made.setdefault((table.system, target), v2)
        made.setdefault(("", target), v2)
    rows = list(table.codes.items())
    rows.sort(key=lambda row: preferred.get(row[1].code) != row[0])  # stable: the file's order
    for v2, row in rows:
        made.setdefault((row.system or table.system, row.code), v2)
        made.setdefault(("", row.code), v2)
    return made


def _names(table: Table | None, preferred: Mapping[str, str]) -> dict[str, str]:
    """Return URL -> name; a name is preferred to an OID."""
    made: dict[str, str] = dict(preferred)
    rows = list(table.codes.items()) if table is not None else []
    for name, row in sorted(rows, key=lambda pair: pair[0].replace(".", "").isdigit()):
        made.setdefault(row.code, name)
    return made
