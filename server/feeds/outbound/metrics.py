"""What Prometheus is told of destinations.  Labels are their names; nothing of a message."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.feeds.outbound.service import OutboundService

_COUNTERS = {
    "queued": "HL7v2 messages made for the destination",
    "sent": "Times that an HL7v2 message went out, repetitions included",
    "acknowledged": "HL7v2 messages that the destination took",
    "parked": "HL7v2 messages that the destination refused",
    "lost": "Connections that broke or could not be made",
    "unanswered": "Times that no acknowledgement came in time",
}
_GAUGES = {
    "waiting": ("waiting", "HL7v2 messages waiting to be sent"),
    "held": ("held", "HL7v2 messages held behind a parked one of the same patient"),
    "parked": ("parked_now", "HL7v2 messages parked at this moment"),
    "connected": ("connected", "1 while a connection stands"),
    "paused": ("paused", "1 while the destination is paused"),
    "lag_s": ("lag_seconds", "Age of the oldest change that is not acknowledged"),
}


class OutboundCollector(Collector):
    """Reads the service's counts when Prometheus asks."""

    def __init__(self, service: OutboundService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Return the metric families of this moment."""
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        stats = self._service.stats()
        for name, said in _COUNTERS.items():
            counter = CounterMetricFamily(f"tellonce_outbound_{name}", said, labels=["destination"])
            for destination, found in stats.items():
                counter.add_metric([destination], getattr(found.counts, name))
            yield counter
        said = "HL7v2 messages that the destination is not cleared for"
        kept_back = CounterMetricFamily("tellonce_outbound_withheld", said, labels=["destination"])
        for destination, found in stats.items():
            kept_back.add_metric([destination], found.withheld)
        yield kept_back
        for name, (shown, said) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"tellonce_outbound_{shown}", said, labels=["destination"])
            for destination, found in stats.items():
                gauge.add_metric([destination], float(getattr(found, name)))
            yield gauge
