"""What a careful nurse would take as known, read from what was said and from nothing else.

She looks at claims, never at resources; she has not read the server's rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from server.continuity.known import State
from tests.continuity.histories.form import CONSTANT, MODES, REPEATS
from tests.continuity.histories.world import DAY, YEAR, Claim, Moment

FRESH = 21 * DAY
STALE = 3 * YEAR

NONE_KNOWN = frozenset(
    (
        "http://snomed.info/sct|716186003",
        "http://snomed.info/sct|787481004",
        "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips|no-known-allergies",
        "false",
    )
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``allowed`` states, and the answers that a known or confirmed one may show."""

    allowed: frozenset[State]
    values: frozenset[str] = frozenset()


ASK = Verdict(frozenset(("ask",)))


def verdict(item: str, claims: Iterable[Claim], moment: Moment) -> Verdict:
    """Return what may be answered to an item at a moment."""
    counting = [claim for claim in claims if _counts(claim, moment)]
    heard = [claim for claim in counting if claim.item == item]
    if all(claim.implied for claim in heard) and _names_some_allergy(counting):
        heard = []
    if not heard or MODES[item] == "never":
        return ASK
    current = heard if item in REPEATS | CONSTANT else _latest_of_each(heard)
    values = frozenset(claim.value for claim in current)
    if item in REPEATS:
        if values & NONE_KNOWN and values - NONE_KNOWN:
            return Verdict(frozenset(("conflict",)), values)
    elif len(values) > 1:
        return Verdict(frozenset(("conflict",)), values)
    standing = [_standing(item, current, value, moment) for value in values]
    weakest = frozenset.intersection(*standing) or frozenset(("confirm",))
    return Verdict(weakest, values)


def _names_some_allergy(claims: Iterable[Claim]) -> bool:
    return any(one.item == "allergies" and one.value not in NONE_KNOWN for one in claims)


def _counts(claim: Claim, moment: Moment) -> bool:
    return (
        claim.mine
        and claim.arrived <= moment.at
        and (claim.gone is None or claim.gone > moment.at)
        and (moment.sees_restricted or not claim.hidden)
    )


def _latest_of_each(claims: list[Claim]) -> list[Claim]:
    """One hand replaces what it said before; nobody replaces what another hand said."""
    latest: dict[str, Claim] = {}
    for claim in sorted(claims, key=lambda c: (c.said or 0, c.arrived)):
        latest[claim.who] = claim
    return list(latest.values())


def _standing(item: str, claims: list[Claim], value: str, moment: Moment) -> frozenset[State]:
    """Return the states that the best of the claims of one value allows."""
    same = [_one(item, claim, moment) for claim in claims if claim.value == value]
    return min(same, key=_order)


def _one(item: str, claim: Claim, moment: Moment) -> frozenset[State]:
    mode = MODES[item]
    if mode == "confirm" or claim.weak or claim.said is None or claim.said > moment.at:
        return frozenset(("confirm",))
    age = moment.at - claim.said
    if mode == "carry":
        return frozenset(("known",))
    if mode == "visit":
        said_here = claim.visit is not None and claim.visit == f"Encounter/{moment.encounter}"
        return frozenset(("known",) if said_here else ("confirm",))
    if age <= FRESH:
        return frozenset(("known",))
    return frozenset(("confirm",) if age >= STALE else ("known", "confirm"))


def _order(states: frozenset[State]) -> int:
    return {frozenset(("known",)): 0, frozenset(("known", "confirm")): 1}.get(states, 2)
