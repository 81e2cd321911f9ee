"""The reference shows each event as it is: its example has the members that the code writes."""

from __future__ import annotations

from typing import Any

import pytest

from cardrail.kernel import Mode, Money
from cardrail.ledger import By, debit, set_balance_threshold, set_credit_limit, tell_low_balances
from cardrail.orders import InvalidationPolicy, invalidate_order, refund_order
from cardrail.storage import Tx, events, in_tx
from cardrail.storage.follow import event_of
from cardrail.webhooks import EVENT_TYPES, PARTNER_TYPES, example, payload
from tests.build import NODE, POLICY
from tests.webhooks.build import WHO, Hooks
from tests.webhooks.receiver import a_receiver, status


def written(hooks: Hooks) -> dict[str, dict[str, Any]]:
    """The newest event of each type that is in the database, as a partner reads it."""
    with hooks.world.db.read() as tx:
        found = [event_of(row) for row in tx.execute(events.select().order_by(events.c.id))]
    return {one.type: payload(one)["data"] for one in found}


def test_examples_have_the_members_that_are_written(hooks: Hooks) -> None:
    make_events(hooks)
    found = written(hooks)
    assert set(found) >= {
        "order.fulfilled",
        "order.refunded",
        "order.invalidated",
        "balance.credited",
        "balance.debited",
        "balance.credit_limit_changed",
        "balance.low",
        "product.updated",
        "endpoint.disabled",
        "endpoint.test",
    }
    for name, data in found.items():
        shown = payload(example(name))["data"]
        assert set(data) - {"reference"} == set(shown) - {"reference"}, name


def make_events(hooks: Hooks) -> None:
    world, partner = hooks.world, hooks.world.partner
    by = By(world.clock.now(), "test", world.audit, NODE)
    first, second = world.order("TEA"), world.order("TEA")
    refund_order(world.db, world.clock, world.audit, first.id, None, because="goodwill", actor="test", node=NODE)
    allowed = InvalidationPolicy(POLICY.window, allow_revealed=True)
    invalidate_order(world.db, world.clock, world.audit, partner, second.id, allowed, node=NODE, because="wrong product")

    def money(tx: Tx) -> None:
        debit(tx, by, partner.partner_id, Money.parse("1.00", "INR"), Mode.LIVE)
        set_credit_limit(tx, by, partner.partner_id, Money.parse("5.00", "INR"), Mode.LIVE)
        set_balance_threshold(tx, by, partner.partner_id, Money.parse("2000000.00", "INR"), Mode.LIVE)
        tell_low_balances(tx, world.clock.now())

    in_tx(world.db, money)
    with a_receiver(status(410)) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.book.test(endpoint.id, who=WHO)
        hooks.send()


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_type_has_an_example_without_secrets(name: str) -> None:
    shown = payload(example(name))
    assert shown["type"] == name
    assert "actor" not in shown
    assert (name in PARTNER_TYPES) == (EVENT_TYPES[name].audience != "operator")
