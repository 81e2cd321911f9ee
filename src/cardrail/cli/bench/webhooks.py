"""Webhooks: how many are delivered, how late at half of that rate, and what endpoints cost the orders.

Fifty endpoints of 25 partners, on loopback, in a process of their own; one of them is slow (200 after two seconds), one dead (it takes the
request and never answers). The price for orders is measured in pairs of runs, one installation with two endpoints at its partner and one
with none, in turn, who comes first changing too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from rich.progress import Progress

from cardrail.cli.bench.load import Ask, Result
from cardrail.cli.bench.postgres import Postgres
from cardrail.cli.bench.receiver import Heard, Receivers
from cardrail.cli.bench.report import Row
from cardrail.cli.bench.site import Site, site
from cardrail.kernel import Mode
from cardrail.webhooks import Who

PARTNERS: Final = 25
ENDPOINTS: Final = 50
PAIRS: Final = 9
LATE_MS_MAX: Final = 1_000
PAUSED_MIN: Final = 0.9
CAP: Final = 200
LONGEST_SECONDS: Final = 180.0
"""That anything is waited for."""
_LOOPBACK: Final = {"webhook_networks": "127.0.0.0/8"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    backlog: int
    """Orders that wait for the sender; a multiple of PARTNERS."""
    seconds: float
    """Of orders at half of the rate."""
    rounds: int
    pairs: int
    orders: int
    """Of each run of a pair."""


def webhooks(rounds: int, progress: Progress, postgres: Postgres | None, *, quick: bool) -> list[Row]:
    """The rows of SQLite, and of PostgreSQL where there is one."""
    size = Size(1_000, 4.0, 1, 3, 2_000) if quick else Size(5_000, 10.0, min(rounds, 3), PAIRS, 6_000)
    rows = []
    for name in ("SQLite", "PostgreSQL") if postgres is not None else ("SQLite",):
        place = _Places(name, postgres if name == "PostgreSQL" else None)
        task = progress.add_task(f"webhooks, {name}", total=size.rounds + 2 * size.pairs)
        advance = partial(progress.advance, task)
        rows += _delivering(place, size, advance)
        rows += _costs(place, size, advance)
    return rows


@dataclass(frozen=True, slots=True)
class _Places:
    """Fresh installations on one kind of database."""

    name: str
    postgres: Postgres | None

    @contextmanager
    def one(self, **settings: object) -> Iterator[Site]:
        with ExitStack() as stack:
            url = stack.enter_context(self.postgres.database()) if self.postgres is not None else None
            yield stack.enter_context(site(url, settings=_LOOPBACK | settings))


# --- delivering -------------------------------------------------------------------------------------------------------


def _delivering(places: _Places, size: Size, advance: Callable[[], None]) -> list[Row]:
    rates, late = [], []
    with places.one(webhooks_paused=True) as place:
        receivers = Receivers()
        try:
            asks = _fifty(place, receivers)
            healthy = ENDPOINTS - 2
            for _ in range(size.rounds):
                rates.append(_drain(place, receivers, asks, size.backlog, size.backlog // PARTNERS * healthy))
                late.append(_at_half(place, receivers, asks, median(rates), size.seconds))
                place.restart(webhooks_paused=True)
                advance()
        finally:
            place.stop()
            receivers.close()
    rate, p99 = median(rates), median([one.p99_ms for one in late])
    return [
        Row(
            name="webhooks",
            what=f"deliveries/s at {ENDPOINTS} endpoints on loopback, one dead and one slow, {places.name}",
            target="shown",
            measured=f"{rate:,.0f}/s",
            met=None,
            details={"runs": ", ".join([f"{one:,.0f}/s" for one in rates])},
        ),
        Row(
            name="webhooks",
            what=f"p99 from commit to receipt at the healthy ones, at half of that rate, {places.name}",
            target=f"< {LATE_MS_MAX:,} ms",
            measured=f"{p99:,.0f} ms",
            met=p99 < LATE_MS_MAX,
            details={
                "p50 / p99 / max": ", ".join([f"{one.p50_ms:,.0f} / {one.p99_ms:,.0f} / {one.max_ms:,.0f} ms" for one in late])
            },
        ),
    ]


def _fifty(place: Site, receivers: Receivers) -> list[Ask]:
    """25 partners with two endpoints each; an order of each."""
    paths = ["slow", "dead", *[str(number) for number in range(ENDPOINTS - 2)]]
    asks = []
    for number in range(PARTNERS):
        partner_id, token = place.partner(f"Partner {number}")
        asks.append(place.order(token=token))
        for path in paths[number::PARTNERS]:
            place.cardrail.webhooks.create(
                partner_id, Mode.LIVE, url=receivers.url(path), events=["order.fulfilled"], who=Who("bench")
            )
    return asks


def _drain(place: Site, receivers: Receivers, asks: list[Ask], orders: int, expected: int) -> float:
    """Healthy deliveries a second of a backlog: the sender begins when all is there."""
    place.top_up(orders)
    _must(place.load(asks, count=orders, seconds=120)[0])
    receivers.forget()
    place.restart(webhooks_paused=False)
    heard = _until(receivers, expected)
    return heard.healthy / (heard.last_at - heard.first_at)


def _at_half(place: Site, receivers: Receivers, asks: list[Ask], rate: float, seconds: float) -> Heard:
    """Orders at such a rate that half as many deliveries are due as can be made; each order is two."""
    orders = rate / 4
    place.top_up(int(orders * (seconds + 2)) + PARTNERS)
    receivers.forget()
    begun = time.time()
    result, _ = place.load(asks, seconds=seconds, warmup=1.0, rate=orders, connections=64)
    _must(result)
    whole = result.answered // PARTNERS * (ENDPOINTS - 2)  # every partner had so many at least
    _until(receivers, whole)
    return receivers.heard(skip_before=begun + 1.0)


def _until(receivers: Receivers, expected: int) -> Heard:
    """Wait for so many healthy deliveries. Raises RuntimeError where they do not come."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while (heard := receivers.heard()).healthy < expected:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{heard.healthy} of {expected} deliveries came in {LONGEST_SECONDS:.0f} s")
        time.sleep(0.2)  # between two looks
    return heard


def _must(result: Result) -> Result:
    if result.lost or set(result.statuses) != {201}:
        raise RuntimeError(f"answers were {result.statuses}, {result.lost} lost; the first refusal: {result.refusal}")
    return result


# --- what it costs the orders -----------------------------------------------------------------------------------------


def _costs(places: _Places, size: Size, advance: Callable[[], None]) -> list[Row]:
    """Two endpoints at the partner against none: with the sender paused, and sending at most 200 a second."""
    receivers = Receivers()
    rows = []
    try:
        for label, settings, least in (
            ("the sender paused", {"webhooks_paused": True}, PAUSED_MIN),
            (f"the sender held to {CAP} a second", {"webhook_rate_max": CAP}, None),
        ):
            with places.one(**settings) as told, places.one() as quiet:
                for path in ("0", "1"):
                    told.cardrail.webhooks.create(told.partner_id, Mode.LIVE, url=receivers.url(path), who=Who("bench"))
                shares, dearer = [], []
                for turn in range(size.pairs + 1):
                    found: dict[int, tuple[float, float]] = {}
                    for place in (told, quiet) if turn % 2 else (quiet, told):
                        place.top_up(size.orders)
                        result, cpu = place.load([place.order()], seconds=60, count=size.orders)
                        found[id(place)] = (_must(result).rate, cpu)
                    if turn:  # the first is not counted: connections, caches
                        with_them, without = found[id(told)], found[id(quiet)]
                        shares.append(with_them[0] / without[0])
                        dearer.append(with_them[1] / without[1] - 1)
                        advance()
            share = median(shares)
            rows.append(
                Row(
                    name="webhooks",
                    what=f"orders/s with two endpoints against none, {label}, {places.name}, median of {len(shares)} pairs",
                    target="shown" if least is None else f"≥ {least}",
                    measured=f"{share:.2f}",
                    met=None if least is None else share >= least,
                    details={
                        "pairs": ", ".join([f"{one:.2f}" for one in sorted(shares)]),
                        "processor time of the server per order": f"{median(dearer):+.0%}",
                    },
                )
            )
    finally:
        receivers.close()
    return rows
