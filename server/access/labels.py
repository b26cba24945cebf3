"""Security labels at write: which are put on, which cannot be taken away.

Labels come from codes (rules of the policy) and from what a resource was made from or is about: a
bill for a confidential visit is as confidential.  They are enforced by the permits' ``hidden``.
R4 security-labels.html.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from server.access.policy import Policy
from server.access.value_sets import at_any, codes
from server.search.marks import CONFIDENTIALITY, LEVELS, labels

Resource = dict[str, Any]

_NORMAL = LEVELS.index("N")


def may_relabel(policy: Policy, role: str | None) -> bool:
    """Tell whether somebody who acts in a role may take labels away."""
    found = policy.roles.get(role) if role is not None else None
    return found is not None and found.relabel


def handing_on(policy: Policy, resource: Resource) -> tuple[str, ...]:
    """Return the references, as written, whose targets hand their labels on to a resource."""
    values = at_any(resource, policy.inherited(resource["resourceType"]))
    if not values:
        return ()
    found = (value.get("reference") for value in values if isinstance(value, dict))
    return tuple(dict.fromkeys(text for text in found if isinstance(text, str)))


def assigned(
    policy: Policy, resource: Resource, referenced: Iterable[Iterable[str]] = ()
) -> tuple[str, ...]:
    """Return the labels (``system|code``) that a resource is to get at write, and does not have.

    ``referenced``: the labels of each live resource that :func:`handing_on` names.  Levels up to
    normal are not handed on; of several levels, only the highest is put on.
    """
    found = _ruled(policy, resource)
    found |= {label for some in referenced for label in some if _is_handed_on(policy, label)}
    found &= policy.enforced
    if not found:
        return ()
    had = set(labels(resource))
    levels = {label for label in found | had if label.startswith(CONFIDENTIALITY)}
    highest = max(levels, key=_level, default=None)
    return tuple(sorted(found - had - (levels - {highest})))


def protected(policy: Policy, before: Resource | None, after: Resource) -> tuple[str, ...]:
    """Return the labels of the version before that ``after`` lacks; who may not relabel keeps them.

    A code that cannot be read counts as what it is enforced as (:func:`.marks.labels`).
    """
    if before is None:
        return ()
    missing = set(labels(before)) - set(labels(after))
    return tuple(sorted(missing & policy.enforced))


def labelled(resource: Resource, more: Iterable[str]) -> Resource:
    """Return a resource with further labels; the one given is not changed."""
    added = [dict(zip(("system", "code"), label.split("|", 1), strict=True)) for label in more]
    if not added:
        return resource
    meta = resource.get("meta") or {}
    security = [*(meta.get("security") or ()), *added]
    with_meta = {**resource, "meta": {**meta, "security": security}}
    # At its place, so that a resource without meta does not get it at the end.
    names = dict.fromkeys(("resourceType", "id", "meta", *with_meta))
    order = resource if "meta" in resource else names
    return {name: with_meta[name] for name in order if name in with_meta}


def _ruled(policy: Policy, resource: Resource) -> set[str]:
    """Return the labels that the rules give for the codes of a resource."""
    found: set[str] = set()
    is_whole = "contained" not in resource and resource["resourceType"] != "Bundle"
    for one in (resource,) if is_whole else _parts(resource):
        for rules in policy.rules_for(str(one.get("resourceType"))):
            for code in codes(one, rules.elements):
                found |= rules.labels(code)
    return found


def _parts(resource: Resource) -> Iterator[Resource]:
    """Yield a resource and what is inside of it: contained, or entries of a Bundle."""
    yield resource
    yield from (one for one in resource.get("contained") or () if isinstance(one, dict))
    for entry in resource.get("entry") or () if resource["resourceType"] == "Bundle" else ():
        inside = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inside, dict) and "resourceType" in inside:
            yield from _parts(inside)


def _is_handed_on(policy: Policy, label: str) -> bool:
    if label not in policy.enforced:
        return False
    return not label.startswith(CONFIDENTIALITY) or _level(label) > _NORMAL


def _level(label: str) -> int:
    code = label.rpartition("|")[2]
    return LEVELS.index(code) if code in LEVELS else len(LEVELS)
