"""``_explain=true``: how the matches of a search were found.  Not of R4.

The counts of a plan tell of resources that the caller may not see, so it is for those who may see
everything.
"""

from server.access.context import AccessContext
from server.fhir.errors import Forbidden, Issue
from server.interactions.services import Services
from server.search.query import Search
from server.store.port import Explanation, Step

PARAMETER = "_explain"


async def explained(services: Services, access: AccessContext, search: Search) -> Explanation:
    """Run the first page of an expanded search and return how it was found.

    Raises:
        Forbidden: the caller is limited to a part of the record.
    """
    if not access.unrestricted:
        raise Forbidden(
            "_explain tells how many resources there are, so it needs a token without limits",
            expression=(PARAMETER,),
        )
    query = search.containers if search.contained == "true" else search.query
    return await services.store.explain(
        access,
        query if query is not None else search.query,
        sort=search.sort,
        limit=max(search.count, 1),
        deadline_s=services.policy.deadline_s,
    )


def issues(plan: Explanation) -> list[Issue]:
    """Return the steps of a plan as issues: in the order of doing, then the time it took."""
    told = [f"{at}. {_step(step)}" for at, step in enumerate(plan.steps, start=1)]
    told.append(f"{plan.milliseconds:.3g} ms for the matches of the first page")
    return [Issue("information", "informational", text, (PARAMETER,)) for text in told]


def _step(step: Step) -> str:
    """Return a step as a sentence.

    >>> _step(Step("drive", "Observation|subject|r|Patient/a", 1200, 20))
    'drive: Observation|subject|r|Patient/a; 20 rows, 1200 estimated'
    """
    rows = [] if step.rows is None else [f"{step.rows} row{'s' if step.rows != 1 else ''}"]
    if step.estimated is not None:
        rows.append(f"{step.estimated} estimated")
    return f"{step.does}: {step.what}" + (f"; {', '.join(rows)}" if rows else "")
