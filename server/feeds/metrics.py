"""What Prometheus is told of the feeds.  Labels are feeds and reasons, nothing of a message."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from server.feeds.service import FeedService

_COUNTERS = {
    "received": "HL7v2 messages stored in the inbox",
    "repeated": "HL7v2 messages that were received before, byte for byte",
    "applied": "HL7v2 messages that are in the record",
    "held": "HL7v2 messages held behind one in quarantine",
    "refused": "HL7v2 messages that could not be stored, or came from where they may not",
    "reused_ids": "HL7v2 messages whose control id another message of the sender had",
    "queries": "HL7v2 queries that came, refused ones too",
    "bytes": "Bytes of HL7v2 messages stored in the inbox",
}
_GAUGES = {
    "lag_seconds": ("Age of the oldest message that is not finished", "lag_s"),
    "unfinished": ("HL7v2 messages waiting or being applied", "unfinished"),
    "connections": ("Open MLLP connections", "connections"),
    "backlog": ("1 while messages of before the start are worked off", "backlog"),
}


class FeedCollector(Collector):
    """Reads the service's counts when Prometheus asks."""

    def __init__(self, service: FeedService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Return the metric families of this moment."""
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        counts = dict(self._service.counts)
        for name, said in _COUNTERS.items():
            counter = CounterMetricFamily(f"tellonce_hl7v2_{name}", said, labels=["feed"])
            for feed, of_feed in counts.items():
                counter.add_metric([feed], getattr(of_feed, name))
            yield counter
        yield self._quarantined(counts)
        yield self._acks(counts)
        moments = {feed: self._service.moment(feed) for feed in counts}
        for name, (said, attribute) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"tellonce_hl7v2_{name}", said, labels=["feed"])
            for feed, moment in moments.items():
                gauge.add_metric([feed], getattr(moment, attribute))
            yield gauge
        lanes = self._service.lanes
        yield GaugeMetricFamily("tellonce_hl7v2_busy_lanes", "Lanes in use", value=lanes.busy)
        said = "HL7v2 messages queued in lanes"
        yield GaugeMetricFamily("tellonce_hl7v2_waiting", said, value=lanes.waiting)

    def _quarantined(self, counts: dict[str, Any]) -> Metric:
        said = "HL7v2 messages put into quarantine"
        made = CounterMetricFamily("tellonce_hl7v2_quarantined", said, labels=["feed", "reason"])
        for feed, of_feed in counts.items():
            for reason, number in list(of_feed.quarantined.items()):
                made.add_metric([feed, reason], number)
        return made

    def _acks(self, counts: dict[str, Any]) -> Metric:
        said = "Time until an HL7v2 message was acknowledged"
        made = HistogramMetricFamily("tellonce_hl7v2_ack_seconds", said, labels=["feed"])
        for feed, of_feed in counts.items():
            made.add_metric([feed], of_feed.ack_buckets(), of_feed.ack_sum_s)
        return made
