"""Addresses of resources and pages, always below the server's public base URL."""

from collections.abc import Iterable
from urllib.parse import urlencode

CURSOR = "_cursor"  # the parameter that carries a page cursor; opaque to clients

# R4 writes these unescaped in its own examples, and they mean nothing in a query string.
_PLAIN = ":|,$/*"


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
    query = urlencode(parameters, safe=_PLAIN)
    address = f"{base_url}/{path}" if path else base_url
    return f"{address}?{query}" if query else address
