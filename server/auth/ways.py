"""By which ways somebody comes to the record: for the explanation of who sees what, and why."""

from collections.abc import Callable
from dataclasses import replace

from server.access.context import AccessContext
from server.auth.person import PAGES, Rights
from server.auth.records import Client, Grant, User
from server.fhir.errors import InvalidParameter
from server.operations.explain_access import Asked, Way
from server.store.port import Store

MOST = 20  # grants that are looked at
_ANYTHING = "user/*.cruds patient/*.cruds"


class Ways:
    """``now`` gives microseconds."""

    def __init__(self, store: Store, rights: Rights, now: Callable[[], int]) -> None:
        self._store, self._rights, self._now = store, rights, now

    async def __call__(self, asked: Asked) -> list[Way]:
        """Return the ways that are asked for, at least one.

        Raises:
            InvalidParameter: there is no such user or client, or neither is named.
        """
        user = await self._user(asked.user) if asked.user is not None else None
        client = await self._client(asked.client) if asked.client is not None else None
        for one, known_as in ((user, asked.user), (client, asked.client)):
            if one is not None and not one.active:
                return [Way(f"{known_as} is locked: nothing is open", _nothing(asked))]
        if user is None and client is None:
            raise InvalidParameter("name a user, a client, or both", expression=("user",))
        if user is not None and client is not None and asked.scope is None:
            granted = [one for one in await self._grants(user, client) if _about(one, asked)]
            if granted:
                return [await self._granted(grant, client, user) for grant in granted[:MOST]]
        if user is not None and client is None and asked.scope is asked.patient is None:
            access = await self._rights.of_user(user, self._now())
            return [Way(f"{user.name} as {access.role or 'nobody'}, by the policy alone", access)]
        return [await self._supposed(asked, client, user)]

    async def _granted(self, grant: Grant, client: Client, user: User) -> Way:
        access = await self._rights.of_grant(grant, client, user, grant.scope, self._now())
        context = f", with Patient/{grant.patient}" if grant.patient is not None else ""
        words = f"{user.name} as {access.role or 'nobody'}, granted {client.id} {grant.scope!r}"
        return Way(words + context, access)

    async def _supposed(self, asked: Asked, client: Client | None, user: User | None) -> Way:
        scope = asked.scope or (client.scope if client is not None else _ANYTHING)
        through = client or Client("an app", "an app", scope=scope)
        patient = asked.patient
        if patient is None and user is not None and (user.fhir_user or "").startswith("Patient/"):
            patient = user.fhir_user  # whom the server would put in context
        grant = Grant(
            "supposed",
            through.id,
            user.name if user is not None else None,
            scope,
            patient.removeprefix("Patient/") if patient is not None else None,
        )
        access = await self._rights.of_grant(grant, through, user, scope, self._now())
        name = user.name if user is not None else through.id
        context = f", with {patient}" if patient is not None else ""
        told = f"{name} as {access.role or 'nobody'}, if {through.id} had {scope!r}{context}"
        return Way(told, replace(access, grant=None))

    async def _grants(self, user: User, client: Client) -> list[Grant]:
        found = await self._store.find_records(Grant.KIND, tag=user.name, limit=1000)
        grants = [Grant.unpack(record.value) for record in found]
        return [grant for grant in grants if grant.client == client.id]

    async def _user(self, name: str) -> User:
        record = await self._store.get_record(User.KIND, name.strip().lower())
        if record is None:
            raise InvalidParameter(f"there is no user {name[:80]!r}", expression=("user",))
        return User.unpack(record.value)

    async def _client(self, id_: str) -> Client:
        record = await self._store.get_record(Client.KIND, id_)
        if record is None:
            raise InvalidParameter(f"there is no client {id_[:80]!r}", expression=("client",))
        return Client.unpack(record.value)


def _about(grant: Grant, asked: Asked) -> bool:
    return asked.patient is None or grant.patient == asked.patient.removeprefix("Patient/")


def _nothing(asked: Asked) -> AccessContext:
    principal = f"user/{asked.user}" if asked.user is not None else f"client/{asked.client}"
    return AccessContext(principal, asked.client or PAGES, ())
