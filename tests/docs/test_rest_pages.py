"""The pages about HTTP say what the code does."""

import re
from pathlib import Path

from server.operations import OPERATIONS
from server.operations.page import operations_page
from server.rest.routes import ROUTES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_operations_page_is_the_one_that_is_made_today() -> None:
    assert (DOCS / "operations.md").read_text("utf-8") == operations_page()


def test_every_operation_and_parameter_is_on_its_page() -> None:
    page = (DOCS / "operations.md").read_text("utf-8")
    for operation in OPERATIONS:
        assert f"## ${operation.code}" in page
        assert operation.documentation in page
        for param in operation.params:
            assert f"| `{param.name}` |" in page


def test_every_kind_of_route_is_on_the_page() -> None:
    page = (DOCS / "rest.md").read_text("utf-8")
    methods = {method for route in ROUTES.values() for method in route}
    assert all(re.search(rf"`[^`]*{method}\b", page) for method in methods)
    for part in ("_history", "_search", "/fhir/metadata", "/livez", "/readyz", "/metrics"):
        assert part in page
