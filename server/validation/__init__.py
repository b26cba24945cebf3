"""Is it a valid R4 resource?  Pure functions over parsed JSON."""

from typing import Any

from server.fhir.errors import InvalidResource, Issue
from server.validation.lines import with_lines
from server.validation.structure import validate

__all__ = ["check", "validate"]


def check(resource: Any, raw: bytes | None = None) -> None:
    """Raise ``InvalidResource`` with all issues when a resource is not valid R4 (level L1).

    ``raw`` is the JSON it was read from: with it each issue tells its line and column.
    """
    issues = validate(resource)
    if issues:
        raise InvalidResource(_summary(issues), issues=with_lines(issues, raw))


def _summary(issues: list[Issue]) -> str:
    first = f"{issues[0].diagnostics} ({', '.join(issues[0].expression)})"
    return first if len(issues) == 1 else f"{len(issues)} issues; the first: {first}"
