"""What was found, and where: paths cost nothing until there is an issue to report."""

from typing import Any, Optional

from server.fhir.errors import Issue, IssueType
from server.validation.limits import MAX_ISSUES

# A place is a link to the place around it, a name, and the index in an array or None.
Place = tuple[Optional["Place"], str, int | None]


class EnoughError(Exception):
    """As many issues as are reported were found; the walk ends."""


class Report:
    """The issues of one resource, and the resource in whose ``contained`` ``#id`` is looked up."""

    __slots__ = ("issues", "root")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.root: dict[str, Any] = {}

    def add(self, code: IssueType, diagnostics: str, place: Place) -> None:
        """Keep an issue; raises ``EnoughError`` when it is the last one that is kept."""
        self.issues.append(Issue("error", code, diagnostics, (expression(place),)))
        if len(self.issues) >= MAX_ISSUES:
            raise EnoughError


def expression(place: Place) -> str:
    """Return a place as FHIRPath.

    >>> expression((((None, "Patient", None), "name", 0), "given", 1))
    'Patient.name[0].given[1]'
    """
    steps: list[str] = []
    at: Place | None = place
    while at is not None:
        at, name, index = at
        steps.append(name if index is None else f"{name}[{index}]")
    return ".".join(reversed(steps))
