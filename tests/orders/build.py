"""Short words for what only the tests of orders do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cardrail.catalog import PriceRule, Quote, QuoteRequest, make_quote, set_price_rule
from cardrail.kernel import Mode, OrderId, PriceRuleId
from cardrail.ledger import Transfer, load_order_transfers
from cardrail.orders import (
    Buyer,
    InvalidationPolicy,
    Order,
    OrderState,
    all_checks,
    cancel_order,
    get_order,
    invalidate_order,
    order_history,
    refund_order,
)
from cardrail.storage import AuditEntry, AuditFilter, Finding, list_audit
from tests.build import NODE, POLICY, World, the_order


def in_test_mode(buyer: Buyer) -> Buyer:
    return replace(buyer, mode=Mode.TEST)


def unseeing(buyer: Buyer) -> Buyer:
    """The same partner with a key that may not see codes."""
    return replace(buyer, may_reveal=False)


def unpaid(world: World, sku: str = "TEA", quantity: int = 1, **facts: Any) -> Order:
    order = world.order(sku, quantity, pay_later=True, **facts)
    assert (order.state, order.charged_minor) == (OrderState.PLACED, 0)
    return order


def paid(world: World, order_id: OrderId, buyer: Buyer | None = None) -> Order:
    return the_order(world.pay(order_id, buyer))


def cancel(world: World, order_id: OrderId, buyer: Buyer | None = None) -> Order:
    return cancel_order(world.db, world.clock, buyer or world.partner, order_id)


def invalidate(world: World, order_id: OrderId, buyer: Buyer | None = None, policy: InvalidationPolicy = POLICY) -> Order:
    who = buyer or world.partner
    return invalidate_order(world.db, world.clock, world.audit, who, order_id, policy, node=NODE, because="wrong card")


def refund(world: World, order_id: OrderId, amount_minor: int | None, reference: str | None = None) -> Order:
    facts: dict[str, Any] = {"node": NODE, "because": "late", "actor": "cli"}
    return refund_order(world.db, world.clock, world.audit, order_id, amount_minor, reference=reference, **facts)


def stands(world: World, order_id: OrderId, buyer: Buyer | None = None) -> Order:
    """The order as it is in the database."""
    return get_order(world.db, buyer or world.partner, order_id)


def moved(world: World, order_id: OrderId) -> list[tuple[str, str, int]]:
    """(purpose, phase, amount) of the order's transfers."""
    return sorted((one.purpose.value, one.phase.value, one.amount_minor) for one in transfers(world, order_id))


def transfers(world: World, order_id: OrderId) -> list[Transfer]:
    with world.db.read() as tx:
        return list(load_order_transfers(tx, order_id))


def steps(world: World, order_id: OrderId) -> list[tuple[str, str | None]]:
    """The order's history: (event, reason)."""
    return [(row.type, row.reason) for row in order_history(world.db, order_id)]


def reveals(world: World) -> list[list[Any]]:
    """What the audit log says was revealed, oldest first: order, who, from where, lot, first code, how many."""
    return [one for entry in audited(world, "code.revealed") for one in (entry.details or {})["reveals"]]


def audited(world: World, action: str) -> list[AuditEntry]:
    """The audit log's entries of one action, oldest first."""
    with world.db.read() as tx:
        page = list_audit(tx, AuditFilter(action=action), limit=100)
    return [row.entry for row in reversed(page.items)]


def findings(world: World) -> list[Finding]:
    """What `cardrail verify` would say."""
    with world.db.read() as tx:
        return [one for check in all_checks(world.audit) for one in check.run(tx)]


def taxed(world: World, *, fee_minor: int, tax_bps: int, discount_bps: int = 500, product_id: str | None = None) -> PriceRule:
    """The partner gets a rule of his own, with a fee on each unit and a tax on both."""
    rule = PriceRule(
        PriceRuleId(""),
        world.partner.partner_id,
        None,
        product_id,
        None,
        "discount",
        discount_bps,
        fee_minor=fee_minor,
        tax_bps=tax_bps,
    )
    made = set_price_rule(world.db, world.clock, world.audit, rule, actor="test")
    world.catalog.refresh()
    return made


def quoted(world: World, *lines: tuple[str, int], buyer: Buyer | None = None) -> Quote:
    who = buyer or world.partner
    return make_quote(
        world.db,
        world.clock,
        world.catalog.refresh(),
        partner_id=who.partner_id,
        price_list_id=None,
        mode=who.mode,
        currency=who.currency,
        lines=[QuoteRequest(sku, quantity) for sku, quantity in lines],
    )
