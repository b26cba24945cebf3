"""From settings to a server that runs until it is stopped."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import uvloop

from mappings.maps import Maps, load_maps
from server import background, rest
from server.app import distributed
from server.app.ending import Ending
from server.app.entrance import Entrance, brands_of
from server.app.feed_ports import listen_for_feeds, ports, processes, starter
from server.app.first_start import FirstUser, first_token, first_user
from server.app.forwarded import Forwarded
from server.app.front import Front
from server.app.opening import (
    access_policy,
    base_url_of,
    listen,
    now_us,
    open_store,
    services_of,
    site_of,
)
from server.app.rephrasing import rephraser
from server.auth.departments import Departments
from server.continuity.corrections.watch import Corrections
from server.feeds import (
    FeedCollector,
    FeedService,
    MapWatch,
    Wiring,
    admin,
    http,
    read_wiring,
    server_context,
)
from server.feeds.outbound import OutboundCollector, OutboundService
from server.feeds.outbound import admin as outbound_admin
from server.http import HttpServer
from server.interactions import search_parameters
from server.interactions.audit_log import AuditLog
from server.interactions.services import Services
from server.operations import operations
from server.settings import Settings
from server.store.moving import demand_whole
from server.store.port import Store
from server.uuid7 import new_id


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started server listens, and what was made at its first start, shown once."""

    base_url: str
    mllp_host: str
    mllp_port: int | None
    first_token: str | None
    open: bool
    first_user: FirstUser | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """What the settings point to, read before anything is opened."""

    maps: Maps
    wiring: Wiring


def run(settings: Settings, *, on_ready: Callable[[Running], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight.

    Raises:
        PortTaken: another program listens on the HTTP or MLLP port.
        MapError, PolicyError, UnfitBrands: a file that settings name cannot be used; every fault
            with its file and line.
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
    wiring = read_wiring(settings.feeds) if settings.feeds is not None else Wiring()
    read = _Read(load_maps(settings.maps), wiring)
    access_policy(settings)  # a fault is told before anything is opened
    site_of(settings)
    if settings.tls_cert is not None and settings.tls_key is not None:
        server_context(settings.tls_cert, settings.tls_key)  # uvicorn would not say what is wrong
    stop = stop or asyncio.Event()
    with listen(settings.host, settings.port) as bound, _stopped_by_signals(stop):
        base_url = base_url_of(settings, bound.getsockname()[1])
        store = open_store(settings, base_url)
        front = Front()
        http_server = HttpServer(front, settings, bound)
        try:
            if await _connected(store, front, http_server, stop):
                await demand_whole(store)
                services = await _audited(settings, store, base_url)
                await _serve(settings, services, read, front, http_server, on_ready, stop)
        finally:
            await http_server.finish()
            await store.close()


async def _connected(
    store: Store, front: Front, http_server: HttpServer, stop: asyncio.Event
) -> bool:
    """Connect to a store on other machines, and tell meanwhile that it is away.

    Returns ``False`` when the server was to stop before that worked.
    """
    if not isinstance(store, distributed.Distributed):
        return True
    await http_server.start()

    def told(why: str) -> None:
        front.why = why

    return await distributed.patiently(store, stop, told)


async def _audited(settings: Settings, store: Store, base_url: str) -> Services:
    """Return what interactions need, with who is told of them."""
    services = await services_of(settings, store, base_url)
    audit = AuditLog(
        store,
        now_us,
        new_id,
        base_url,
        durable=settings.audit_reads == "durable",
        searchable=services.searchable,
        owner=services.owner,
    )
    return replace(services, audit=audit)


async def _serve(
    settings: Settings,
    services: Services,
    read: _Read,
    front: Front,
    http_server: HttpServer,
    on_ready: Callable[[Running], None] | None,
    stop: asyncio.Event,
) -> None:
    await search_parameters.load(services)
    listening, days = ports(settings, read.wiring), settings.inbox_days
    feeds = FeedService(
        services,
        read.maps,
        listening,
        wiring=read.wiring,
        keep_days=days,
        processes=processes(settings),
        start=starter(settings, services) if processes(settings) else None,
    )
    # The embedded store is one server's: the next start is the same owner.
    owner = services.owner or "server"
    outbound = OutboundService(services, read.maps, settings.maps, owner=owner)
    brands, ending = await brands_of(settings, services), Ending(settings.shutdown_s)
    async with (
        _auditing(services, ending),
        Entrance(settings, services, brands) as entrance,
    ):
        application = _application(settings, services, entrance, feeds, stop)
        application.metrics.registry.register(OutboundCollector(outbound))
        destinations = outbound_admin.router(outbound, entrance.administrator)
        application.pages.include_router(destinations)
        served = Forwarded(application) if settings.behind_tls_proxy else application
        _freeze()
        try:
            await listen_for_feeds(feeds, settings)
            corrections = Corrections(services, entrance.readers, owner=owner)
            chores = background.tasks(services.store, now_us, services, corrections.run)
            async with chores, MapWatch(read.maps, settings.maps):
                await application.start()
                await outbound.start()
                front.application = served
                await http_server.start()
                # Not before: a start that fails would use up what nobody has seen.
                running = await _running(settings, services, feeds, entrance)
                if on_ready is not None:
                    on_ready(running)
                entrance.prepare()
                await http_server.until(stop)
                ending.begin()
        finally:
            grace_s = ending.left_s
            await asyncio.gather(
                http_server.finish(), feeds.stop(grace_s=grace_s), application.stop(grace_s)
            )
            await outbound.stop(grace_s=ending.left_s)  # it tells of what the others wrote


def _application(
    settings: Settings,
    services: Services,
    entrance: Entrance,
    feeds: FeedService,
    stop: asyncio.Event,
) -> rest.Application:
    async def draining() -> str | None:
        return "the server is stopping" if stop.is_set() else None

    site = replace(
        site_of(settings), rephraser=rephraser(), departments=Departments(entrance.users)
    )
    made = rest.build(
        services,
        authenticate=entrance.authenticate,
        secured=not settings.open,
        operations=operations(entrance.ways, site),
        limits=rest.Limits() if settings.compress else rest.Limits(compress_bytes=None),
        cors_origins=settings.cors_origins,
        checks={"serving": draining},
        oauth=entrance.oauth_uris(),
        well_known=entrance.well_known(),
        registered_origin=entrance.registered_origin,
        throttle=entrance.throttle,
    )
    made.metrics.registry.register(FeedCollector(feeds))
    made.pages.include_router(http.router(feeds, entrance.feed_door))
    made.pages.include_router(admin.router(feeds, entrance.administrator))
    for router in entrance.routers():
        made.pages.include_router(router)
    return made


@asynccontextmanager
async def _auditing(services: Services, ending: Ending) -> AsyncIterator[None]:
    """Keep what audit is told; it ends last, for the others tell it of their ends."""
    audit = services.audit
    assert isinstance(audit, AuditLog)
    await audit.start()
    try:
        yield
    finally:
        await audit.stop(ending.left_s)


async def _running(
    settings: Settings, services: Services, feeds: FeedService, entrance: Entrance
) -> Running:
    mllp = feeds.listeners[0].port if feeds.listeners else None
    token, user = None, None
    if not settings.open:
        token = await first_token(services)
        user = await first_user(entrance.users)
    return Running(
        services.base_url, settings.mllp_host, mllp, token, settings.open, first_user=user
    )


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
