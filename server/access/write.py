"""What the policy makes of a resource that is to be written: its labels, its release.

One call for every write, whoever writes: requests, messages, jobs.
"""

from collections.abc import Iterable
from typing import Any

from server.access.context import AccessContext
from server.access.labels import assigned, labelled, may_relabel, protected
from server.access.policy import Policy
from server.access.release import prepared

Resource = dict[str, Any]

OPERATOR = "administrator/"  # how the principals of administrator tokens begin


def for_write(
    policy: Policy,
    access: AccessContext,
    resource: Resource,
    before: Resource | None,
    referenced: Iterable[Iterable[str]],
    now: int,
) -> Resource:
    """Return the resource as it is to be stored; the one given where nothing is to be changed.

    ``before``: the version that it replaces, as the server has it.  ``referenced``: the labels
    (:func:`server.search.marks.labels`) of each live resource that
    :func:`~server.access.labels.handing_on` names.  ``now``: microseconds.  Done twice, it changes
    nothing more.
    """
    made = prepared(
        policy, resource, before, now, decides=decides(access), withdraws=withdraws(access)
    )
    if not relabels(policy, access):
        made = labelled(made, protected(policy, before, made))
    return labelled(made, assigned(policy, made, referenced))


def relabels(policy: Policy, access: AccessContext) -> bool:
    """Tell whether the caller may take labels away: by role, or with an administrator token.

    The server itself may not: a message that knows of no label must not remove one.
    """
    return may_relabel(policy, access.role) or access.principal.startswith(OPERATOR)


def decides(access: AccessContext) -> bool:
    """Tell whether the caller may decide when patients see something: who is not kept waiting."""
    return all(permit.released is None for permit in access.permits)


def withdraws(access: AccessContext) -> bool:
    """Tell whether to leave a release out is to take it back: of a person, or with their token.

    A service or a feed sends what it knows anew; that a clinician holds it, it need not know.
    """
    return access.principal.startswith(("user/", OPERATOR))
