"""Index keys that very many AuditEvents and Provenances share: those of their few codes.

A store that files them together (one key for all of them) keeps an AuditEvent by a third of the
rows that each key alone would take.
"""

from collections.abc import Iterator
from functools import cache

from server.audit import codes
from server.audit.codes import KINDS, SERVER
from server.search.rows import hash64
from server.search.token import token_keys

_ACTIONS = "http://hl7.org/fhir/audit-event-action"
_OUTCOMES = "http://hl7.org/fhir/audit-event-outcome"


@cache
def common_keys(type_: str) -> frozenset[str]:
    """Return those key texts of a type; none of most types."""
    if type_ == "AuditEvent":
        return frozenset(f"AuditEvent|{key}" for key in _of_events())
    return frozenset()


@cache
def common_hashes(type_: str) -> frozenset[int]:
    """Return them as they are kept."""
    return frozenset(map(hash64, common_keys(type_)))


def is_common(key: str) -> bool:
    """Tell whether a key text is one of them.

    >>> is_common("AuditEvent|action|c|R"), is_common("AuditEvent|entity|r|Patient/x")
    (True, False)
    """
    return key.startswith("AuditEvent|") and key in common_keys("AuditEvent")


def _of_events() -> Iterator[str]:
    for kind in KINDS.values():
        yield from (f"type|{tail}" for tail in token_keys(*kind.type))
        yield from (f"subtype|{tail}" for tail in token_keys(*kind.subtype))
    for code in ("C", "R", "U", "D", "E"):
        yield from (
            f"action|{tail}" for tail in (*token_keys(None, code), *token_keys(_ACTIONS, code))
        )
    for code in ("0", "4", "8", "12"):
        yield from (
            f"outcome|{tail}" for tail in (*token_keys(None, code), *token_keys(_OUTCOMES, code))
        )
    for pair in (
        (codes.ENTITY_TYPE, "1"),
        (codes.ENTITY_TYPE, "2"),
        (codes.REQUEST_ID, "XrequestId"),
    ):
        yield from (f"entity-type|{tail}" for tail in token_keys(*pair))
    for code in ("1", "4", "24"):
        yield from (f"entity-role|{tail}" for tail in token_keys(codes.OBJECT_ROLE, code))
    for param in ("agent", "source"):
        yield from (f"{param}|n|{tail}" for tail in token_keys(None, SERVER))
    yield f"agent|n|y|{codes.LOGIN}"
