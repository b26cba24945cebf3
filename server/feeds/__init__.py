"""HL7v2 feeds: MLLP listener, durable inbox, lanes, and applying plans to the record.

The composition root needs :class:`FeedService`, :class:`Port` and :class:`FeedCollector`.
"""

from server.feeds.metrics import FeedCollector
from server.feeds.service import FeedService, Port

__all__ = ["FeedCollector", "FeedService", "Port"]
