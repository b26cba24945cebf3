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

    __slots__ = ("_contained", "issues", "root")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.root: dict[str, Any] = {}
        self._contained: dict[int, dict[str, str]] = {}

    def add(self, code: IssueType, diagnostics: str, place: Place) -> None:
        """Keep an issue; raises ``EnoughError`` when it is the last one that is kept."""
        self.issues.append(Issue("error", code, diagnostics, (expression(place),)))
        if len(self.issues) >= MAX_ISSUES:
            raise EnoughError

    def contained_types(self) -> dict[str, str]:
        """Return {id: type} of what ``root`` contains; the first counts of two with one id."""
        # By identity, which is safe: all that is validated lives until the walk is over.
        known = self._contained.get(id(self.root))
        if known is None:
            known = self._contained[id(self.root)] = _types_of(self.root.get("contained"))
        return known


def _types_of(contained: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for resource in contained if isinstance(contained, list) else ():
        if isinstance(resource, dict) and isinstance(resource.get("id"), str):
            found.setdefault(resource["id"], str(resource.get("resourceType")))
    return found


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
