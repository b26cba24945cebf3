"""One way to ask: does this search, as a client would write it, find this resource?"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest

from server.fhir.dates import interval
from server.search.extract import index_rows
from server.search.match import matches
from server.search.parse import parse_search

BASE_URL = "http://me.test/fhir"

Finds = Callable[..., bool]


@pytest.fixture(scope="session")
def finds() -> Finds:
    """Return ``finds("name=x", resource)``; the resource was updated at ``updated``."""

    def asked(query: str, resource: dict[str, Any], updated: str = "2026-01-02T03:04:05Z") -> bool:
        search = parse_search(
            resource["resourceType"],
            parse_qsl(query, keep_blank_values=True),
            base_url=BASE_URL,
            default_count=20,
            max_count=100,
            strict=True,
        )
        rows = index_rows(resource, BASE_URL)
        return matches(search.query, resource, rows, updated=interval(updated)[0])

    return asked
