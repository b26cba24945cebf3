"""The ports on which HL7v2 is listened for, as settings and the feeds' file name them."""

import errno

from mappings.maps import MapError
from server.app.opening import PortTaken
from server.feeds import FeedService, Port, Wiring, server_context
from server.feeds.mllp import Limits
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
