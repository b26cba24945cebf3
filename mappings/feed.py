"""What is special about one feed: its time zone, its names for authorities, its manners.

A feed is a YAML file ``feed: NAME`` in a site's folder of maps; see docs/hl7v2.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

Mode = Literal["backload", "live", "replay"]
NAMESPACE = "urn:tellonce"
_LONGEST_KEPT = 256  # characters; longer ones would fill the memory


@dataclass(frozen=True, slots=True)
class Feed:
    """The settings of one feed; the defaults are those of a feed nobody has described.

    ``timezone`` is where timestamps without an offset were written.  ``authorities`` maps a
    namespace or OID of an assigning authority (HD.1, HD.2) to an identifier system;
    ``default_authority`` is the system of identifiers sent without one.  ``code_systems`` maps
    names of coding systems (CWE.3) and wins over table CodingSystem.  ``tables`` are the feed's own
    codes by table name.
    ``unidentified``: what to do with a message without a patient identifier.
    ``authoritative``: whether its demographics win over what the record holds.
    ``on_conflict``: what follows when identifiers meet several patients or another birth date.
    ``ack``: the positive answer of original mode follows the ``record`` or the ``inbox`` commit;
    ``ack_quarantined``: its code for a message that went to quarantine.
    ``lane_when_quarantined``: whether later messages of that patient wait.
    ``mode``: outside ``live`` nothing goes out because of this feed.
    """

    name: str = "default"
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    authorities: Mapping[str, str] = field(default_factory=dict)
    default_authority: str = ""
    code_systems: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unidentified: Literal["quarantine", "create"] = "quarantine"
    authoritative: bool = True
    on_conflict: Literal["quarantine", "create"] = "quarantine"
    ack: Literal["record", "inbox"] = "record"
    ack_quarantined: Literal["AA", "AE"] = "AA"
    lane_when_quarantined: Literal["continue", "hold"] = "continue"
    mode: Mode = "live"

    def system(
        self,
        namespace: str,
        universal: str = "",
        kind: str = "",
        *,
        role: str = "",
        facility: str = "",
    ) -> str:
        """Return the identifier system of an assigning authority (HD), never ``""``.

        The site's table first, by namespace and by universal id; then an ISO OID, a UUID or a URI
        is its own system; then an address made from the feed's name, so that the same value of two
        authorities is never the same identifier.  Without an authority: ``default_authority`` for
        patients (no ``role``), else an address of the feed, the facility (MSH-4) and the role.

        >>> Feed("lab").system("HOSP", "1.2.840.5", "ISO")
        'urn:oid:1.2.840.5'
        >>> Feed("lab").system("Main Lab")
        'urn:tellonce:authority:lab:Main%20Lab'
        >>> Feed("lab").system("", role="filler", facility="GH")
        'urn:tellonce:filler:lab:GH'
        """
        for name in (namespace, universal):
            if name and (known := self.authorities.get(name)):
                return known
        if universal and (own := _own_system(universal, kind)):
            return own
        if name := namespace or universal:
            return f"{NAMESPACE}:authority:{urn(self.name, name)}"
        if self.default_authority and not role:
            return self.default_authority
        return f"{NAMESPACE}:{role or 'patient'}:{urn(self.name, facility)}"


def urn(*parts: str) -> str:
    """Return the parts as they stand in an address, those that are empty left out."""
    if sum(map(len, parts)) > _LONGEST_KEPT:
        return _urn.__wrapped__(*parts)
    return _urn(*parts)


@lru_cache(maxsize=4096)
def _urn(*parts: str) -> str:
    return ":".join(quote(part, safe="") for part in parts if part)


def _own_system(universal: str, kind: str) -> str:
    digits = universal.removeprefix("urn:oid:")
    if kind in ("ISO", "OID", "") and "." in digits and digits.replace(".", "").isdigit():
        return f"urn:oid:{digits}"
    if kind in ("UUID", "GUID"):
        return f"urn:uuid:{universal.lower()}"
    if kind == "URI" and ":" in universal and not any(c.isspace() for c in universal):
        return universal
    return ""
