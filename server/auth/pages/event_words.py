"""AuditEvents in plain words: who, by which program, did what to what.

The shapes are those of :mod:`server.audit.audit_event` (IHE BALP).
"""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from server.access import plain
from server.access.scopes import Scope
from server.auth.pages.visit import PRINCIPAL
from server.fhir import definitions

DOING = {
    "read": "opened",
    "vread": "opened an earlier version of",
    "history-instance": "looked at the history of",
    "history-type": "looked at the history of",
    "history-system": "looked at the history of",
    "search-type": "looked for",
    "search-system": "looked for",
    "create": "added",
    "update": "changed",
    "patch": "changed",
    "delete": "removed",
    "operation": "asked for",
    "batch": "worked with",
    "transaction": "worked with",
    "AuthZ-Role": "allowed an app to open",
    "110126": "let an app go on with",
    "110137": "took an app's access away from",
}
ABOUT_ACCESS = ("AuthZ-Role", "110126", "110137")


def doing(event: dict[str, Any]) -> str:
    """Return what was done, to be followed by :func:`what`."""
    return DOING.get(_code(event), "worked with")


def agents(event: dict[str, Any]) -> tuple[str, str]:
    """Return the principal (empty: a program by itself) and the client of an event.

    BALP: the first agent is the client; the user is there when there is one, and the requestor.
    """
    agents = event.get("agent") or [{}]
    names = [str(((a.get("who") or {}).get("identifier") or {}).get("value", "")) for a in agents]
    principal = next((name for name in names[1:] if name.startswith(PRINCIPAL)), "")
    return principal, names[0]


def person_in(event: dict[str, Any]) -> str:
    """Return the reference to the person who did it; empty where there is none."""
    whos = [agent.get("who") or {} for agent in event.get("agent") or []]
    return next((str(who["reference"]) for who in whos if "reference" in who), "")


def what(event: dict[str, Any], whose: str) -> str:
    """Return the kinds of things that an event is about; ``whose`` is ``your`` or ``their``."""
    if _code(event) in ABOUT_ACCESS:
        return f"{whose} record"
    types = dict.fromkeys(_types(event))
    words = [
        plain.describe(Scope("patient", one, "r"), whose).removeprefix("see ")
        for one in types
        if one != "Patient" or len(types) == 1
    ]
    if not words:
        return f"{whose} record"
    shown = words[:4] + (["more"] if len(words) > 4 else [])
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _types(event: dict[str, Any]) -> Iterable[str]:
    for entity in event.get("entity") or []:
        reference = str((entity.get("what") or {}).get("reference", ""))
        type_ = reference.partition("/")[0]
        if "query" in entity:
            question = b64decode(str(entity["query"])).decode(errors="replace")
            type_ = question.partition("?")[0].rpartition("/")[2].partition("$")[0]
        if type_ in definitions.resource_types():
            yield type_


def technical(event: dict[str, Any]) -> tuple[str, str]:
    """Return the request's id, and the references of an event."""
    request, references = "", []
    for entity in event.get("entity") or []:
        what = entity.get("what") or {}
        if "reference" in what:
            references.append(str(what["reference"]))
        elif "query" not in entity:
            request = str((what.get("identifier") or {}).get("value", ""))
    return request, ", ".join(references)


def _code(event: dict[str, Any]) -> str:
    return str((event.get("subtype") or [{}])[0].get("code", ""))
