"""Suppliers: how many orders a second are bought on demand, and whether a slow supplier is felt by orders from stock.

The suppliers are simulated ones within the server: a call takes just as long as it is told to. Orders from stock are measured in pairs of
runs, one while orders wait for a supplier that takes five seconds, one while none do, who comes first changing from pair to pair. A run
begins when the calls are under way and is over before they are, so that what it measures is waiting, not buying.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

import sqlalchemy as sa
from rich.progress import Progress

from cardrail.catalog import import_catalog
from cardrail.cli.bench.load import Result
from cardrail.cli.bench.postgres import Postgres
from cardrail.cli.bench.report import Row
from cardrail.cli.bench.site import COST_MINOR, Site, site
from cardrail.kernel import Mode, Money, currency, to_micros
from cardrail.sourcing import SUPPLY_VERSION, NewSupplier, SupplierProduct, create_supplier, put_mapping, put_product
from cardrail.storage import bump_version, metadata

QUICK_MS: Final = 50
SLOW_MS: Final = 5_000
PAIRS: Final = 9
OPEN: Final = 200
"""Orders that wait for the slow supplier."""
CALLS_MIN: Final = 40
"""Calls to it that are under way before a run begins: a process makes 48 at once."""
RUN_SECONDS: Final = 3.0
RUN_CODES: Final = 30_000
"""More than a run sells."""
MORE_MAX: Final = 0.20
BESIDE: Final = {"SQLite": 95, "PostgreSQL": 111}
"""Workflows of three empty steps a second, as STACK.md measured the library alone."""
LONGEST_SECONDS: Final = 180.0

_SHEET: Final = (
    "product_code,name,brand,currency,denomination_type,face_values,discount_percent,sourcing\n"
    "QUICK-10,Quick card,Quick,USD,fixed,10,5,on_demand\n"
    "SLOW-10,Slow card,Slow,USD,fixed,10,5,on_demand\n"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    orders: int
    """Bought on demand, in each run."""
    rounds: int
    pairs: int


def suppliers(rounds: int, progress: Progress, postgres: Postgres | None, *, quick: bool) -> list[Row]:
    """The rows of SQLite, and of PostgreSQL where there is one."""
    size = Size(200, 1, 1) if quick else Size(1_000, min(rounds, 3), PAIRS)
    rows = []
    for name in ("SQLite", "PostgreSQL") if postgres is not None else ("SQLite",):
        task = progress.add_task(f"suppliers, {name}", total=size.rounds + size.pairs)
        with ExitStack() as stack:
            url = stack.enter_context(postgres.database()) if name == "PostgreSQL" and postgres is not None else None
            place = stack.enter_context(site(url))
            _connect(place)
            advance = partial(progress.advance, task)
            rows.append(_on_demand(place, name, size, advance))
            rows += _beside_slow(place, name, size, advance)
    return rows


def _connect(place: Site) -> None:
    """Two suppliers, each with the one card that it sells."""
    one = place.cardrail
    import_catalog(one.db, one.clock, one.audit, _SHEET.encode(), actor="bench")
    denominations, unit = metadata.tables["denominations"], currency("USD")
    for name, millis in (("quick", QUICK_MS), ("slow", SLOW_MS)):
        config = {"pretend": True, "latency_ms": millis, "unit_cost_minor": COST_MINOR}
        new = NewSupplier(name, "simulated", Mode.LIVE, unit.code, config)
        made = create_supplier(one.db, one.clock, one.audit, one.sealer, new, {}, actor="bench")
        product = SupplierProduct("TEST_OK", f"{name} card", unit.code, face_minor=1_000, cost=Money(COST_MINOR, unit))
        with one.db.transaction() as tx:
            sku = sa.select(denominations.c.id).where(denominations.c.sku == f"{name.upper()}-10")
            at = to_micros(one.clock.now())
            put_product(tx, made.id, product, unit.code, at)
            put_mapping(tx, str(tx.execute(sku).scalar_one()), made.id, "TEST_OK", is_enabled=True, mapped_by="bench", at=at)
            bump_version(tx, SUPPLY_VERSION)
    time.sleep(2.0)  # until the server has seen the catalog


# --- on demand --------------------------------------------------------------------------------------------------------


def _on_demand(place: Site, name: str, size: Size, advance: Callable[[], None]) -> Row:
    rates, cpus, answers = [], [], []
    _buy(place, 20)  # the first are not counted: connections, caches
    for _ in range(size.rounds):
        seconds, cpu, result = _buy(place, size.orders)
        rates.append(size.orders / seconds)
        cpus.append(cpu / size.orders * 1_000)
        answers.append(result)
        advance()
    return Row(
        name="suppliers",
        what=f"orders/s bought on demand from a supplier that takes {QUICK_MS} ms, until the last is fulfilled, {name}",
        target=f"beside {BESIDE[name]}/s, a workflow of three empty steps",
        measured=f"{median(rates):,.0f}/s",
        met=None,
        details={
            f"runs, {name}": ", ".join([f"{one:,.0f}/s" for one in rates]),
            f"processor time of the server per order on demand, {name}": f"{median(cpus):.1f} ms",
            f"p50 / p99 of the answer that the order is placed, {name}": ", ".join(
                [f"{one.p50_ms:.1f} / {one.p99_ms:.1f} ms" for one in answers]
            ),
        },
    )


def _buy(place: Site, count: int) -> tuple[float, float, Result]:
    """Seconds from the first request until the last of the orders is fulfilled; and the processor time of the server."""
    before, cpu, began = _fulfilled(place), place.cpu_seconds(), time.monotonic()
    result, _ = place.load([place.order(sku="QUICK-10")], seconds=LONGEST_SECONDS, count=count)
    if result.lost or result.statuses.keys() - {201, 202}:
        raise RuntimeError(f"answers were {result.statuses}, {result.lost} lost; the first refusal: {result.refusal}")
    _until(lambda: _fulfilled(place) >= before + count, f"{count} orders to be bought")
    return time.monotonic() - began, place.cpu_seconds() - cpu, result


def _fulfilled(place: Site) -> int:
    procurements = metadata.tables["procurements"]
    with place.cardrail.db.read() as tx:
        done = sa.select(sa.func.count()).select_from(procurements).where(procurements.c.state == "done")
        return int(tx.execute(done).scalar_one())


# --- beside a slow one ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    """Orders from stock, with nothing else going on and beside the slow orders: answers, processor seconds of each."""

    alone: tuple[Result, float]
    beside: tuple[Result, float]


def _beside_slow(place: Site, name: str, size: Size, advance: Callable[[], None]) -> list[Row]:
    _run(place)  # not counted
    pairs = []
    for number in range(size.pairs):
        alone = _run(place) if number % 2 == 0 else None
        beside = _beside(place)
        pairs.append(_Pair(alone or _run(place), beside))
        advance()
    cpu = median([one.beside[1] / one.alone[1] - 1 for one in pairs])
    late = median([one.beside[0].p99_ms / one.alone[0].p99_ms - 1 for one in pairs])
    figures = {
        f"processor time of an order from stock, alone and beside them, {name}": ", ".join(
            [f"{one.alone[1] * 1_000:.2f} and {one.beside[1] * 1_000:.2f} ms" for one in pairs]
        ),
        f"p99 alone and beside them, {name}": ", ".join(
            [f"{one.alone[0].p99_ms:.1f} and {one.beside[0].p99_ms:.1f} ms" for one in pairs]
        ),
        f"orders/s from stock alone and beside them, {name}": ", ".join(
            [f"{one.alone[0].rate:,.0f} and {one.beside[0].rate:,.0f}" for one in pairs]
        ),
    }
    return [
        Row(
            name="suppliers",
            what=f"{what} of an order from stock with {OPEN} orders open at a supplier that takes {SLOW_MS // 1_000} s, against none, "
            f"median of {len(pairs)} interleaved pairs, {name}",
            target=f"≤ {MORE_MAX:.0%} more",
            measured=f"{more:+.0%}",
            met=more <= MORE_MAX,
            details=details,
        )
        for what, more, details in (("processor time", cpu, figures), ("p99", late, {}))
    ]


def _beside(place: Site) -> tuple[Result, float]:
    """A run while the slow orders are open; they are waited for afterwards."""
    place.top_up(RUN_CODES)  # before the calls are under way: what it costs is not theirs
    before = _fulfilled(place)
    place.load([place.order(sku="SLOW-10")], seconds=LONGEST_SECONDS, count=OPEN)
    _until(lambda: _asking(place) >= CALLS_MIN, "the calls to begin")
    found = _run(place)
    _until(lambda: _fulfilled(place) >= before + OPEN, "the slow orders to be bought")
    return found


def _run(place: Site) -> tuple[Result, float]:
    place.top_up(RUN_CODES)
    result, cpu = place.load([place.order()], seconds=RUN_SECONDS)
    if result.lost or set(result.statuses) != {201}:
        raise RuntimeError(f"answers were {result.statuses}, {result.lost} lost; the first refusal: {result.refusal}")
    return result, cpu


def _asking(place: Site) -> int:
    attempts = metadata.tables["attempts"]
    with place.cardrail.db.read() as tx:
        query = sa.select(sa.func.count()).select_from(attempts).where(attempts.c.state == "asking")
        return int(tx.execute(query).scalar_one())


def _until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError(f"waited too long for {what}")
        time.sleep(0.02)  # between two looks
