"""Whether a version takes back what the one before it said (C11).  Pure.

What is added corrects nothing, and a thing that goes its way (an Encounter that ends, an order that
is done) is news, not a correction: readers who are told of every change stop reading.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from re import sub
from typing import Any, Final, Literal

from server.continuity.extract.facts import is_in_error
from server.continuity.same import element
from server.search.marks import RELEASE_URL

Reason = Literal[
    "deleted", "entered-in-error", "cancelled", "corrected", "moved", "merged", "changed"
]

Resource = dict[str, Any]

_ASIDE: Final = frozenset(
    (
        "resourceType", "id", "meta", "text", "implicitRules", "language",
        # how far something has come
        "status", "statusReason", "statusHistory", "classHistory", "lifecycleStatus",
        "achievementStatus", "businessStatus", "executionPeriod", "lastModified", "issued",
        "clinicalStatus", "location", "link",
    )
)  # fmt: skip
_CORRECTING: Final = frozenset(("corrected", "amended"))
_MERGING: Final = ("replaced-by", "replaces")
_CANCELLING: Final = frozenset(
    ("cancelled", "revoked", "nullified", "not-done", "not-taken", "rejected")
)
_FINAL: Final = frozenset(("final", "amended", "corrected", "appended"))
_UNFINAL: Final = frozenset(("registered", "partial", "preliminary", "unknown"))
_UNSURE: Final = frozenset(("unconfirmed", "provisional", "differential"))
_TURNING: Final = frozenset(("comparator", "doNotPerform", "focus", "modifierExtension"))
"""What turns round, or makes somebody else's, what it is added to."""


def reason(
    before: Resource,
    after: Resource | None,
    *,
    patients_before: Collection[str] = (),
    patients_after: Collection[str] = (),
) -> Reason | None:
    """Return why a version as a whole takes back what the one before it said.

    ``None``: it does not, but for single elements (:func:`lost`).  ``after`` is ``None`` for a
    deletion; ``patients_*``: in whose records the two are.
    """
    if after is None:
        return "deleted"
    if is_in_error(after) and not is_in_error(before):
        return "entered-in-error"
    if before.get("resourceType") == "Patient":
        return "merged" if _links(before) != _links(after) else None
    if set(patients_before) - set(patients_after):
        return "moved"
    was, now = _status(before), _status(after)
    if now != was and now in _CANCELLING:
        return "cancelled"
    if now != was and (now in _CORRECTING or (was in _FINAL and now in _UNFINAL)):
        return "corrected"
    refuted = "refuted" in _verified(after) - _verified(before)
    return "corrected" if refuted else None


def _status(resource: Resource) -> Any:
    return resource.get("lifecycleStatus", resource.get("status"))


def _verified(resource: Resource) -> set[Any]:
    codings = (resource.get("verificationStatus") or {}).get("coding") or ()
    return {one.get("code") for one in codings}


def lost(shown: Resource, before: Resource, after: Resource, paths: Collection[str]) -> bool:
    """Tell whether what was shown is no longer said, but was until now.

    ``shown``: the version that was shown; ``before``, ``after``: the two at the change; ``paths``:
    the elements that were shown, none means all of it.
    """
    if not paths:
        return _is_lost(before, after)
    return any(_gone(path, shown, before, after) for path in paths)


def _is_lost(before: Resource, after: Resource) -> bool:
    had, has = _all(before), _all(after)
    if _verified(before) and _verified(before) <= _UNSURE and _verified(after) == {"confirmed"}:
        had.pop("verificationStatus")  # what was thought is now known
    return not _covers(has, had)


def _gone(path: str, shown: Resource, before: Resource, after: Resource) -> bool:
    said = element(shown, path)
    if not said:
        return _is_lost(before, after)
    anywhere = sub(r"\[\d+\]", "", path)
    had, has = element(before, anywhere), element(after, anywhere)
    return _covers(had, said) and not _covers(has, said)


def _covers(new: Any, old: Any) -> bool:
    """Tell whether everything that ``old`` says is said by ``new``."""
    if isinstance(old, Mapping):
        if not isinstance(new, Mapping):
            return False
        if any(new.get(name) and name not in old for name in _TURNING):
            return False
        return all(name in new and _covers(new[name], value) for name, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and all(any(_covers(n, o) for n in new) for o in old)
    if isinstance(old, Decimal | int) and isinstance(new, Decimal | int):
        return Decimal(old) == Decimal(new) and isinstance(old, bool) is isinstance(new, bool)
    return bool(new == old)


def _all(resource: Resource) -> Resource:
    """Return what counts of a resource shown as a whole."""
    made = {name: value for name, value in resource.items() if name not in _ASIDE}
    if "extension" in made:
        kept = [one for one in made["extension"] if one.get("url") != RELEASE_URL]
        made["extension"] = kept
    return made


def _links(patient: Resource) -> set[tuple[str, str]]:
    return {
        (str(one.get("type")), str((one.get("other") or {}).get("reference")))
        for one in patient.get("link") or ()
        if one.get("type")
        in _MERGING  # who is somebody else's relative, too, is merged with nobody
    }
