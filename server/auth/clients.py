"""Programs that call: kept in the store, checked before they are kept."""

import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from secrets import token_urlsafe

from server.auth.client_checks import check_client
from server.auth.ending import end_grants, walk
from server.auth.ending import replace as put
from server.auth.records import Client, key_of
from server.auth.unfit import Missing, Taken, Unfit
from server.store.port import RecordWrite, Store

TAG = "client"
MIN_SECRET = 32  # characters: a secret is kept as a plain hash, so it must not be guessable
_NO_SECRET = key_of("")


def new_secret() -> str:
    """Return a client secret of 256 random bits."""
    return token_urlsafe(32)


def secret_to_keep(secret: str) -> str:
    """Return what is kept of a client secret; raise Unfit when it could be guessed."""
    if len(secret) < MIN_SECRET or len(set(secret)) < 10 or not secret.isascii():
        raise Unfit(f"a secret has at least {MIN_SECRET} ASCII characters, best random ones")
    return key_of(secret)


def has_secret(client: Client, secret: str) -> bool:
    """Tell, in the same time for all, whether ``secret`` is the client's."""
    return hmac.compare_digest(client.secret or _NO_SECRET, key_of(secret)) and bool(client.secret)


class Clients:
    """All clients.  ``now`` gives microseconds."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store, self._now = store, now

    async def get(self, id_: str) -> Client | None:
        """Return the client, active or not."""
        record = await self._store.get_record(Client.KIND, id_) if id_ else None
        return Client.unpack(record.value) if record is not None else None

    async def list(self) -> list[Client]:
        """Return all clients, ordered by id."""
        return [client async for client in self.walk()]

    async def walk(self) -> AsyncIterator[Client]:
        """Yield all clients, ordered by id."""
        async for record in walk(self._store, Client.KIND, TAG):
            yield Client.unpack(record.value)

    async def count(self) -> int:
        """Return how many there are."""
        return sum((await self._store.count_records(Client.KIND)).values())

    async def add(self, client: Client) -> Client:
        """Keep a new client and return it, with the time of its making.

        Raises:
            Unfit: something about it cannot be; :class:`Taken`: there is one of that id.
        """
        made = replace(check_client(client), created=self._now())
        if not await put(self._store, None, _write(made)):
            raise Taken(f"there is a client {client.id} already")
        return made

    async def change(self, client: Client) -> Client:
        """Keep a client that is there already; raise Missing, Unfit.

        Its grants stay: a request finds no more than the client may have now.
        """
        record = await self._store.get_record(Client.KIND, client.id)
        if record is None:
            raise Missing(f"there is no client {client.id}")
        if not await put(self._store, record, _write(check_client(client))):
            raise Unfit(f"client {client.id} was changed meanwhile; try again")
        return client

    async def remove(self, id_: str) -> Client:
        """Remove a client, and with it every grant to it; raise Missing."""
        client = await self.get(id_)
        if client is None:
            raise Missing(f"there is no client {id_}")
        await self._store.commit([], records=[RecordWrite(Client.KIND, id_, None)])
        await end_grants(self._store, client=id_)
        return client


def _write(client: Client) -> RecordWrite:
    return RecordWrite(Client.KIND, client.id, client.pack(), tag=TAG)
