"""What `/metrics` shows, for Prometheus. One registry per server, so that two in one process do not mix."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cardrail.api.parts import Installation

_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Meters:
    """Counts requests and orders. What it names is bounded: routes by their template, never by their path."""

    def __init__(self, parts: Installation) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cardrail_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "cardrail_http_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._orders = Counter(
            "cardrail_orders", "Orders that came to a state in this process.", ("state",), registry=self._registry
        )
        self._batch = Histogram("cardrail_lane_batch_orders", "Orders in one commit.", buckets=_BATCH, registry=self._registry)
        waiting = Gauge("cardrail_lane_waiting", "Orders taken and not yet answered.", registry=self._registry)
        waiting.set_function(lambda: parts.lane.waiting)
        self._known_requests: dict[tuple[str, str, int], Counter] = {}
        self._known_seconds: dict[str, Histogram] = {}
        self._known_orders: dict[str, Counter] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note an answer."""
        key = (method, route, status)
        counter = self._known_requests.get(key)
        if counter is None:
            counter = self._known_requests[key] = self._requests.labels(method, route, str(status))
        counter.inc()
        histogram = self._known_seconds.get(route)
        if histogram is None:
            histogram = self._known_seconds[route] = self._seconds.labels(route)
        histogram.observe(seconds)

    def order(self, state: str) -> None:
        """Note that an order came to a state."""
        counter = self._known_orders.get(state)
        if counter is None:
            counter = self._known_orders[state] = self._orders.labels(state)
        counter.inc()

    def batch(self, orders: int) -> None:
        """Note a commit of the order lane."""
        self._batch.observe(orders)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
