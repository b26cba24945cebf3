"""Security labels of messages (PD1-12, PV2-22, DG1-18, ORC-28, TXA-18): they only grow.  Pure.

A later message that does not speak of confidentiality, or an older one that comes late, must not
open what an earlier one closed; a person with the right to do so takes a label off.
"""

from typing import Any

from server.feeds.elements import Resource


def labelled(resource: Resource, planned: dict[str, Any]) -> Resource:
    """Return ``resource`` with the labels of ``planned`` too; the very same when it has them.

    The order of messages leaves no trace: labels that a feed adds are sorted.
    """
    wanted = planned.get("meta", {}).get("security", ())
    have = resource.get("meta", {}).get("security", [])
    known = {_key(label) for label in have}
    missing = {_key(label): label for label in wanted if _key(label) not in known}
    if not missing:
        return resource
    security = sorted([*have, *missing.values()], key=_key)
    return {**resource, "meta": {**resource.get("meta", {}), "security": security}}


def _key(label: dict[str, Any]) -> tuple[str, str]:
    return label.get("system", ""), label.get("code", "")
