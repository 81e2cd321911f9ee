"""Limits per partner: how many orders, for how much, of what, in one UTC day. Counted in the order's own transaction.

What is counted is what was ordered: an order that is later refunded or invalidated stays counted until its day is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cardrail.access import store
from cardrail.access.errors import LimitExceeded
from cardrail.access.model import Limits
from cardrail.access.store import UsageKey, UsageRow
from cardrail.kernel import Mode, PartnerId, to_micros
from cardrail.storage import Tx

DAY: Final = 86_400 * 1_000_000
"""A window, in microseconds."""


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """What limits look at in an order."""

    currency: str
    """Of the wallet that pays."""
    total_minor: int
    items: tuple[tuple[str, int], ...]
    """(sku, quantity) of each line; a sku may occur in several."""
    customer_id: str | None = None


def window_of(now: int) -> int:
    """The start of the UTC day, in microseconds."""
    return now - now % DAY


def use_of(limits: Limits, figures: OrderFigures) -> dict[str, int]:
    """What the order adds to each counter that these limits look at: name → amount."""
    use: dict[str, int] = {}
    if limits.orders_per_day_max is not None:
        use["orders"] = 1
    if figures.currency in limits.amount_minor_per_day_max:
        use[f"amount:{figures.currency}"] = figures.total_minor
    if limits.quantity_per_sku_per_day_max is not None:
        for sku, quantity in figures.items:
            use[f"sku:{sku}"] = use.get(f"sku:{sku}", 0) + quantity
    if limits.quantity_per_customer_per_day_max is not None and figures.customer_id is not None:
        use[f"customer:{figures.customer_id}"] = sum([quantity for _, quantity in figures.items])
    return use


def check_limits(limits: Limits, usage: dict[str, int], figures: OrderFigures) -> LimitExceeded | None:
    """The refusal if the order would go beyond a limit, given what the day has used so far (name → used)."""
    order_max = limits.order_amount_minor_max.get(figures.currency)
    if order_max is not None and figures.total_minor > order_max:
        return _exceeded("order_amount", order_max, 0, figures.currency)
    for name, added in use_of(limits, figures).items():
        maximum, limit = _maximum(limits, name)
        used = usage.get(name, 0)
        if used + added > maximum:
            return _exceeded(limit, maximum, used, name.partition(":")[2] or None)
    return None


def _maximum(limits: Limits, name: str) -> tuple[int, str]:
    kind, _, of = name.partition(":")
    match kind:
        case "orders":
            return limits.orders_per_day_max or 0, "orders_per_day"
        case "amount":
            return limits.amount_minor_per_day_max[of], "amount_per_day"
        case "sku":
            return limits.quantity_per_sku_per_day_max or 0, "quantity_per_sku_per_day"
        case _:
            return limits.quantity_per_customer_per_day_max or 0, "quantity_per_customer_per_day"


def _exceeded(limit: str, maximum: int, used: int, of: str | None) -> LimitExceeded:
    facts: dict[str, object] = {"limit": limit, "maximum": maximum, "used": used}
    if of is not None and limit != "quantity_per_customer_per_day":  # a customer's id stays out of messages
        facts["of"] = of
    return LimitExceeded(**facts)


@dataclass(slots=True)
class LimitsBook:
    """The day's use of every limited partner in a batch: a working copy, so that the orders of one batch see one another's use."""

    window_at: int = 0
    used: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    """(partner, mode) → name → used, what this batch took included."""
    taken: dict[UsageKey, int] = field(default_factory=dict)

    def take(self, partner_id: PartnerId, mode: Mode, limits: Limits, figures: OrderFigures) -> None:
        """Count the order. Raises LimitExceeded, and then counts nothing."""
        usage = self.used.setdefault((partner_id, mode.value), {})
        refusal = check_limits(limits, usage, figures)
        if refusal is not None:
            raise refusal
        for name, added in use_of(limits, figures).items():
            usage[name] = usage.get(name, 0) + added
            key = (partner_id, mode.value, name)
            self.taken[key] = self.taken.get(key, 0) + added

    def rows(self) -> list[UsageRow]:
        """What the batch took, for ``add_usage``."""
        end = self.window_at + DAY
        return [(*key, self.window_at, added, end) for key, added in sorted(self.taken.items()) if added]


def load_limits(tx: Tx, wanted: Sequence[tuple[PartnerId, Mode, Limits, OrderFigures]], now: int) -> LimitsBook:
    """The book for these orders (only their names matter, not their totals), at ``now`` in microseconds.

    Locks the partners, so that two nodes cannot both use up what is left. Call it after the wallets are locked, and only with orders
    of partners who have limits: without any it asks the database nothing.
    """
    book = LimitsBook(window_of(now))
    keys = {(partner, mode.value, name) for partner, mode, limits, figures in wanted for name in use_of(limits, figures)}
    if keys:
        store.lock_partners(tx, sorted({partner for partner, _, _ in keys}))
        for (partner, mode_value, name), used in load_usage(tx, keys, book.window_at).items():
            book.used.setdefault((partner, mode_value), {})[name] = used
    return book


def load_usage(tx: Tx, keys: Iterable[UsageKey], window_at: int) -> dict[UsageKey, int]:
    """What the window has used: (partner, mode, name) → used, for the counters that exist."""
    return store.load_usage(tx, sorted(keys), window_at)


def add_usage(tx: Tx, rows: Sequence[UsageRow]) -> None:
    """Add to the counters, making those that are not there: (partner, mode, name, window_at, added, expires_at) each."""
    store.add_usage(tx, rows)


def purge_usage(tx: Tx, now: datetime) -> int:
    """Delete the counters of windows that ended more than a day ago; returns how many."""
    return store.delete_usage(tx, to_micros(now - timedelta(days=1)))
