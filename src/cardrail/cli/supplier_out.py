"""What `cardrail supplier` shows of suppliers, as --json prints it."""

from __future__ import annotations

from typing import Any

from cardrail.kernel import currency, format_minor, from_micros, rfc3339
from cardrail.sourcing import Attempt, ConnectorKind, Health, Shelf, Suggestion, Supplier, dry_in_seconds


def amount_out(minor: int | None, code: str) -> str:
    """12.50 USD; empty where it is not known."""
    return f"{format_minor(minor, currency(code).digits)} {code}" if minor is not None else ""


def kind_out(one: ConnectorKind) -> dict[str, Any]:
    """A kind of supplier, and what it is set up with."""
    return {"name": one.name, "title": one.title, "fields": one.fields}


def supplier_out(one: Supplier) -> dict[str, Any]:
    """A supplier without its secrets."""
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "mode": one.mode.value,
        "state": one.state.value,
        "currency": one.currency,
        "config": one.config,
        "has_secrets": one.secrets is not None,
        "priority": one.priority,
        "weight": one.weight,
        "created_at": rfc3339(from_micros(one.created_at)),
    }


def shelf_out(shelf: Shelf | None) -> dict[str, Any]:
    """What it lists, and how much of that is mapped."""
    shelf = shelf or Shelf()
    seen = rfc3339(from_micros(shelf.seen_at)) if shelf.seen_at is not None else None
    return {"products": shelf.products, "mapped": shelf.mappings, "held": shelf.held, "synced_at": seen}


def health_out(one: Supplier, found: Health, now: int) -> dict[str, Any]:
    """How it answers, and what its balance is; of some figures, None where nobody knows them."""

    def moment(micros: int | None) -> str | None:
        return rfc3339(from_micros(micros)) if micros is not None else None

    left = dry_in_seconds(found, now)
    below = found.alert_below_minor
    return {
        "breaker": found.breaker,
        "retry_at": moment(found.retry_at),
        "blocked_until": moment(found.blocked_until),
        "calls": found.calls,
        "unanswered": found.failures,
        "success_percent": found.success_e6 / 10_000,
        "latency_ms": found.latency_us // 1_000,
        "units_bought": found.units_bought,
        "bad_codes": found.bad_codes,
        "bad_codes_percent": round(100 * found.bad_codes / found.units_bought, 3) if found.units_bought else None,
        "balance": {
            "amount": amount_out(found.balance_minor, one.currency) or None,
            "told_at": moment(found.balance_at),
            "spent_today": amount_out(found.spent_day_minor, one.currency),
            "spent_a_day": amount_out(found.burn_day_minor, one.currency) if found.burn_day_minor else None,
            "lasts_hours": left // 3_600 if left is not None else None,
            "alert_below": amount_out(below, one.currency) if below is not None else None,
        },
    }


def attempt_out(one: Attempt) -> dict[str, Any]:
    """A purchase whose outcome is not known."""
    return {
        "id": one.id,
        "order_id": one.order_id,
        "state": one.state.value,
        "supplier_sku": one.supplier_sku,
        "quantity": one.quantity,
        "asked_at": rfc3339(from_micros(one.asked_at)),
        "deadline_at": rfc3339(from_micros(one.deadline_at)),
    }


def suggestion_out(one: Suggestion) -> dict[str, Any]:
    """Their product, and the sku of ours that it seems to be."""
    product = one.product
    return {
        "supplier_sku": product.supplier_sku,
        "name": product.name,
        "sku": one.offer.sku,
        "percent": one.percent,
        "is_sure": one.is_sure,
    }
