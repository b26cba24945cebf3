"""What a user, an app or a backend service may do: the record is read, the policy decides."""

from collections.abc import Sequence
from typing import Any

from server.access import scopes
from server.access.context import SYSTEM, AccessContext
from server.access.permits import permits
from server.access.person import Person, role_of
from server.access.policy import Policy
from server.access.proxy import Proxied
from server.access.scopes import Scopes
from server.auth.records import Client, Grant, Proxy, User
from server.fhir import json as fhir_json
from server.fhir.references import split_reference
from server.interactions.services import Services

PAGES = "pages"  # the client of the server's own pages
MOST_PROXIES = 50
_EVERYTHING = scopes.parse("user/*.cruds")


class Rights:
    """Reads what the policy asks about a person, and hands it in."""

    def __init__(self, services: Services, policy: Policy) -> None:
        self._services, self._policy = services, policy

    async def of_grant(
        self, grant: Grant, client: Client, user: User | None, scope: str, now: int
    ) -> AccessContext:
        """Return the rights of a token: what scope, client and policy allow together.

        ``user`` is ``None`` for a backend service.  ``now``: microseconds.
        """
        if user is None:
            person = Person(client.id, service=True)
        else:
            person = await self.person(user)
        allowed = scopes.intersect(scopes.parse(scope), scopes.parse(client.scope))
        patient = f"Patient/{grant.patient}" if grant.patient is not None else None
        return self._access(person, allowed, patient, client.id, grant.id, now)

    async def of_user(self, user: User, now: int) -> AccessContext:
        """Return the rights of a user with no app in between."""
        return self._access(await self.person(user), _EVERYTHING, None, PAGES, None, now)

    async def person(self, user: User) -> Person:
        """Return what the policy wants to know about a user."""
        return Person(
            user.name,
            user.roles,
            user.fhir_user,
            user.departments,
            await self._proxies(user.fhir_user or ""),
        )

    def _access(
        self,
        person: Person,
        allowed: Scopes,
        patient: str | None,
        client: str,
        grant: str | None,
        now: int,
    ) -> AccessContext:
        services = self._services
        made, beyond = (
            permits(
                self._policy,
                person,
                allowed,
                patient,
                now,
                services.catalog,
                base_url=services.base_url,
                beyond=beyond,
            )
            for beyond in (False, True)
        )
        return AccessContext(
            f"client/{person.login}" if person.service else f"user/{person.login}",
            client,
            made,
            person.fhir_user,
            patient,
            grant,
            role_of(self._policy, person, patient),
            beyond=beyond,
        )

    async def _proxies(self, fhir_user: str) -> tuple[Proxied, ...]:
        """Return for whom a RelatedPerson acts; or a Person, by the RelatedPersons that it links.

        Only where the operator kept a proxy: what the record says about relations opens nothing.
        """
        names: Sequence[str] = ()
        if fhir_user.startswith("RelatedPerson/"):
            names = (fhir_user,)
        elif fhir_user.startswith("Person/"):
            names = await self._linked(fhir_user)
        found = [await self._services.store.get_record(Proxy.KIND, name) for name in names]
        kept = [Proxy.unpack(record.value) for record in found if record is not None]
        if not kept:
            return ()
        wanted = {one.related_person for one in kept} | {one.patient for one in kept}
        read = await self._read(wanted)
        return tuple(
            Proxied(
                one.related_person,
                one.patient,
                one.basis,
                one.scope,
                one.start,
                one.end,
                read.get(one.related_person),
                read.get(one.patient),
            )
            for one in kept
        )

    async def _linked(self, person: str) -> list[str]:
        resource = (await self._read({person})).get(person, {})
        if resource.get("active") is False:
            return []
        links = resource.get("link") or []
        base_url = self._services.base_url
        texts = [str(one.get("target", {}).get("reference", "")) for one in links]
        local = [split_reference(text, base_url).local for text in texts]
        return [one for one in local if one and one.startswith("RelatedPerson/")][:MOST_PROXIES]

    async def _read(self, references: set[str]) -> dict[str, Any]:
        """Return the live resources; as the server itself, which decides for others here."""
        wanted = [(type_, id_) for type_, _, id_ in (one.partition("/") for one in references)]
        found = await self._services.store.read_many(SYSTEM, wanted)
        return {
            f"{type_}/{id_}": fhir_json.loads(version.body)
            for (type_, id_), version in found.items()
            if version.body is not None
        }
