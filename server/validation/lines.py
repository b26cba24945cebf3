"""Lines and columns for issues, looked up only when there are issues."""

from collections.abc import Sequence
from dataclasses import replace

from server.fhir.errors import Issue
from server.fhir.locate import locate
from server.validation.limits import MAX_LOCATED_BYTES


def with_lines(issues: Sequence[Issue], raw: bytes | None) -> list[Issue]:
    """Return the issues with line and column in ``raw``, unchanged where it cannot tell.

    ``raw`` is JSON that was parsed without a fault.
    """
    if raw is None or len(raw) > MAX_LOCATED_BYTES:
        return list(issues)
    places = locate(raw.decode("utf-8"), {e for issue in issues for e in issue.expression})
    return [_placed(issue, places) for issue in issues]


def _placed(issue: Issue, places: dict[str, tuple[int, int]]) -> Issue:
    place = places.get(issue.expression[0]) if issue.expression else None
    return replace(issue, line=place[0], column=place[1]) if place else issue
