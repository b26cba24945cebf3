"""Rewrite what the resources of a transaction call each other.  R4 http.html#trules.

An attachment's ``url`` may name a Binary of the same transaction, as a reference may.
"""

from collections.abc import Mapping
from typing import Any

from server.fhir.references import rewrite


def rewritten(value: Any, mapping: Mapping[str, str], *, binaries: bool = True) -> Any:
    """Return ``value`` with references and attachment addresses replaced; it is left as it was.

    ``binaries``: whether ``mapping`` leads to a Binary at all.

    >>> rewritten({"url": "urn:uuid:1", "content": [{"url": "urn:uuid:1"}]}, {"urn:uuid:1": "B/2"})
    {'url': 'urn:uuid:1', 'content': [{'url': 'B/2'}]}
    """
    value = rewrite(value, mapping)
    if not binaries:
        return value
    if isinstance(value, dict):
        # The url of the resource itself is its name, not a link.
        return {name: _attachments(inner, mapping) for name, inner in value.items()}
    return _attachments(value, mapping)


def _attachments(value: Any, mapping: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_attachments(item, mapping) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: _attachments(inner, mapping) for name, inner in value.items()}
    url = made.get("url")
    if isinstance(url, str) and url in mapping:
        made["url"] = mapping[url]
    return made
