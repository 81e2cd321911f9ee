"""The rows: what is measured, how, and what it must reach (DESIGN.md, section 15)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import psycopg
from rich.progress import Progress
from sqlalchemy.engine import make_url

from cardrail.catalog import import_catalog
from cardrail.cli.bench.dialects import dialects
from cardrail.cli.bench.load import Ask, Result
from cardrail.cli.bench.past import write_past
from cardrail.cli.bench.postgres import Postgres
from cardrail.cli.bench.report import Row
from cardrail.cli.bench.settlement import measure
from cardrail.cli.bench.site import RACE_SKU, Site, site
from cardrail.cli.bench.suppliers import suppliers
from cardrail.cli.bench.webhooks import webhooks
from cardrail.cli.bench.yardstick import Yardstick

RATE_MAX: Final = 12_000
"""Orders a second that stock is prepared for."""
WARMUP: Final = 0.5

NO_TARGET: Final = "shown beside it"
"""Times on PostgreSQL: their targets were set for SQLite, whose commit is one flush and no round trip."""

SQLITE_TARGET: Final = (0.75, 1.1)
POSTGRES_TARGET: Final = (0.35, 0.6)


@dataclass(slots=True)
class Bench:
    """What the rows share: how long and how often, the yardstick's server, and where progress is shown."""

    seconds: float
    rounds: int
    quick: bool
    progress: Progress
    postgres: Postgres | None
    yardstick: Yardstick | None

    def size(self, full: int) -> int:
        """A tenth for a quick run."""
        return full // 10 if self.quick else full

    def stock(self) -> int:
        """Codes for one run at full rate."""
        return int((self.seconds + WARMUP) * RATE_MAX)


def must_succeed(result: Result, status: int = 201) -> Result:
    """The result, if every request got that status. Raises RuntimeError: a rate of refusals is no rate."""
    if result.lost or set(result.statuses) != {status}:
        raise RuntimeError(f"answers were {result.statuses}, {result.lost} lost; the first refusal: {result.refusal}")
    return result


# --- orders a second --------------------------------------------------------------------------------------------------


def orders(bench: Bench) -> list[Row]:
    """Orders over HTTP from 64 clients, on SQLite and PostgreSQL, the yardstick between them."""
    with ExitStack() as stack:
        places = {"SQLite": stack.enter_context(site())}
        if bench.postgres is not None:
            places["PostgreSQL"] = stack.enter_context(site(stack.enter_context(bench.postgres.database())))
        found: dict[str, list[tuple[Result, float]]] = {name: [] for name in places}
        figures: dict[str, dict[str, str]] = {}
        task = bench.progress.add_task("orders a second", total=bench.rounds * (len(places) + 1))
        for _ in range(bench.rounds):
            if bench.yardstick is not None:
                bench.yardstick.measure()
            bench.progress.advance(task)
            for name, place in places.items():
                place.top_up(bench.stock())
                before = _counts(place)
                result, cpu = place.load([place.order()], seconds=bench.seconds, warmup=WARMUP)
                found[name].append((must_succeed(result), cpu))
                figures[name] = _per_order(before, _counts(place), result.answered)
                bench.progress.advance(task)
    figures["SQLite"] |= _statements(bench)
    targets = {"SQLite": SQLITE_TARGET, "PostgreSQL": POSTGRES_TARGET}
    return [_orders_row(bench, name, targets[name], runs, figures[name]) for name, runs in found.items()]


def _orders_row(
    bench: Bench, name: str, target: tuple[float, float], runs: list[tuple[Result, float]], figures: dict[str, str]
) -> Row:
    rate = median([result.rate for result, _ in runs])
    ratio = rate / bench.yardstick.tps if bench.yardstick is not None else None
    cpu = median([cpu for _, cpu in runs]) * 1_000
    fsync = "synchronous=FULL" if name == "SQLite" else "fsync on"
    return Row(
        name="orders",
        what=f"orders/s over HTTP, 64 clients, {name} ({fsync}), one API process",
        target=f"≥ {target[0]} × yardstick, then past {target[1]} ×",
        measured=f"{rate:,.0f}/s",
        ratio=ratio,
        met=None if ratio is None else ratio >= target[0],
        details={
            "runs": ", ".join([f"{result.rate:,.0f}/s" for result, _ in runs]),
            "p50 / p99 / max under this load": _times([result for result, _ in runs]),
            "processor time of the server per order": f"{cpu:.3f} ms",
            "processor time of the load generator per order": f"{median([result.cpu_us for result, _ in runs]):.0f} µs",
            "second target": "not judged" if ratio is None else "met" if ratio > target[1] else "not met",
        }
        | figures,
    )


def _times(results: Sequence[Result]) -> str:
    return (
        f"{median([one.p50_ms for one in results]):.2f} / {median([one.p99_ms for one in results]):.2f} / "
        f"{median([one.max_ms for one in results]):.2f} ms"
    )


def _counts(place: Site) -> dict[str, int]:
    counts = place.count_rows()
    if place.settings.database_url:
        counts["(fsyncs of the WAL)"] = _wal_fsyncs(place.settings.database_url)
    return counts


def _wal_fsyncs(url: str) -> int:
    libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(libpq) as connection:
        row = connection.execute("SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'").fetchone()
    return int(row[0]) if row else 0


def _per_order(before: dict[str, int], after: dict[str, int], count: int) -> dict[str, str]:
    """Rows added per order, by table, and what says how many orders shared a commit."""
    added = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    fsyncs = added.pop("(fsyncs of the WAL)", None)
    parts = ", ".join([f"{name} {number / count:.2f}" for name, number in sorted(added.items(), key=lambda one: -one[1])])
    facts = {"rows added per order": f"{sum(added.values()) / count:.2f} ({parts})"}
    if fsyncs is not None:
        facts["fsyncs of the WAL per order"] = f"{fsyncs / count:.3f} ({count / max(fsyncs, 1):.1f} orders to a flush)"
    return facts


def _statements(bench: Bench) -> dict[str, str]:
    """Statements, executions and commits per order, alone and under load, from a server that counts."""
    facts = {}
    with site(count_statements=True) as place:
        place.stock(2_500)
        place.load([place.order()], count=10, connections=1)  # what only the first orders need
        for label, how in (("1 client", {"connections": 1, "count": 200}), ("64 clients", {"connections": 64, "count": 2_000})):
            before = place.statements()
            placed = must_succeed(place.load([place.order()], seconds=60, **how)[0]).answered
            per = {name: (number - before[name]) / placed for name, number in place.statements().items()}
            facts[f"per order, {label}"] = (
                f"{per['statements']:.2f} statements ({per['executions']:.2f} executions), {per['commits']:.3f} commits "
                f"({1 / max(per['commits'], 1e-9):.1f} orders to an fdatasync)"
            )
    return facts


# --- times ------------------------------------------------------------------------------------------------------------


def latency(bench: Bench) -> list[Row]:
    """One order at a time; and at half of the full rate, open loop."""
    rows = []
    with ExitStack() as stack:
        places = {"SQLite": stack.enter_context(site())}
        if bench.postgres is not None:
            places["PostgreSQL"] = stack.enter_context(site(stack.enter_context(bench.postgres.database())))
        for name, place in places.items():
            rows += _latency(bench, name, place)
    return rows


def _latency(bench: Bench, name: str, place: Site) -> list[Row]:
    task = bench.progress.add_task(f"times on {name}", total=bench.rounds * 3)
    alone, half, rates = [], [], []
    for _ in range(bench.rounds):
        place.top_up(3 * bench.stock())
        full, _ = place.load([place.order()], seconds=bench.seconds, warmup=WARMUP)
        rates.append(must_succeed(full).rate)
        bench.progress.advance(task)
        result, _ = place.load([place.order()], seconds=bench.seconds, warmup=WARMUP, connections=1)
        alone.append(must_succeed(result))
        bench.progress.advance(task)
        result, _ = place.load([place.order()], seconds=bench.seconds, warmup=WARMUP, rate=median(rates) / 2, connections=256)
        half.append(must_succeed(result))
        bench.progress.advance(task)
    p50, p99 = median([one.p50_ms for one in alone]), median([one.p99_ms for one in alone])
    half_p99 = median([one.p99_ms for one in half])
    judged = name == "SQLite"
    return [
        Row(
            name="latency",
            what=f"one order at 1 client, p50 / p99, {name}",
            target="≤ 1.5 ms / ≤ 8 ms" if judged else NO_TARGET,
            measured=f"{p50:.2f} / {p99:.2f} ms",
            met=p50 <= 1.5 and p99 <= 8 if judged else None,
            details={"p50 / p99 / max": _times(alone), "rate of one client": f"{median([one.rate for one in alone]):,.0f}/s"},
        ),
        Row(
            name="latency",
            what=f"p99 at half of the full rate, open loop, {name}",
            target="≤ 20 ms" if judged else NO_TARGET,
            measured=f"{half_p99:.2f} ms",
            met=half_p99 <= 20 if judged else None,
            details={
                "rate kept": f"{median([one.rate for one in half]):,.0f}/s, half of {median(rates):,.0f}/s",
                "p50 / p99 / max": _times(half),
            },
        ),
    ]


# --- much stock, a long past ------------------------------------------------------------------------------------------


def stock(bench: Bench) -> list[Row]:
    """A million codes in stock against ten thousand."""
    many, few = bench.size(1_000_000), 10_000
    with site() as large, site() as small:
        task = bench.progress.add_task(f"{many:,} codes in stock", total=bench.rounds + 1)
        large.stock(many)
        bench.progress.advance(task)

        def prepare() -> None:
            large.top_up(many)
            small.top_up(few)

        result = _against(bench, task, prepare, large, small, count=few - 1_000)
    return [_versus_row("stock", f"orders/s with {many:,} codes in stock against {few:,}, SQLite", 0.95, result)]


def past(bench: Bench) -> list[Row]:
    """A million past orders against none."""
    many = bench.size(1_000_000)
    each = 10_000
    with site() as old, site() as young:
        task = bench.progress.add_task(f"{many:,} past orders", total=bench.rounds + many / 100_000)
        for place in (old, young):
            place.stock(100)
            must_succeed(place.load([place.order()], count=20, connections=1)[0])
        old.stop()
        old.top_up(many)
        write_past(old, many, lambda done: bench.progress.update(task, completed=done / 100_000))
        old.start()

        def prepare() -> None:
            old.top_up(each)
            young.top_up(each)

        result = _against(bench, task, prepare, old, young, count=each - 1_000)
    return [_versus_row("past", f"orders/s with {many:,} past orders against none, SQLite", 0.8, result)]


def _against(
    bench: Bench, task: Any, prepare: Callable[[], None], one: Site, other: Site, count: int
) -> tuple[list[Result], list[Result]]:
    """Runs of the two in turn, who comes first changing too."""
    found: dict[int, list[Result]] = {id(one): [], id(other): []}
    for turn in range(bench.rounds):
        prepare()
        for place in (one, other) if turn % 2 == 0 else (other, one):
            result, _ = place.load([place.order()], seconds=60, count=count)
            found[id(place)].append(must_succeed(result))
        bench.progress.advance(task)
    return found[id(one)], found[id(other)]


def _versus_row(name: str, what: str, target: float, found: tuple[list[Result], list[Result]]) -> Row:
    with_it, without = (median([one.rate for one in runs]) for runs in found)
    share = with_it / without
    return Row(
        name=name,
        what=what,
        target=f"≥ {target}",
        measured=f"{share:.2f} ({with_it:,.0f}/s against {without:,.0f}/s)",
        met=share >= target,
        details={
            "runs with": ", ".join([f"{one.rate:,.0f}/s" for one in found[0]]),
            "runs without": ", ".join([f"{one.rate:,.0f}/s" for one in found[1]]),
            "p50 / p99 / max with": _times(found[0]),
            "p50 / p99 / max without": _times(found[1]),
        },
    )


# --- large orders, imports, catalog -----------------------------------------------------------------------------------


def large(bench: Bench) -> list[Row]:
    """An order of a thousand codes, with the codes in the response."""
    count = 10 if bench.quick else 30
    with site() as place:
        task = bench.progress.add_task("orders of 1,000 codes", total=bench.rounds)
        found = []
        for _ in range(bench.rounds):
            place.top_up((count + 1) * 1_000)
            result, cpu = place.load([place.order(1_000)], count=count, connections=1, seconds=60)
            found.append((must_succeed(result), cpu))
            bench.progress.advance(task)
    p50 = median([one.p50_ms for one, _ in found])
    return [
        Row(
            name="large",
            what="an order of 1,000 codes, codes in the response, p50, SQLite",
            target="≤ 20 ms",
            measured=f"{p50:.1f} ms",
            met=p50 <= 20,
            details={
                "p50 / p99 / max": _times([one for one, _ in found]),
                "processor time of the server per order": f"{median([cpu for _, cpu in found]) * 1_000:.1f} ms",
            },
        )
    ]


def imports(bench: Bench) -> list[Row]:
    """Importing codes: read, encrypt, de-duplicate, store."""
    count = bench.size(500_000)
    with site() as place:
        task = bench.progress.add_task(f"importing {count:,} codes", total=bench.rounds)
        rates = []
        for _ in range(bench.rounds):
            rates.append(count / place.stock(count))
            bench.progress.advance(task)
    rate = median(rates)
    return [
        Row(
            name="import",
            what=f"import, encrypt and de-duplicate {count:,} codes, SQLite",
            target="≥ 60,000 codes/s",
            measured=f"{rate:,.0f} codes/s",
            met=rate >= 60_000,
            details={"runs, each into the stock of those before": ", ".join([f"{one:,.0f}/s" for one in rates])},
        )
    ]


def catalog(bench: Bench) -> list[Row]:
    """Pages of 100 products out of 50,000."""
    count = bench.size(50_000)
    with site() as place:
        task = bench.progress.add_task(f"pages out of {count:,} products", total=bench.rounds + 1)
        one = place.cardrail
        import_catalog(one.db, one.clock, one.audit, _products(count), actor="bench")
        pages = _pages(place)
        bench.progress.advance(task)
        found = []
        for _ in range(bench.rounds):
            result, cpu = place.load(pages, seconds=bench.seconds, warmup=WARMUP)
            found.append((must_succeed(result, 200), cpu))
            bench.progress.advance(task)
    rate = median([result.rate for result, _ in found])
    return [
        Row(
            name="catalog",
            what=f"catalog page of 100 from {count:,} products, 64 clients",
            target="≥ 2,000/s",
            measured=f"{rate:,.0f}/s",
            met=rate >= 2_000,
            details={
                "different pages asked for": str(len(pages)),
                "p50 / p99 / max": _times([result for result, _ in found]),
                "processor time of the server per page": f"{median([cpu for _, cpu in found]) * 1_000:.3f} ms",
            },
        )
    ]


def _products(count: int) -> bytes:
    header = "product_code,name,brand,category,country,currency,denomination_type,face_values,discount_percent,sourcing\n"
    lines = [f"P{number:06d},Card {number},Brand {number % 500},Games,US,USD,fixed,10,5,stock\n" for number in range(count)]
    return (header + "".join(lines)).encode()


def _pages(place: Site) -> list[Ask]:
    """The first fifty pages, each by its cursor, as a client would walk them."""
    pages: list[Ask] = []
    path: str | None = "/v1/products?limit=100"
    while path and len(pages) < 50:
        pages.append(place.page(path))
        cursor = place.ask(path).get("next_cursor")
        path = f"/v1/products?limit=100&cursor={cursor}" if cursor else None
    return pages


# --- the last codes ---------------------------------------------------------------------------------------------------


def race(bench: Bench) -> list[Row]:
    """Twenty codes, 120 buyers at once."""
    clean, rounds = 0, bench.rounds
    with site() as place:
        task = bench.progress.add_task("last-code race", total=rounds)
        for _ in range(rounds):
            place.top_up(20, RACE_SKU)
            before = _spent(place)
            result, _ = place.load([place.order(sku=RACE_SKU)], count=120, connections=120, seconds=30)
            paid = _spent(place) - before
            clean += result.statuses == {201: 20, 409: 100} and not result.lost and paid == 20 * 950
            bench.progress.advance(task)
    return [
        Row(
            name="race",
            what="last-code race: 20 codes, 120 buyers at once, SQLite",
            target="20 sold, 100 refused, 0 charged for nothing",
            measured=f"so in {clean} of {rounds} rounds",
            met=clean == rounds,
        )
    ]


def _spent(place: Site) -> int:
    """Minor units that left the partner's wallet."""
    with place.cardrail.db.read() as tx:
        return int(tx.exec_driver_sql("SELECT sum(debits_posted) FROM accounts WHERE purpose = 'wallet'").scalar_one())


# --- the books --------------------------------------------------------------------------------------------------------


def settlement(bench: Bench) -> list[Row]:
    """A million movements of one wallet in one statement."""
    count = bench.size(1_000_000)
    with site() as place:
        task = bench.progress.add_task(f"a statement of {count:,} movements", total=count)
        place.stock(100)
        must_succeed(place.load([place.order()], count=20, connections=1)[0])
        place.stop()
        place.top_up(count)
        write_past(place, count, lambda done: bench.progress.update(task, completed=done))
        return measure(place)


ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "orders": orders,
    "latency": latency,
    "stock": stock,
    "past": past,
    "large": large,
    "import": imports,
    "catalog": catalog,
    "race": race,
    "settlement": settlement,
    "dialects": lambda bench: dialects(bench.rounds, bench.progress),
    "suppliers": lambda bench: suppliers(bench.rounds, bench.progress, bench.postgres, quick=bench.quick),
    "webhooks": lambda bench: webhooks(bench.rounds, bench.progress, bench.postgres, quick=bench.quick),
}
