"""Addresses of resources and pages, always below the server's public base URL."""

import re
from collections.abc import Iterable
from urllib.parse import quote_plus

CURSOR = "_cursor"  # the parameter that carries a page cursor; opaque to clients

# R4 writes these unescaped in its own examples, and they mean nothing in a query string.
_PLAIN = ":|,$/*"
_IS_PLAIN = re.compile(r"[A-Za-z0-9_.\-~:|,$/*]*", re.ASCII).fullmatch


def resource_url(base_url: str, type_: str, id_: str) -> str:
    """Return the address of a resource: what ``fullUrl`` holds."""
    return f"{base_url}/{type_}/{id_}"


def version_url(base_url: str, type_: str, id_: str, number: int) -> str:
    """Return the address of one version: what ``Location`` holds."""
    return f"{base_url}/{type_}/{id_}/_history/{number}"


def page_url(
    base_url: str, path: str, pairs: Iterable[tuple[str, str]], cursor: str | None = None
) -> str:
    """Return the address of a page of results.

    >>> page_url("http://me/fhir", "Patient", [("identifier", "s|1"), ("name", "a b")], "x")
    'http://me/fhir/Patient?identifier=s|1&name=a+b&_cursor=x'
    """
    parameters = [*pairs, *([(CURSOR, cursor)] if cursor is not None else [])]
    query = "&".join([f"{_quoted(name)}={_quoted(text)}" for name, text in parameters])
    address = f"{base_url}/{path}" if path else base_url
    return f"{address}?{query}" if query else address


def _quoted(text: str) -> str:
    # Most texts are plain, and looking is much cheaper than quoting.
    return text if _IS_PLAIN(text) else quote_plus(text, safe=_PLAIN)
