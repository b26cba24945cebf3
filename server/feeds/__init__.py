"""HL7v2 feeds: MLLP listener, durable inbox, lanes, and applying plans to the record.

The composition root needs :class:`FeedService`, :class:`Port`, :class:`MapWatch`,
:func:`server_context` and :class:`FeedCollector`.
"""

from server.feeds.metrics import FeedCollector
from server.feeds.reload import MapWatch
from server.feeds.service import FeedService, Port
from server.feeds.tls import UnusableTls, server_context

__all__ = ["FeedCollector", "FeedService", "MapWatch", "Port", "UnusableTls", "server_context"]
