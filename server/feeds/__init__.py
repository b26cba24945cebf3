"""HL7v2 feeds: MLLP listener, durable inbox, lanes, and applying plans to the record.

The composition root needs :class:`FeedService`, :class:`Port`, :class:`MapWatch`,
:func:`server_context`, :func:`read_wiring`, :class:`FeedCollector` and the routers of
:mod:`server.feeds.http` and :mod:`server.feeds.admin`.
"""

from server.feeds import admin, http
from server.feeds.metrics import FeedCollector
from server.feeds.reload import MapWatch
from server.feeds.service import FeedService, Port
from server.feeds.tls import UnusableTls, server_context
from server.feeds.wiring import Wiring, read_wiring

__all__ = [
    "FeedCollector",
    "FeedService",
    "MapWatch",
    "Port",
    "UnusableTls",
    "Wiring",
    "admin",
    "http",
    "read_wiring",
    "server_context",
]
