"""When patients, their proxies and their apps see a resource: decided at write, kept in it.

The extension :data:`RELEASE_URL` says ``at`` (from when on), or ``hold`` (the reason) with or
without ``until``; :func:`~server.search.marks.release` reads it.  What a rule of the policy put on
names the ``rule`` and is made anew at each write; what a person decided wins over every rule.

Rules do not speak of what patients and their apps write: who wrote it knows it, and a rule that
hid it would take their own words from them.
"""

from typing import Any

from server.access.policy import Policy, ReleaseRule
from server.access.value_sets import at_any, codes
from server.fhir.dates import InvalidDate, instant_text, interval
from server.search.marks import RELEASE_URL
from server.search.marks import release as effective

__all__ = ["RELEASE_URL", "effective", "prepared", "ruled"]

Resource = dict[str, Any]
Extension = dict[str, Any]


def prepared(
    policy: Policy,
    resource: Resource,
    before: Resource | None,
    now: int,
    *,
    decides: bool,
    withdraws: bool = True,
) -> Resource:
    """Return a resource as it is to be written, with the release that holds for it.

    ``before``: the version that it replaces.  ``decides``: the writer may decide on the release;
    patients and their apps may not: what stood there stays, whoever put it there.  ``withdraws``:
    to leave a decision out is to take it back; a program may know nothing of it.
    """
    if decides:
        kept_back = [] if withdraws else _decided(before or {})
        wanted = _decided(resource) or kept_back or ruled(policy, resource, now)
    else:
        wanted = [one for one in (before or {}).get("extension") or () if _is_release(one)]
    had = resource.get("extension") or []
    kept = [one for one in had if not _is_release(one)]
    if len(kept) == len(had) and not wanted:
        return resource
    made = {name: value for name, value in resource.items() if name != "extension"}
    return {**made, "extension": [*kept, *wanted]} if kept or wanted else made


def ruled(policy: Policy, resource: Resource, now: int) -> list[Extension]:
    """Return what the policy says of the release of a resource; [] when it is open at once."""
    return [_said(rule, resource, now) for rule in policy.release_rules if _meets(rule, resource)]


def _decided(resource: Resource) -> list[Extension]:
    """Return the release extensions that a person put on."""
    if "extension" not in resource:
        return []
    return [one for one in resource.get("extension") or () if _is_release(one) and not _rule(one)]


def _is_release(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("url") == RELEASE_URL


def _rule(extension: Extension) -> bool:
    return any(
        isinstance(one, dict) and one.get("url") == "rule"
        for one in extension.get("extension") or ()
    )


def _meets(rule: ReleaseRule, resource: Resource) -> bool:
    if resource["resourceType"] not in rule.types:
        return False
    if rule.statuses and resource.get("status") not in rule.statuses:
        return False
    return rule.codes is None or rule.codes.holds_any(codes(resource, rule.elements))


def _said(rule: ReleaseRule, resource: Resource, now: int) -> Extension:
    name = {"url": "rule", "valueString": rule.name}
    if rule.hold is not None:
        return _extension({"url": "hold", "valueString": rule.hold}, name)
    moment = instant_text(_since(rule, resource, now) + rule.delay)
    return _extension({"url": "at", "valueInstant": moment}, name)


def _since(rule: ReleaseRule, resource: Resource, now: int) -> int:
    """Return from when on the delay counts: the first date that is stated, else now."""
    for element in rule.since:
        for text in at_any(resource, (element,)):
            try:
                return interval(text)[0]
            except (InvalidDate, TypeError):
                continue
    return now


def _extension(*parts: Extension) -> Extension:
    return {"url": RELEASE_URL, "extension": list(parts)}
