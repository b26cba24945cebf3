"""``/auth/apps``: which apps may open a record, since when, what they may do; and taking it back.

SMART App Launch 2.2.0, conformance.html#metadata: ``management_endpoint``.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Response

from server.access import plain, scopes
from server.auth.ending import walk
from server.auth.pages import finding
from server.auth.pages.page_error import PageError
from server.auth.pages.serve import Page
from server.auth.pages.visit import Visit
from server.auth.proxies import Proxies
from server.auth.records import Client, Grant, User

APPS = "/auth/apps"


@dataclass(frozen=True, slots=True)
class App:
    """What one app was allowed for one record, by one person.

    ``grants`` are ids; ``since`` and ``used`` are microseconds, ``used`` 0: not yet.  ``by``: who
    allowed it, when that was somebody else.
    """

    name: str
    grants: tuple[str, ...]
    record: str
    since: int
    used: int
    may: tuple[str, ...]
    changes: bool
    lasting: bool
    by: str = ""


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [Page(APPS, shown), Page(f"{APPS}/revoke", revoke, "POST")]


async def shown(visit: Visit) -> Response:
    """Show the apps."""
    apps = await _apps(visit)
    return visit.page("apps", apps=apps, gone=visit.asked("gone") == "1")


async def revoke(visit: Visit) -> Response:
    """Take access back, at once; only what the page shows to this person."""
    ids = visit.form.all("grant")
    mine = {one.id async for one in _grants(visit)}
    if not ids or not set(ids) <= mine:
        raise PageError(
            404,
            "This access is not there any more",
            "It was taken back already, or ended by itself.",
            next=(("Look at the apps again", APPS),),
        )
    for id_ in ids:
        await visit.context.ledger.end(id_, f"taken back by user/{visit.me.user.name}")
    return visit.redirect(f"{APPS}?gone=1")


async def _apps(visit: Visit) -> list[App]:
    by_place: dict[tuple[str, str | None, str | None], list[Grant]] = {}
    async for grant in _grants(visit):
        by_place.setdefault((grant.client, grant.patient, grant.user), []).append(grant)
    made = [await _app(visit, grants) for grants in by_place.values()]
    return sorted(made, key=lambda one: (-max(one.used, one.since), one.name))


async def _app(visit: Visit, grants: list[Grant]) -> App:
    first = grants[0]
    name = await _client_name(visit, first.client)
    own = visit.me.user.fhir_user == f"Patient/{first.patient}"
    person = None
    if first.patient is not None and not own:
        services = visit.context.services
        person = await finding.patient(services, await visit.access(), first.patient)
    record = "your record" if own else "many records" if first.patient is None else "a record"
    allowed = scopes.union(*(scopes.parse(one.scope) for one in grants))
    whose = "your" if own or person is None else f"{person.name}’s"
    by = first.user if first.user != visit.me.user.name else None
    giver = await visit.context.users.get(by) if by else None
    return App(
        name=name,
        grants=tuple(one.id for one in grants),
        record=f"the record of {person.name}" if person is not None else record,
        since=min(one.created for one in grants),
        used=max(one.used for one in grants),
        may=tuple(plain.describe(one, whose) for one in allowed.resources),
        changes=any(set("cud") & set(one.letters) for one in allowed.resources),
        lasting=any(one.refresh == "offline" for one in grants),
        by=(giver.display or giver.name) if giver is not None else by or "",
    )


async def _grants(visit: Visit) -> AsyncIterator[Grant]:
    """Yield what the person allowed, and what proxies allowed for the person's own record."""
    store, user = visit.context.services.store, visit.me.user
    async for record in walk(store, Grant.KIND, user.name):
        yield Grant.unpack(record.value)
    kind, _, own = (user.fhir_user or "").partition("/")
    if kind != "Patient" or "patient" not in user.roles:
        return
    for name in await _proxies(visit, f"Patient/{own}"):
        async for record in walk(store, Grant.KIND, name):
            grant = Grant.unpack(record.value)
            if grant.patient == own:
                yield grant


async def _proxies(visit: Visit, patient: str) -> list[str]:
    """Return the names of those who act for a patient; hardly anybody has any."""
    proxies = await Proxies(visit.context.services.store).of_patient(patient)
    acting = {one.related_person for one in proxies}
    if not acting:
        return []
    return [
        user.name
        for user in await visit.context.users.list()
        if user.fhir_user in acting or await _acts_by_link(visit, user, patient)
    ]


async def _acts_by_link(visit: Visit, user: User, patient: str) -> bool:
    """Tell whether a Person acts for the patient by one of the RelatedPersons that it links."""
    if not (user.fhir_user or "").startswith("Person/"):
        return False
    ids = finding.within(await visit.context.access_of(user))
    return ids is not None and patient.partition("/")[2] in ids


async def _client_name(visit: Visit, id_: str) -> str:
    record = await visit.context.services.store.get_record(Client.KIND, id_)
    return Client.unpack(record.value).name if record is not None else id_
