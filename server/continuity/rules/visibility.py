"""C7 Visibility: what was made of something that the caller may not see is not there either.

Everything is read under the caller's AccessContext, so a hidden resource never becomes a statement.
This rule closes the way round: a visible copy of a hidden source (``Observation.derivedFrom``).
What is left out leaves no trace: the answer is that of a record that never had it.
"""

from collections.abc import Collection
from dataclasses import replace

from server.continuity.rules.case import Case
from server.continuity.statement import Statement


def visible(statement: Statement, seen: Collection[str]) -> bool:
    """Tell whether the caller may see all that the statement was made from (``Type/id``)."""
    return all(origin in seen for origin in statement.origins)


def rule(case: Case) -> Case:
    """Leave out what a hidden source stands behind, without saying so.

    Whoever gathers takes an origin away once it was seen; one that is left was not.
    """
    kept = tuple(one for one in case.said if visible(one.statement, ()))
    return replace(case, said=kept)
