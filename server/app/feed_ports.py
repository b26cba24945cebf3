"""The ports on which HL7v2 is listened for, and the processes that help with what comes."""

import errno
import os

from mappings.maps import MapError
from server.app.opening import PortTaken, address_of
from server.feeds import FeedService, Port, Wiring, maker_process, server_context
from server.feeds.makers import Start
from server.feeds.mllp import Limits
from server.interactions.services import Services
from server.settings import Settings, is_loopback


def ports(settings: Settings, wiring: Wiring) -> list[Port]:
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


async def listen_for_feeds(feeds: FeedService, settings: Settings) -> None:
    """Listen on all of them; raise :class:`PortTaken` when another program does."""
    try:
        await feeds.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {settings.mllp_port} of {settings.mllp_host} is taken; "
                "choose another with --mllp-port"
            ) from error
        raise


def processes(settings: Settings) -> int:
    """Return how many processes may work out what messages change, beside this one."""
    if not address_of(settings).embedded:
        return 0  # of a store of many servers: another server does the same
    if settings.feed_processes is not None:
        return settings.feed_processes
    return 1 if (os.cpu_count() or 1) > 1 else 0


def starter(settings: Settings, services: Services) -> Start:
    """Return what starts one of them."""
    return maker_process.starter(
        maker_process.Site(
            address_of(settings).file,
            services.base_url,
            settings.time_zone,
            settings.search_words,
            services.policy,
            services.access_policy,
            tuple(settings.maps),
        )
    )
