"""The composition root: settings in, a running server out; the only module that knows all."""

import asyncio
import errno
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_bytes

import uvloop

from mappings.maps import MapError, Maps, load_maps
from server import background, rest
from server.auth import (
    Authenticator,
    FeedDoor,
    OpenHouse,
    administrator,
    has_token,
    new_token,
)
from server.feeds import (
    FeedCollector,
    FeedService,
    MapWatch,
    Port,
    Wiring,
    admin,
    http,
    read_wiring,
    server_context,
)
from server.feeds.mllp import Limits
from server.feeds.outbound import OutboundCollector, OutboundService
from server.fhir.errors import StoreUnavailable
from server.http import HttpServer
from server.interactions import search_parameters
from server.interactions.services import Policy, Searchable, Services
from server.search.catalog import Catalog
from server.settings import Settings, is_loopback
from server.store.port import CommitConflict, RecordWrite, Store
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id


class PortTaken(Exception):
    """Another program listens on the port."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started server listens, and the administrator token made at its first start."""

    base_url: str
    mllp_host: str
    mllp_port: int | None
    first_token: str | None
    open: bool


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1000


def open_store(settings: Settings, base_url: str, *, beside: bool = False) -> SqliteStore:
    """Open the store that the settings name.

    ``beside``: next to a running server, for the server's own records, reads and backups only.

    Raises:
        NewerSchema, CorruptStore, StoreUnavailable: it cannot be opened; the text says what to do.
    """
    if settings.store is not None and settings.store.scheme != "sqlite":
        raise StoreUnavailable(f"{settings.store.scheme}: this version has the SQLite store only")
    plain = Catalog(zone=settings.time_zone)
    file = settings.store_file
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteStore(
        file,
        now=now_us,
        index=search_parameters.index(base_url, plain),
        fingerprint=search_parameters.fingerprint(base_url, plain),
        beside=beside,
        words=settings.search_words,
    )


@asynccontextmanager
async def store_beside(settings: Settings) -> AsyncIterator[Store]:
    """Open the store for a command that may run while a server has it open.

    Raises:
        StoreUnavailable: there is none; a command in the wrong folder must not make an empty one.
        Others as :func:`open_store`.
    """
    embedded = settings.store is None or settings.store.scheme == "sqlite"
    if embedded and not settings.store_file.exists():
        raise StoreUnavailable(
            f"{settings.store_file} is not there; name the server's folder with --data"
        )
    store = open_store(settings, base_url_of(settings, settings.port), beside=True)
    try:
        yield store
    finally:
        await store.close()


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
    )


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


def run(settings: Settings, *, on_ready: Callable[[Running], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight.

    Raises:
        PortTaken: another program listens on the HTTP or MLLP port.
        MapError: a map cannot be used; every fault with its file and line.
        UnusableTls: a certificate or key cannot be used.
        Others as :func:`open_store`.
    """
    uvloop.run(serve(settings, on_ready=on_ready))


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[Running], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """As :func:`run`, inside a running event loop; ``stop`` ends it as a signal would."""
    maps = load_maps(settings.maps)
    wiring = read_wiring(settings.feeds) if settings.feeds is not None else Wiring()
    if settings.tls_cert is not None and settings.tls_key is not None:
        server_context(settings.tls_cert, settings.tls_key)  # uvicorn would not say what is wrong
    with listen(settings.host, settings.port) as bound:
        base_url = base_url_of(settings, bound.getsockname()[1])
        store = open_store(settings, base_url)
        try:
            described, ended = (maps, wiring), stop or asyncio.Event()
            await _serve(settings, store, described, base_url, bound, on_ready, ended)
        finally:
            await store.close()


async def _serve(
    settings: Settings,
    store: SqliteStore,
    described: tuple[Maps, Wiring],
    base_url: str,
    bound: socket.socket,
    on_ready: Callable[[Running], None] | None,
    stop: asyncio.Event,
) -> None:
    maps, wiring = described
    services = await services_of(settings, store, base_url)
    await search_parameters.load(services)
    feeds = FeedService(
        services, maps, _ports(settings, wiring), wiring=wiring, keep_days=settings.inbox_days
    )
    application = _application(settings, services, feeds, stop)
    # The embedded store is one server's: the next start is the same owner.
    outbound = OutboundService(services, maps, settings.maps, owner="server")
    application.metrics.registry.register(OutboundCollector(outbound))
    http_server = HttpServer(application, settings, bound)
    _freeze()
    with _stopped_by_signals(stop):
        try:
            await _listen_for_feeds(feeds, settings)
            async with background.tasks(store, now_us, services), MapWatch(maps, settings.maps):
                await application.start()
                await outbound.start()
                await http_server.start()
                # Not before: a start that fails would use up the token that nobody has seen.
                token = None
                if not settings.open and not await has_token(store):
                    token = await new_token(store, "first")
                if on_ready is not None:
                    on_ready(_running(settings, base_url, feeds, token))
                await http_server.until(stop)
        finally:
            grace_s = float(settings.shutdown_s)
            await asyncio.gather(
                http_server.finish(), feeds.stop(grace_s=grace_s), application.stop(grace_s)
            )
            await outbound.stop(grace_s=grace_s)  # last: it tells of what the others wrote


def _application(
    settings: Settings, services: Services, feeds: FeedService, stop: asyncio.Event
) -> rest.Application:
    async def draining() -> str | None:
        return "the server is stopping" if stop.is_set() else None

    authenticate = OpenHouse() if settings.open else Authenticator(services.store, now_us)
    made = rest.build(
        services,
        authenticate=authenticate,
        secured=not settings.open,
        limits=rest.Limits() if settings.compress else rest.Limits(compress_bytes=None),
        cors_origins=settings.cors_origins,
        checks={"serving": draining},
    )
    made.metrics.registry.register(FeedCollector(feeds))
    door = FeedDoor(services.store, authenticate, now_us)
    made.pages.include_router(http.router(feeds, door))
    made.pages.include_router(admin.router(feeds, partial(administrator, authenticate)))
    return made


def _policy(settings: Settings) -> Policy:
    return Policy(
        delete=settings.delete,
        conditional_delete=settings.conditional_delete,
        default_page=settings.page_size,
        deadline_s=settings.query_deadline_s,
        words=settings.search_words,
    )


def _ports(settings: Settings, wiring: Wiring) -> list[Port]:
    """Return the port of the settings, then those of the feeds' file, all with the same TLS."""
    tls = None
    if settings.mllp_tls_cert is not None and settings.mllp_tls_key is not None:
        tls = server_context(
            settings.mllp_tls_cert, settings.mllp_tls_key, settings.mllp_tls_client_ca
        )
    made = []
    if settings.mllp_port is not None:
        made = [Port(settings.mllp_feed, settings.mllp_host, settings.mllp_port, tls=tls)]
    for line in wiring.ports:
        host = line.host or settings.mllp_host
        if not (is_loopback(host) or tls is not None or settings.mllp_insecure):
            raise MapError(
                [f"{settings.feeds}: port {line.port} on {host} needs TELLONCE_MLLP_TLS_CERT"]
            )
        limits = Limits(max_connections=line.connections, idle_s=line.idle_s, frame_s=line.frame_s)
        made.append(Port(line.feed, host, line.port, tls, limits))
    return made


async def _listen_for_feeds(feeds: FeedService, settings: Settings) -> None:
    try:
        await feeds.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {settings.mllp_port} of {settings.mllp_host} is taken; "
                "choose another with --mllp-port"
            ) from error
        raise


def _running(settings: Settings, base_url: str, feeds: FeedService, token: str | None) -> Running:
    mllp = feeds.listeners[0].port if feeds.listeners else None
    return Running(base_url, settings.mllp_host, mllp, token, settings.open)


def _freeze() -> None:
    """Take what lives for ever out of the garbage collector's walks: tables, routes, maps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` on SIGINT and SIGTERM; without a main thread (tests) nothing is caught."""
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except (RuntimeError, ValueError):
            continue
        caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


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
