"""What Prometheus is told.  Labels are methods, route templates and status codes: nothing of a
patient, and no more series than there are routes.

Counting happens on every request, so it is a few additions here; the families of
prometheus_client are made when somebody scrapes.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one server; ``registry`` takes those of other parts as well."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.in_flight: Callable[[], int] = lambda: 0
        self._requests: dict[tuple[str, str, int], int] = {}
        self._times: dict[tuple[str, str], _Times] = {}
        self.registry.register(_Collector(self))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        times = self._times.get((method, route))
        if times is None:
            times = self._times[method, route] = _Times()
        times.sum += seconds
        times.counts[bisect_left(BUCKETS_S, seconds)] += 1

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)

    def families(self) -> Iterator[Metric]:
        """Yield the figures of the requests."""
        requests = CounterMetricFamily(
            "tellonce_http_requests",
            "FHIR requests answered",
            labels=("method", "route", "status"),
        )
        for (method, route, status), number in list(self._requests.items()):
            requests.add_metric((method, route, str(status)), number)
        yield requests
        seconds = HistogramMetricFamily(
            "tellonce_http_request_seconds",
            "Time until a FHIR request was answered",
            labels=("method", "route"),
        )
        for labels, times in list(self._times.items()):
            seconds.add_metric(labels, times.buckets(), times.sum)
        yield seconds
        in_flight = GaugeMetricFamily("tellonce_http_in_flight", "FHIR requests being answered")
        in_flight.add_metric((), self.in_flight())
        yield in_flight


class _Times:
    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, requests up to it), as the text format has them."""
        made: list[tuple[str, float]] = []
        total = 0
        for bound, number in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += number
            made.append((bound, total))
        return made


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()
