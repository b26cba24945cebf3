"""The operations of this server; docs/operations.md is made from them."""

from server.continuity.site import Site
from server.operations import (
    document,
    everything,
    explain_access,
    extract,
    known_answers,
    lastn,
    meta,
    populate,
    story,
    summary,
    translate,
    validate,
)
from server.operations.explain_access import Ways
from server.operations.registry import Operation


def operations(ways: Ways, site: Site) -> tuple[Operation, ...]:
    """Return all operations.

    ``ways`` knows the users, for ``$explain-access``; ``site`` is what the site decides about
    continuity.
    """
    return (
        validate.OPERATION,
        *meta.OPERATIONS,
        *everything.OPERATIONS,
        lastn.OPERATION,
        summary.OPERATION,
        translate.OPERATION,
        known_answers.operation(site),
        populate.operation(site),
        story.operation(site),
        document.OPERATION,
        extract.operation(site),
        explain_access.operation(ways),
    )


OPERATIONS = operations(explain_access.nobody, Site())
