"""What a supplier's answers say about its health. Pure: a row in, a row out.

The circuit breaker opens after some calls in a row without an answer, or after too many of the newest ones. While it is open nothing new
is bought there; after a while one call is let through, and its answer decides. A refusal is an answer. So is "too many requests": that
supplier lives, and is left alone until the moment that it names.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

from cardrail.sourcing.model import Health

FAILURES_MAX: Final = 5
"""Calls in a row without an answer that open the breaker."""
SUCCESS_MIN_E6: Final = 800_000
"""Below this part of answered calls it opens too, once there were enough of them."""
CALLS_MIN: Final = 20
OPEN_MICROS: Final = 60 * 1_000_000
TRYING_MICROS: Final = 40 * 1_000_000
"""How long the one call that was let through may take, before another one is."""
BUSY_MICROS: Final = 1_000_000
"""How long a supplier is left alone that says "too many requests" and no more."""
_NEWER: Final = 20
"""A call counts for 1/20 of the running figures."""
DAY_MICROS: Final = 24 * 3_600 * 1_000_000


class Answered(StrEnum):
    """How a call ended, as far as the supplier's health goes."""

    WELL = "well"
    """Any answer of the protocol, a refusal too."""
    BUSY = "busy"
    NOT = "not"
    """Unreachable, too late, or nothing that the protocol knows."""


def may_ask(health: Health, now: int) -> bool:
    """Whether something new may be asked of the supplier now."""
    if health.blocked_until is not None and health.blocked_until > now:
        return False
    return health.breaker == "closed" or (health.retry_at or 0) <= now


def let_through(health: Health, now: int) -> Health:
    """Note that a call is being made: where the breaker was open, it is the one that decides."""
    if health.breaker == "closed":
        return health
    return replace(health, breaker="trying", retry_at=now + TRYING_MICROS, updated_at=now)


def after_call(
    health: Health,
    how: Answered,
    *,
    now: int,
    latency_us: int | None = None,
    retry_after_us: int | None = None,
    open_us: int = OPEN_MICROS,
) -> Health:
    """The row after a call. ``latency_us`` only where a purchase was answered at once; ``open_us``: how long the breaker stays open."""
    if how is Answered.BUSY:
        wait = BUSY_MICROS if retry_after_us is None else max(retry_after_us, 100_000)
        changed = replace(health, calls=health.calls + 1, blocked_until=now + wait, updated_at=now)
        return replace(changed, breaker="open", retry_at=now + wait) if health.breaker == "trying" else changed
    well = how is Answered.WELL
    success = health.success_e6 + ((1_000_000 if well else 0) - health.success_e6) // _NEWER
    in_a_row = 0 if well else health.failures_in_row + 1
    changed = replace(
        health,
        calls=health.calls + 1,
        failures=health.failures + (0 if well else 1),
        failures_in_row=in_a_row,
        success_e6=success,
        latency_us=_newer(health.latency_us, latency_us),
        updated_at=now,
    )
    if well:
        return changed if health.breaker == "closed" else replace(changed, breaker="closed", retry_at=None, success_e6=1_000_000)
    opens = health.breaker != "closed" or in_a_row >= FAILURES_MAX or (health.calls >= CALLS_MIN and success < SUCCESS_MIN_E6)
    return replace(changed, breaker="open", retry_at=now + open_us) if opens else changed


def after_purchase(health: Health, cost_minor: int, units: int, now: int) -> Health:
    """Count what was bought: off the balance as it was last told, and onto the day's spending."""
    spent, since, burn = health.spent_day_minor, health.spent_since, health.burn_day_minor
    if since is None:
        since = now
    while now - since >= DAY_MICROS:
        burn, spent, since = (burn * 2 + spent) // 3 if burn else spent, 0, since + DAY_MICROS
        if now - since >= 30 * DAY_MICROS:
            since = now
    return replace(
        health,
        units_bought=health.units_bought + units,
        balance_minor=None if health.balance_minor is None else health.balance_minor - cost_minor,
        spent_day_minor=spent + cost_minor,
        spent_since=since,
        burn_day_minor=burn,
        updated_at=now,
    )


def after_bad_code(health: Health, now: int) -> Health:
    """Count a code of the supplier's that had to be replaced or paid back."""
    return replace(health, bad_codes=health.bad_codes + 1, updated_at=now)


def told_balance(health: Health, balance_minor: int, now: int) -> Health:
    """The supplier told what we have there."""
    return replace(health, balance_minor=balance_minor, balance_at=now, updated_at=now)


def dry_in_seconds(health: Health, now: int) -> int | None:
    """When the balance will be used up, by what a day costs; None where nothing says."""
    today = health.spent_day_minor
    if health.spent_since is not None and now > health.spent_since:
        elapsed = max(now - health.spent_since, DAY_MICROS // 24)
        today = today * DAY_MICROS // elapsed if elapsed < DAY_MICROS else today
    rate = max(health.burn_day_minor, today)
    if health.balance_minor is None or not rate:
        return None
    return max(0, health.balance_minor) * 86_400 // rate


def _newer(known: int, measured: int | None) -> int:
    if measured is None:
        return known
    return measured if not known else known + (measured - known) // _NEWER
