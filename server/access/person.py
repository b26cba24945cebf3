"""Who asks, as plain data, and the records that they may open.

A person acts in one role at a time.  Those who are patients as well as clinicians act as patients
when the patient in context is themselves or one whom they are a proxy of, and as clinicians
otherwise, unless the token says the role.
"""

from dataclasses import dataclass

from server.access.policy import Clearance, Policy, Role
from server.access.proxy import Proxied, Standing, standing
from server.access.scopes import Scopes

PROXY = "proxy"  # the role of the policy in which proxies act
SYSTEM_ROLE = "system"  # that of backend services, unless the policy names another

RELEASED_EVERY = 2_000_000  # microseconds by which a release may be seen later than it says


@dataclass(frozen=True, slots=True)
class Person:
    """A user, or with ``service`` a backend service, whose ``login`` is its client id.

    ``fhir_user``: ``Patient/x``, ``Practitioner/x``, ``RelatedPerson/x``.  ``departments``:
    ``Organization/x``; none means all.  ``proxies``: those whom the person may act for.
    """

    login: str
    roles: tuple[str, ...] = ()
    fhir_user: str | None = None
    departments: tuple[str, ...] = ()
    proxies: tuple[Proxied, ...] = ()
    service: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Something that a person may open: one patient's record, or every one (``patient`` None).

    ``own`` is what stands for the person in it: a proxy's RelatedPerson of that patient.
    ``scopes``: ``patient/`` scopes that it is limited to; ``None``: not limited.
    """

    role: Role
    patient: str | None
    own: str | None
    clearance: Clearance
    released: int | None = None
    scopes: Scopes | None = None


def role_of(policy: Policy, person: Person, patient: str | None = None) -> str | None:
    """Return the role that a person acts in; ``patient`` (``Patient/x``) is the one in context."""
    if person.service:
        role = policy.clients.get(person.login, SYSTEM_ROLE)
        return role if role in policy.roles else None
    known = [name for name in person.roles if name in policy.roles]
    own = [name for name in known if policy.roles[name].record == "own"]
    if patient is not None and patient == person.fhir_user and own:
        return own[0]
    if patient is not None and any(one.patient == patient for one in person.proxies):
        return PROXY if PROXY in policy.roles else None
    for wanted in ("everyone", "own", "proxied", "none"):
        for name in known:
            if policy.roles[name].record == wanted:
                return name
    return PROXY if person.proxies and PROXY in policy.roles else None


def records(
    policy: Policy, person: Person, role: str | None, now: int, base_url: str = ""
) -> tuple[Record, ...]:
    """Return the records that a person may open in a role at ``now`` (microseconds)."""
    acting = policy.roles.get(role) if role is not None else None
    if acting is None:
        return ()
    if acting.record in ("everyone", "none"):
        released = _released(acting, now)
        return (Record(acting, None, person.fhir_user, acting.clearance, released),)
    return (*_own(policy, person, now), *_proxied(policy, person, now, base_url))


def standings(
    policy: Policy, person: Person, now: int, base_url: str = ""
) -> tuple[tuple[Proxied, Standing], ...]:
    """Return each proxy of a person with how it stands, the refused ones with their reason."""
    return tuple((one, standing(policy, one, now, base_url)) for one in person.proxies)


def _released(role: Role, now: int) -> int | None:
    """Return until when something must have been released to be seen.

    It is rounded down, so nothing is seen early, and a caller who asks again within the time has
    the same limits as before: a store then knows what it found for them.
    """
    return now - now % RELEASED_EVERY if role.released_only else None


def _own(policy: Policy, person: Person, now: int) -> list[Record]:
    patient = person.fhir_user or ""
    own = [policy.roles[name] for name in person.roles if name in policy.roles]
    own = [role for role in own if role.record == "own"]
    if not own or not patient.startswith("Patient/"):
        return []
    released = _released(own[0], now)
    return [Record(own[0], patient, patient, own[0].clearance, released)]


def _proxied(policy: Policy, person: Person, now: int, base_url: str) -> list[Record]:
    role = policy.roles.get(PROXY)
    if role is None:
        return []
    released = _released(role, now)
    return [
        Record(
            role,
            one.patient,
            one.related_person,
            role.clearance.meet(stands.clearance),
            released,
            stands.scopes,
        )
        for one, stands in standings(policy, person, now, base_url)
        if stands.allowed and stands.clearance is not None
    ]
