"""HL7v2 messages that go out: told from the record's change feed, kept in durable queues, sent.

The composition root needs :class:`OutboundService` and :class:`OutboundCollector`; how the parts
work together is in docs/outbound.md, why in docs/decisions/0007.
"""

from server.feeds.outbound.metrics import OutboundCollector
from server.feeds.outbound.service import OutboundService

__all__ = ["OutboundCollector", "OutboundService"]
