"""What Prometheus is told of the feeds.  Labels are feed names; nothing of a message."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.feeds.service import FeedService

_COUNTERS = {
    "received": "HL7v2 messages stored in the inbox",
    "repeated": "HL7v2 messages that were received before, byte for byte",
    "applied": "HL7v2 messages that are in the record",
    "quarantined": "HL7v2 messages put into quarantine",
    "held": "HL7v2 messages held behind one in quarantine",
    "refused": "HL7v2 messages that could not be stored",
    "reused_ids": "HL7v2 messages whose control id another message of the sender had",
}
_GAUGES = {
    "waiting": "HL7v2 messages waiting in lanes",
    "active": "HL7v2 messages being applied",
    "busy_lanes": "Lanes at work",
    "connections": "Open MLLP connections",
    "lag_s": "Age in seconds of the oldest message that is not finished",
}


class FeedCollector(Collector):
    """Reads the service's counts when Prometheus asks."""

    def __init__(self, service: FeedService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Return the metric families of this moment."""
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        stats = self._service.stats()
        for name, said in _COUNTERS.items():
            counter = CounterMetricFamily(f"tellonce_hl7v2_{name}", said, labels=["feed"])
            for feed, count in getattr(stats, name).items():
                counter.add_metric([feed], count)
            yield counter
        for name, said in _GAUGES.items():
            metric = f"tellonce_hl7v2_{name.replace('_s', '_seconds') if name == 'lag_s' else name}"
            yield GaugeMetricFamily(metric, said, value=getattr(stats, name))
