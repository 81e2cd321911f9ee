"""What the operator is told of, and how often: once, until it is over and comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from cardrail.access import SecretSealer
from cardrail.alerts import AlertNotFound, store
from cardrail.catalog import import_catalog
from cardrail.kernel import Mode, Money
from cardrail.ledger import By, set_balance_threshold, tell_low_balances
from cardrail.sourcing import NewSupplier, create_supplier, load_health, save_health
from cardrail.storage import metadata
from cardrail.vault import set_stock_threshold, tell_low_stock
from cardrail.webhooks import AddressRules, EndpointBook, Who
from tests.alerts.build import Watched
from tests.build import NODE, World
from tests.sourcing.build import SHEET


def low_stock(world: World) -> None:
    """What the chore does."""
    with world.db.transaction() as tx:
        tell_low_stock(tx, world.clock.now())


def threshold(world: World, count: int) -> None:
    offer = world.catalog.current().offer("TEA")
    assert offer is not None
    with world.db.transaction() as tx:
        set_stock_threshold(tx, world.clock.now(), world.audit, offer.denomination_id, "TEA", count, actor="test")


def test_stock_that_runs_low_a_hundred_times_is_one_mail(watched: Watched) -> None:
    with watched.world.db.transaction() as tx:
        set_stock_threshold(tx, watched.clock.now(), watched.world.audit, "den_1", "TEA", 200, actor="test")
    low_stock(watched.world)
    watched.steps["den_1"] = 1
    for number in range(1, 100):
        watched.event("stock.low", "den_1", {"sku": "TEA", "in_stock": 100 - number, "threshold": 200})
    (subject,) = watched.watch()
    assert subject.startswith("Shop: Only 1 codes of TEA are left; the mark is 200. (100 times)")
    assert (watched.watch(), watched.states(), watched.alerts()[0].count) == ([], ["notified"], 100)


def test_low_stock_is_told_and_over_when_it_is_restocked_and_told_when_it_comes_back(watched: Watched) -> None:
    world = watched.world
    world.stock("TEA", 10)
    threshold(world, 20)
    low_stock(world)
    (subject,) = watched.watch()
    assert subject.startswith("Shop: Only 10 codes of TEA are left; the mark is 20")
    world.stock("TEA", [f"MORE-{number}" for number in range(50)])
    low_stock(world)
    assert (watched.watch(hours=1), watched.states()) == ([], ["cleared"])
    threshold(world, 100)
    low_stock(world)
    assert (len(watched.watch()), watched.states()) == (1, ["cleared", "notified"])


def test_a_partners_low_balance_names_him_and_ends_with_his_credit(watched: Watched) -> None:
    world = watched.world
    by = By(world.clock.now(), "test", world.audit, NODE)
    with world.db.transaction() as tx:
        set_balance_threshold(tx, by, world.partner.partner_id, Money.parse("9000000.00", "INR"), Mode.LIVE)
        tell_low_balances(tx, world.clock.now())
    (subject,) = watched.watch()
    assert "has only 1000000.00 INR left; the mark is 9000000.00" in subject
    world.credit(world.partner.partner_id, Money.parse("9000000.00", "INR"), Mode.LIVE)
    with world.db.transaction() as tx:
        tell_low_balances(tx, world.clock.now())
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def a_supplier(watched: Watched) -> str:
    world = watched.world
    import_catalog(world.db, world.clock, world.audit, SHEET, actor="test")
    new = NewSupplier("fox", "simulated", Mode.LIVE, "INR", {"pretend": True})
    row = create_supplier(world.db, world.clock, world.audit, SecretSealer(b"s" * 32), new, {}, actor="test")
    return row.id


def breaker(watched: Watched, supplier_id: str, state: str) -> None:
    with watched.world.db.transaction() as tx:
        health = load_health(tx, supplier_id, lock=True)
        save_health(tx, type(health)(**{name: getattr(health, name) for name in health.__slots__} | {"breaker": state}))
    watched.event("supplier.down" if state == "open" else "supplier.up", supplier_id, {"failures": 5})


def test_a_supplier_that_is_down_and_back_is_told_of_twice(watched: Watched) -> None:
    supplier = a_supplier(watched)
    breaker(watched, supplier, "open")
    assert [one.partition(";")[0] for one in watched.watch()] == ["Shop: Supplier fox does not answer"]
    breaker(watched, supplier, "closed")
    assert [one.partition(";")[0] for one in watched.watch()] == ["Shop: Over: Supplier fox does not answer"]
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def test_a_supplier_that_comes_and_goes_is_no_storm(watched: Watched) -> None:
    supplier = a_supplier(watched)
    told = 0
    for _ in range(30):  # half an hour of it, a minute each
        breaker(watched, supplier, "open")
        told += len(watched.watch(seconds=30))
        breaker(watched, supplier, "closed")
        told += len(watched.watch(seconds=30))
    assert told <= 6
    breaker(watched, supplier, "open")
    breaker(watched, supplier, "closed")
    breaker(watched, supplier, "open")
    assert watched.watch(hours=1) != []  # and what lasts is told


def test_orders_in_review_are_one_alert_that_ends_with_the_last_of_them(watched: Watched) -> None:
    world = watched.world
    world.stock("TEA", 5)
    orders = [world.order("TEA").id for _ in range(2)]
    for order_id in orders:
        review(watched, order_id, "NEEDS_REVIEW")
        watched.steps[order_id] = 10
        watched.event("order.needs_review", order_id)
    assert [one.partition(":")[2].partition(":")[0] for one in watched.watch()] == [" 2 orders wait for your decision"]
    review(watched, orders[0], "FULFILLED")
    assert (watched.watch(), watched.alerts()[0].facts["orders"]) == ([], 1)
    review(watched, orders[1], "FULFILLED")
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def review(watched: Watched, order_id: str, state: str) -> None:
    table = metadata.tables["orders"]
    with watched.world.db.transaction() as tx:
        tx.execute(sa.update(table).where(table.c.id == order_id).values(state=state))


def test_a_hundred_alerts_of_one_moment_are_one_message(watched: Watched) -> None:
    for number in range(100):
        watched.event("supplier.cost_held", f"sup_{number}", {"products": 1})
    assert watched.watch() == ["Shop: 100 alerts"]
    (letter,) = watched.postman.letters
    assert len(letter.lines) == 51
    assert letter.lines[-1].startswith("And 50 more")


def test_failing_messages_are_one_alert_that_fades(watched: Watched) -> None:
    for number in range(3):
        watched.event("message.failed", f"msg_{number}", {"order_id": f"ord_{number}", "channel": "email"}, partner_id="par_x")
    (subject,) = watched.watch()
    assert "Messages by email fail or come back; the newest is of order ord_2" in subject
    assert (watched.watch(minutes=59), watched.states()) == ([], ["notified"])
    assert (watched.watch(minutes=2), watched.states()) == ([], ["cleared"])


def test_a_drift_of_the_books_ends_when_they_agree(watched: Watched) -> None:
    watched.event("books.drift", "books", {"findings": 2, "checks": ["wallet_sums"], "rows": []})
    (subject,) = watched.watch()
    assert "The books do not agree: 2 findings (wallet_sums)" in subject
    assert watched.watch(hours=30) == []
    watched.event("books.agree", "books")
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def test_a_disabled_endpoint_is_over_when_it_is_enabled(watched: Watched) -> None:
    world = watched.world
    book = EndpointBook(world.db, world.clock, world.audit, SecretSealer(b"s" * 32), AddressRules())
    endpoint, _ = book.create(world.partner.partner_id, Mode.LIVE, url="https://shop.example/hook", who=Who("test"))
    with world.db.transaction() as tx:
        book.disable(tx, endpoint, "the receiver answered 410 Gone")
    (subject,) = watched.watch()
    assert "was disabled: the receiver answered 410 Gone" in subject
    book.update(endpoint.id, who=Who("test"), enabled=True)
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def test_test_orders_alert_nobody_and_neither_does_what_was_before(watched: Watched, world: World) -> None:
    watched.event("stock.low", "den_1", {"sku": "TEA", "in_stock": 1, "threshold": 2}, mode="test")
    assert (watched.watch(), watched.alerts()) == ([], [])
    watched.event("supplier.cost_held", "sup_1", {"products": 1})
    watched.number()
    with world.db.transaction() as tx:
        tx.execute(sa.text("DELETE FROM alert_cursors"))
    late = Watched(world)
    assert (late.watch(), late.alerts()) == ([], [])


# --- reminders, acknowledging, quiet hours --------------------------------------------------------------------------------


def test_what_lasts_is_told_again_until_somebody_acknowledges_it(world: World) -> None:
    watched = Watched(world, reminder=timedelta(hours=4))
    watched.event("books.drift", "books", {"findings": 1, "checks": ["x"]})
    assert len(watched.watch()) == 1
    assert watched.watch(hours=3) == []
    (subject,) = watched.watch(hours=1)
    assert subject.startswith("Shop: Still so: The books")
    (alert,) = watched.alerts()
    assert watched.desk.acknowledge(alert.id, actor="cli").acknowledged_by == "cli"
    assert (watched.watch(hours=50), watched.states()) == ([], ["acknowledged"])
    watched.event("books.drift", "books", {"findings": 1, "checks": ["x"]})
    assert watched.watch() == []
    watched.event("books.agree", "books")
    assert (watched.watch(), watched.states()) == ([], ["cleared"])
    for alert_id in (alert.id, "alr_none"):
        with pytest.raises(AlertNotFound):
            watched.desk.acknowledge(alert_id, actor="cli")


def test_whoever_acknowledged_one_order_is_told_of_the_next(world: World) -> None:
    watched = Watched(world, reminder=timedelta(hours=4))
    orders = metadata.tables["orders"]
    world.stock("TEA", 5)
    ids = [world.order().id, world.order().id]
    with world.db.transaction() as tx:
        tx.execute(sa.update(orders).values(state="NEEDS_REVIEW"))
    watched.steps = dict.fromkeys(ids, 9)
    watched.event("order.needs_review", ids[0])
    assert len(watched.watch()) == 1
    (alert,) = watched.alerts()
    watched.desk.acknowledge(alert.id, actor="cli")
    watched.event("order.needs_review", ids[0])
    watched.clock.advance(minutes=1)
    assert (watched.watch(), watched.states()) == ([], ["acknowledged"])
    watched.event("order.needs_review", ids[1])
    assert (watched.watch(), watched.states()) == ([], ["open"])  # the last message is a minute old
    (subject,) = watched.watch(minutes=15)
    assert subject.startswith("Shop: 2 orders wait for your decision")


def test_what_is_over_is_not_looked_through_each_time(world: World) -> None:
    if not world.db.is_sqlite:
        return
    with world.db.read() as tx:
        for query in (store._OPEN, store._OWING):
            plan = str(tx.execute(sa.text(f"EXPLAIN QUERY PLAN {query.compile(dialect=tx.dialect)}")).all())
            assert "_alerts_" in plan, plan


def test_in_quiet_hours_only_the_urgent_goes_out_and_the_rest_is_one_message_at_their_end(world: World) -> None:
    watched = Watched(world, quiet="22:00-07:00 Europe/Berlin")
    supplier = a_supplier(watched)
    watched.clock.at = watched.clock.at.replace(month=1, day=15, hour=20, minute=59, second=0, microsecond=0)  # 21:59 there
    watched.event("supplier.cost_held", "sup_a", {"products": 1})
    assert len(watched.watch()) == 1
    watched.event("supplier.cost_held", "sup_b", {"products": 1})
    watched.event("message.bounced", "msg_1", {"order_id": "ord_1", "channel": "telegram"})
    assert (watched.watch(minutes=2), watched.states()) == ([], ["notified", "open", "open"])
    breaker(watched, supplier, "open")
    assert [one.partition(";")[0] for one in watched.watch(hours=1)] == ["Shop: Supplier fox does not answer"]
    watched.event("message.bounced", "msg_2", {"order_id": "ord_2", "channel": "telegram"})
    watched.event("supplier.cost_held", "sup_c", {"products": 1})
    assert watched.watch(hours=7) == []  # 06:01
    watched.event("message.bounced", "msg_3", {"order_id": "ord_2", "channel": "telegram"})
    assert watched.watch(hours=1) == ["Shop: 3 alerts"]
    assert watched.watch(hours=1) == []


def test_each_recipient_gets_what_he_wants(world: World) -> None:
    watched = Watched(world, "supplier.cost_held=mailto:buyer@shop.example books.drift,supplier.cost_held=telegram:42")
    watched.event("books.drift", "books", {"findings": 1, "checks": ["x"]})
    watched.event("supplier.cost_held", "sup_1", {"products": 1})
    watched.event("hold.overdue", "hld_1", {"order_id": "ord_1"})
    assert len(watched.watch()) == 2
    assert [(one.address, len(one.lines)) for one in watched.postman.letters] == [("buyer@shop.example", 1), ("42", 2)]
    assert watched.states() == ["notified", "notified", "open"]  # nobody wanted the last one
