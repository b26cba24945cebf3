"""Why something is, or is not, open to a caller: lines for an administrator.

They name labels and permits, so they are for nobody who may not see the resource itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext, Interaction, Permit
from server.fhir.dates import instant_text
from server.search.extract import compartments
from server.search.marks import labels, release
from server.search.query import EVERYTHING, Predicate
from server.search.rows import MAX_TIME

Holds = Callable[[Predicate], bool]


@dataclass(frozen=True, slots=True)
class Explanation:
    """``open``: ``None`` when conditions were not asked.  ``lines``: one for each permit."""

    open: bool | None
    lines: tuple[str, ...]


def explain(
    access: AccessContext,
    interaction: Interaction,
    resource: dict[str, Any],
    holds: Holds | None = None,
    base_url: str = "",
) -> Explanation:
    """Return whether a resource is open to ``access``, and what each permit says of it.

    ``holds`` asks the record whether a condition holds for the resource.
    """
    place = f"{resource['resourceType']}/{resource.get('id')}"
    lines, answers = [], []
    for number, permit in enumerate(access.permits, start=1):
        told, answer = _said(permit, interaction, resource, holds, base_url)
        lines.append(f"permit {number}, {described(permit)}: {told}")
        answers.append(answer)
    is_open = True in answers or (None if None in answers else False)
    if not access.permits:
        lines.append("the token has no scope for resources that this person may use")
    words = {True: "is open", False: "is not there", None: "may be open"}[is_open]
    first = f"{place} {words} to {access.principal} with {access.client}, for {interaction}"
    return Explanation(is_open, (first, *lines))


def described(permit: Permit) -> str:
    """Return a permit in words.

    >>> described(Permit("Observation", frozenset(("read",)), "Patient/a"))
    'read of Observation in Patient/a'
    """
    what = {"*": "every type", "several": f"{len(permit.types)} types"}.get(
        permit.type, "shared types" if permit.type == "shared" else permit.type
    )
    text = f"{', '.join(sorted(permit.interactions))} of {what}"
    if permit.compartment is not None:
        text += f" in {permit.compartment}"
    if permit.where != EVERYTHING:
        text += " under a condition"
    return text


def _said(
    permit: Permit,
    interaction: Interaction,
    resource: dict[str, Any],
    holds: Holds | None,
    base_url: str,
) -> tuple[str, bool | None]:
    if not permit.covers(resource["resourceType"], interaction):
        return f"it does not speak of {interaction} of {resource['resourceType']}", False
    if refused := _of_marks(permit, resource, base_url):
        return refused, False
    if permit.where == EVERYTHING:
        return "it opens the resource", True
    if holds is None:
        return "it opens the resource if its condition holds", None
    if holds(permit.where):
        return "its condition holds, it opens the resource", True
    return "its condition does not hold", False


def _of_marks(permit: Permit, resource: dict[str, Any], base_url: str) -> str | None:
    """Return why compartment, labels or release keep the resource back; ``None``: they do not."""
    inside = compartments(resource, base_url)
    if permit.compartment is not None and permit.compartment not in inside:
        others = [one for one in inside if one.startswith("Patient/")]
        return f"the resource is in {' and '.join(others) or 'no patient'}'s record"
    above = sorted(set(labels(resource)) & set(permit.hidden))
    if above:
        return f"its label {' and '.join(above)} is above the clearance"
    moment = release(resource)
    if permit.released is None or moment is None or moment <= permit.released:
        return None
    return "it is on hold" if moment >= MAX_TIME else f"it is released on {instant_text(moment)}"
