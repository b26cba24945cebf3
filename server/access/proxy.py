"""May a RelatedPerson act for a patient now, and how far: standing, with its reason.

A proxy needs an active RelatedPerson of that patient, a period that is not over, a living patient,
and a legal basis that counts at the patient's age.  What is not known well enough is read in the
more cautious way.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from server.access.policy import Ages, Clearance, Policy
from server.access.policy_values import MAX_AGE
from server.access.scopes import Scopes, intersect, parse
from server.fhir.dates import SECOND, InvalidDate, interval
from server.fhir.references import split_reference


@dataclass(frozen=True, slots=True)
class Proxied:
    """What is known of one proxy: the grant, its RelatedPerson and its Patient.

    ``patient`` is ``Patient/x``.  ``start`` and ``end`` are dates in the facility's zone, the last
    day included.  ``related`` and ``subject`` are the resources; ``None``: not there, or deleted.
    """

    related_person: str
    patient: str
    basis: str
    scope: str = "patient/*.rs"
    start: str | None = None
    end: str | None = None
    related: dict[str, Any] | None = None
    subject: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a proxy may act, why (for an administrator, or the proxy), and how far."""

    allowed: bool
    reason: str
    scopes: Scopes = field(default_factory=Scopes)
    clearance: Clearance | None = None


def standing(policy: Policy, proxied: Proxied, now: int, base_url: str = "") -> Standing:
    """Return how a proxy stands at ``now`` (microseconds)."""
    refused = (
        _of_related(policy.zone, proxied, now, base_url)
        or _of_patient(proxied)
        or _of_period(policy.zone, "the grant", proxied.start, proxied.end, now)
    )
    if refused:
        return Standing(False, refused)
    return _by_age(policy, proxied, now)


def ages(birth: str | None, now: int, zone: tzinfo) -> tuple[int, int]:
    """Return the lowest and the highest age in years that somebody born on ``birth`` may have.

    A year or month of birth gives a range; no date, every age.  Who was born on 29 February has a
    birthday on the 28th at the earliest and on 1 March at the latest.

    >>> ages("2014-11-22", 1795305600_000_000, UTC)  # 2026-11-22
    (12, 12)
    >>> ages("2014", 1795305600_000_000, UTC)
    (11, 12)
    """
    if birth is None:
        return 0, MAX_AGE
    try:
        lo, hi = interval(birth[:10])
    except InvalidDate:
        return 0, MAX_AGE
    first, last = _day(lo, UTC), _day(hi - SECOND, UTC)
    today = _day(now, zone)
    earliest = (first[0], 2, 28) if first[1:] == (2, 29) else first
    return _between(last, today), _between(earliest, today)


def _between(born: tuple[int, int, int], today: tuple[int, int, int]) -> int:
    years = today[0] - born[0] - (today[1:] < born[1:])
    return min(max(years, 0), MAX_AGE)


def _day(at: int, zone: tzinfo) -> tuple[int, int, int]:
    day = datetime.fromtimestamp(at // SECOND, zone)
    return day.year, day.month, day.day


def _of_related(zone: tzinfo, proxied: Proxied, now: int, base_url: str) -> str | None:
    """Return why the RelatedPerson does not count; ``None`` when it does."""
    related = proxied.related
    if related is None:
        return f"{proxied.related_person} is not there"
    if related.get("active") is False:
        return f"{proxied.related_person} is not active"
    text = related.get("patient", {}).get("reference")
    if not isinstance(text, str) or split_reference(text, base_url).local != proxied.patient:
        return f"{proxied.related_person} is not a related person of {proxied.patient}"
    period = related.get("period") or {}
    return _of_period(zone, proxied.related_person, period.get("start"), period.get("end"), now)


def _of_patient(proxied: Proxied) -> str | None:
    subject = proxied.subject
    if subject is None:
        return f"{proxied.patient} is not there"
    if subject.get("active") is False:
        return f"{proxied.patient} is not active"
    if "deceasedDateTime" in subject or subject.get("deceasedBoolean") is True:
        return f"{proxied.patient} has died; a proxy ends with it"
    return None


def _of_period(zone: tzinfo, what: str, start: str | None, end: str | None, now: int) -> str | None:
    """Return why a period does not hold; its last day ends at midnight of the facility's zone."""
    try:
        if start is not None and now < interval(start, zone)[0]:
            return f"{what} begins on {start}"
        if end is not None and now >= interval(end, zone)[1]:
            return f"{what} ended on {end}"
    except InvalidDate:
        return f"the period of {what} cannot be read"
    return None


def _by_age(policy: Policy, proxied: Proxied, now: int) -> Standing:
    """Return what all ages that the patient may have allow together."""
    birth = (proxied.subject or {}).get("birthDate")
    youngest, oldest = ages(birth, now, policy.zone)
    rows = [row for row in policy.ages if row.first <= oldest and youngest <= row.last]
    said = f"{youngest}" if youngest == oldest else f"{youngest} to {oldest}"
    for row in rows:
        if proxied.basis not in row.bases:
            return Standing(False, f"{proxied.basis} is no basis {_of_age(row)}; the age is {said}")
    if not rows:
        return Standing(False, f"the policy says nothing of the age {said}")
    scopes, clearance = parse(proxied.scope), rows[0].clearance
    for row in rows:
        scopes, clearance = intersect(scopes, row.scope), clearance.meet(row.clearance)
    if not scopes.resources:
        return Standing(False, f"{proxied.scope!r} and the policy for the age {said} share nothing")
    return Standing(True, f"{proxied.basis}, the age is {said}", scopes, clearance)


def _of_age(row: Ages) -> str:
    return f"from {row.first} on" if row.last == MAX_AGE else f"from {row.first} to {row.last}"
