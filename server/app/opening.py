"""What is opened before anything runs: the store, the socket, and what every part is given."""

import errno
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from secrets import token_bytes
from zoneinfo import ZoneInfo

from server.access.policy import Policy as AccessPolicy
from server.access.policy import load_policy
from server.app import distributed
from server.app.witnessed import witnessed
from server.continuity.site import Site
from server.continuity.validity import load_validity
from server.fhir.errors import StoreUnavailable
from server.interactions import search_parameters
from server.interactions.services import Policy, Searchable, Services
from server.search.catalog import Catalog
from server.settings import Settings
from server.store import moving
from server.store.address import StoreAddress
from server.store.port import CommitConflict, RecordWrite, Store
from server.store.sqlite import SqliteStore
from server.store.turn import process_name
from server.uuid7 import new_id


class PortTaken(Exception):
    """Another program listens on the port."""


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1000


def address_of(settings: Settings) -> StoreAddress:
    """Return where the record lives.

    Raises:
        StoreUnavailable: the file that holds the address has none.
        OSError: it cannot be read.
    """
    if settings.store is not None:
        return settings.store
    if settings.store_uri_file is None:
        return StoreAddress("sqlite", f"sqlite:///{settings.store_file}")
    try:
        return StoreAddress.read(settings.store_uri_file.read_text("utf-8"))
    except ValueError as error:
        raise StoreUnavailable(f"{settings.store_uri_file}: {error}") from None


def open_store(settings: Settings, base_url: str, *, beside: bool = False) -> Store:
    """Open the store that the settings name; one on other machines still is to be started.

    ``beside``: next to a running server, for the server's own records, reads and backups only.

    Raises:
        NewerSchema, CorruptStore, StoreUnavailable: it cannot be opened; the text says what to do.
    """
    address, plain = address_of(settings), Catalog(zone=settings.time_zone)
    index = search_parameters.index(base_url, plain)
    fingerprint = search_parameters.fingerprint(base_url, plain)
    if not address.embedded:
        return distributed.opened(address, now_us, index, fingerprint, words=settings.search_words)
    address.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteStore(
        address.file,
        now=now_us,
        index=index,
        fingerprint=fingerprint,
        beside=beside,
        words=settings.search_words,
    )


@asynccontextmanager
async def store_alone(settings: Settings, base_url: str) -> AsyncIterator[Store]:
    """Open the store for a command that does what a server does.

    Raises:
        As :func:`store_beside`.
    """
    _demand_there(settings)
    store = open_store(settings, base_url)
    try:
        await distributed.start(store)
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def store_beside(settings: Settings) -> AsyncIterator[Store]:
    """Open the store for a command that may run while a server has it open.

    What is changed of users, clients, proxies, tokens and keys is told to audit.

    Raises:
        StoreUnavailable: there is none; a command in the wrong folder must not make an empty one.
        Others as :func:`open_store`.
    """
    _demand_there(settings)
    store = open_store(settings, base_url_of(settings, settings.port), beside=True)
    try:
        await distributed.start(store)
        yield witnessed(store, now_us)
    finally:
        await store.close()


@asynccontextmanager
async def side(settings: Settings, base_url: str, *, there: bool) -> AsyncIterator[moving.Side]:
    """Open a store to move a record from it (``there``: it must exist) or into it.

    Raises:
        As :func:`store_beside`.
    """
    if there:
        _demand_there(settings)
    store = open_store(settings, base_url)
    try:
        await distributed.start(store)
        yield moving.Side(str(address_of(settings)), store, distributed.mover(store))
    finally:
        await store.close()


def _demand_there(settings: Settings) -> None:
    address = address_of(settings)
    if address.embedded and not address.file.exists():
        raise StoreUnavailable(f"{address.file} is not there; name the server's folder with --data")


async def services_of(settings: Settings, store: Store, base_url: str) -> Services:
    """Return what interactions need, with R4's own search parameters."""
    return Services(
        store,
        base_url,
        now_us,
        new_id,
        await cursor_key(store),
        _policy(settings),
        Searchable(Catalog(zone=settings.time_zone)),
        access_policy=access_policy(settings),
        owner=None if address_of(settings).embedded else process_name(),
    )


def access_policy(settings: Settings) -> AccessPolicy:
    """Return who may see what; days end where dates without a zone do, unless the file says where.

    Raises:
        PolicyError: the file cannot be used; every fault with its line.
    """
    return load_policy(settings.access_policy, ZoneInfo(settings.time_zone))


def site_of(settings: Settings) -> Site:
    """Return what the site decides about continuity.

    Raises:
        ValidityError: the file cannot be used; every fault with its line.
    """
    return Site(load_validity(settings.validity))


def base_url_of(settings: Settings, port: int) -> str:
    """Return the public address of the FHIR API, without a slash at its end."""
    if settings.base_url is not None:
        return str(settings.base_url).rstrip("/")
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port}/fhir"


async def cursor_key(store: Store) -> bytes:
    """Return the key that seals page cursors; made at the first start, kept in the store."""
    for _ in range(3):
        kept = await store.get_record("secret", "cursor")
        if kept is not None:
            return kept.value
        try:
            made = RecordWrite("secret", "cursor", token_bytes(32), if_rev=0)
            await store.commit([], records=[made])
        except CommitConflict:
            continue
    raise RuntimeError("the cursor key could not be read or written")


def _policy(settings: Settings) -> Policy:
    return Policy(
        delete=settings.delete,
        conditional_delete=settings.conditional_delete,
        default_page=settings.page_size,
        deadline_s=settings.query_deadline_s,
        words=settings.search_words,
    )


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Bind a listening socket; raise :class:`PortTaken` when somebody else has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken; choose another with --port"
            ) from error
        raise
    with bound:
        yield bound
