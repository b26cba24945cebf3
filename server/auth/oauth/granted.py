"""What of a user's yes is granted: never more than was asked for, and only what is there.

Pure.  SMART scopes-and-launch-context.html.
"""

from collections.abc import Mapping
from typing import Any, Literal

from server.access import scopes
from server.auth.oauth.pending import Pending
from server.auth.records import User


def granted_scopes(
    pending: Pending,
    user: User,
    wanted: str,
    patient: str | None,
    context: Mapping[str, Any],
) -> scopes.Scopes:
    """Return what of the user's choice can be granted: nothing that was not asked for."""
    chosen = scopes.intersect(scopes.parse(wanted), scopes.parse(pending.scope))
    never = {"launch"} if not pending.launched else set()
    if user.fhir_user is None:  # #scopes-for-requesting-identity-data
        never |= {"fhirUser", "profile"}
    if patient is None:
        never |= {"launch/patient"}
    if "encounter" not in context:
        never |= {"launch/encounter"}
    if "offline_access" in chosen:  # one of both is granted, and said
        never |= {"online_access"}
    if "admin" not in user.roles:
        never |= {one for one in chosen.others if one.startswith("admin/")}
    return scopes.Scopes(tuple(one for one in chosen.of if not _is_of(one, never, patient)))


def refresh_kind(granted: scopes.Scopes) -> Literal["offline", "online"] | None:
    """Return which kind of refresh tokens goes with scopes."""
    if "offline_access" in granted:
        return "offline"
    return "online" if "online_access" in granted else None


def fit_context(context: Mapping[str, Any], patient: str | None) -> dict[str, Any]:
    """Return a launch context that may go beside an access token.

    Of ``fhirContext`` only what SMART allows is kept: each names a resource, roles of others are
    absolute, patients and encounters have a role of their own (#fhircontext-exp).
    """
    fit = {name: value for name, value in context.items() if value is not None}
    fit.pop("patient", None)  # said by Grant.patient, and nowhere else
    if "fhirContext" in fit:
        listed = fit["fhirContext"]
        fit["fhirContext"] = [one for one in listed if isinstance(one, dict) and _allowed(one)]
    if patient is not None:
        fit.setdefault("need_patient_banner", True)
    return fit


def _allowed(one: Mapping[str, Any]) -> bool:
    role = one.get("role", "launch")
    if not isinstance(role, str) or not (role == "launch" or ":" in role):
        return False
    type_ = str(one.get("reference", "")).partition("/")[0] or one.get("type")
    if type_ in ("Patient", "Encounter") and role == "launch":
        return False
    return any(name in one for name in ("reference", "canonical", "identifier"))


def _is_of(one: scopes.Scope | str, never: set[str], patient: str | None) -> bool:
    if isinstance(one, str):
        return one.partition("?")[0] in never  # a role is a hint
    return patient is None and one.level == "patient"
