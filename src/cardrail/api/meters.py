"""What `/metrics` shows, for Prometheus. One registry per server, so that two in one process do not mix."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cardrail.alerts import KINDS, open_counts
from cardrail.api.parts import Installation
from cardrail.delivery import message_backlog
from cardrail.kernel import CardrailError, to_micros
from cardrail.sourcing import notice_counts

_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

LOOK_SECONDS: Final = 5.0
"""How long what the database said holds."""
LOOK_SECONDS_MAX: Final = 2.0

CONTENT_TYPE: Final = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True)
class Backlogs:
    """What the database says of what waits and what is wrong."""

    alerts: dict[str, int]
    messages: int
    messages_since: int | None
    notices: int
    notices_since: int | None
    notices_held: int


class Meters(Collector):
    """Counts requests and orders. What it names is bounded: routes by their template, never by their path.

    The counts are plain integers of the event loop's thread, and become Prometheus' families only when they are asked for: its own
    counters take a lock each, which was a thirtieth of an order's cost.
    """

    def __init__(self, parts: Installation) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._batch = Histogram("cardrail_lane_batch_orders", "Orders in one commit.", buckets=_BATCH, registry=self._registry)
        waiting = Gauge("cardrail_lane_waiting", "Orders taken and not yet answered.", registry=self._registry)
        waiting.set_function(lambda: parts.lane.waiting)
        self._sender, self._clock = parts.sender, parts.clock
        self._requests: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._orders: dict[str, int] = {}
        self._incoming: dict[str, int] = {}
        self._db, self._messages = parts.db, parts.office.counts
        self._backlogs: Backlogs | None = None
        self._look_at = 0.0

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note an answer."""
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = [0] * (len(_SECONDS) + 1)
        times[bisect_left(_SECONDS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def order(self, state: str) -> None:
        """Note that an order came to a state."""
        self._orders[state] = self._orders.get(state, 0) + 1

    def incoming(self, outcome: str) -> None:
        """Note a supplier's webhook: taken, repeated, or the code of its refusal."""
        self._incoming[outcome] = self._incoming.get(outcome, 0) + 1

    def batch(self, orders: int) -> None:
        """Note a commit of the order lane."""
        self._batch.observe(orders)

    def collect(self) -> Iterator[Metric]:
        """The counts as Prometheus' families."""
        requests = CounterMetricFamily("cardrail_http_requests", "Requests answered.", labels=("method", "route", "status"))
        for (method, route, status), count in self._requests.items():
            requests.add_metric((method, route, str(status)), count)
        yield requests
        times = HistogramMetricFamily("cardrail_http_request_seconds", "Time to answer.", labels=("route",))
        for route, counts in self._times.items():
            ends = [*[str(one) for one in _SECONDS], "+Inf"]
            times.add_metric((route,), list(zip(ends, accumulate(counts), strict=True)), self._seconds[route])
        yield times
        orders = CounterMetricFamily("cardrail_orders", "Orders that came to a state in this process.", labels=("state",))
        for state, count in self._orders.items():
            orders.add_metric((state,), count)
        yield orders
        incoming = CounterMetricFamily("cardrail_supplier_webhooks", "Suppliers' webhooks that came in.", labels=("outcome",))
        for outcome, count in self._incoming.items():
            incoming.add_metric((outcome,), count)
        yield incoming
        yield from self._webhooks()
        yield from self._waiting()

    def _webhooks(self) -> Iterator[Metric]:
        """What this process sent, and what waits, which every worker sees."""
        counts = self._sender.counts
        attempts = CounterMetricFamily("cardrail_webhook_attempts", "Attempts to deliver an event.", labels=("outcome",))
        attempts.add_metric(("delivered",), counts.delivered)
        attempts.add_metric(("failed",), counts.failed)
        yield attempts
        yield CounterMetricFamily("cardrail_webhook_attempt_seconds", "Time that attempts took, together.", counts.seconds)
        yield CounterMetricFamily("cardrail_webhook_endpoints_disabled", "Endpoints that this process disabled.", counts.disabled)
        if not self._sender.is_running:
            return
        age = (self._clock.now() - counts.oldest_at).total_seconds() if counts.oldest_at is not None else 0.0
        yield GaugeMetricFamily("cardrail_webhook_waiting", "Deliveries that wait at enabled endpoints.", counts.waiting)
        yield GaugeMetricFamily("cardrail_webhook_events_behind", "Events that are no deliveries yet.", counts.behind)
        yield GaugeMetricFamily("cardrail_webhook_oldest_seconds", "Age of the oldest event that waits.", max(0.0, age))

    async def look(self, read: Callable[[Callable[[], Backlogs]], Awaitable[Backlogs]]) -> None:
        """Ask the database what waits, at most every few seconds, and without it where it does not answer soon."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._backlogs = await asyncio.wait_for(read(self._read), LOOK_SECONDS_MAX)
        except (TimeoutError, CardrailError):
            self._backlogs = None

    def look_now(self) -> None:
        """``look`` for whoever has a thread to wait in."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._backlogs = self._read()
        except CardrailError:
            self._backlogs = None

    def _read(self) -> Backlogs:
        with self._db.read() as tx:
            messages, messages_since = message_backlog(tx, to_micros(self._clock.now()))
            return Backlogs(open_counts(tx), messages, messages_since, *notice_counts(tx))

    def _waiting(self) -> Iterator[Metric]:
        """What every worker sees."""
        sent = CounterMetricFamily(
            "cardrail_messages", "Attempts to send a message to a recipient.", labels=("channel", "outcome")
        )
        for (channel, outcome), count in sorted(self._messages.items()):
            sent.add_metric((channel, outcome), count)
        yield sent
        found = self._backlogs
        if found is None:
            return
        alerts = GaugeMetricFamily("cardrail_alerts_open", "Alerts that are not over.", labels=("kind",))
        for kind in KINDS:
            alerts.add_metric((kind,), found.alerts.get(kind, 0))
        yield alerts
        yield GaugeMetricFamily("cardrail_messages_waiting", "Messages that should have gone out.", found.messages)
        yield GaugeMetricFamily(
            "cardrail_messages_oldest_seconds", "Since when the oldest should.", self._age(found.messages_since)
        )
        yield GaugeMetricFamily("cardrail_supplier_webhooks_waiting", "Suppliers' webhooks to be followed.", found.notices)
        yield GaugeMetricFamily(
            "cardrail_supplier_webhooks_oldest_seconds", "Age of the oldest of them.", self._age(found.notices_since)
        )
        yield GaugeMetricFamily(
            "cardrail_supplier_webhooks_held", "Suppliers' webhooks that a human looks at.", found.notices_held
        )

    def _age(self, since: int | None) -> float:
        return 0.0 if since is None else max(0.0, (to_micros(self._clock.now()) - since) / 1_000_000)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
