"""Orders, codes and money tell one story; each way in which they could not is planted, found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.access import Limits
from cardrail.kernel import Mode
from cardrail.ledger import LEDGER_CHECKS
from cardrail.orders import ORDER_CHECKS, Buyer, OrderState, all_checks, cancel_order, invalidate_order, refund_order
from cardrail.storage import Database, Finding
from cardrail.vault import VAULT_CHECKS
from tests.build import NODE, POLICY, World, a_world, item, the_order

PLANTED_ELSEWHERE = {check.name for check in LEDGER_CHECKS} | {"replacements"}
"""tests/ledger/test_verify.py and tests/replacements plant these."""


@pytest.fixture
def busy(db: Database, tmp_path: Path) -> World:
    """A shop where everything happened once."""
    world = a_world(db, tmp_path)
    world.stock("TEA", 10, cost="90.01")
    world.stock("TEA", [f"SECOND-{n}" for n in range(5)], cost="80")
    world.stock("BOOKS", 3)
    world.order("TEA", 12)
    world.place(world.command(item("TEA"), item("BOOKS", 5)))
    world.order("BOOKS", 1) if world.in_stock("BOOKS") else None
    refund_order(db, world.clock, world.audit, world.order("TEA").id, 500, node=NODE, because="late", actor="cli")
    unseen = Buyer(world.partner.partner_id, Mode.LIVE, "INR", "key_test", limits=Limits(), may_reveal=False)
    taken_back = the_order(*world.place(world.command(item("TEA"), buyer=unseen)))
    invalidate_order(db, world.clock, world.audit, unseen, taken_back.id, POLICY, node=NODE, because="wrong card")
    test = Buyer(world.partner.partner_id, Mode.TEST, "INR", "key_test")
    for sku in ("TEST_OK", "TEST_PARTIAL", "TEST_REFUND", "TEST_PENDING", "TEST_SLOW"):
        world.place(world.command(item(sku, 2), buyer=test))
    pending = the_order(*world.place(world.command(item("TEST_PENDING"), buyer=test)))
    cancel_order(db, world.clock, test, pending.id)
    world.place(world.command(item("TEA"), pay_later=True))
    return world


def findings(world: World) -> list[Finding]:
    with world.db.read() as tx:
        return [one for check in all_checks(world.audit) for one in check.run(tx)]


def plant(db: Database, statement: str) -> None:
    if db.is_sqlite:
        with db.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            for one in (
                "PRAGMA foreign_keys=OFF",
                "PRAGMA ignore_check_constraints=ON",
                statement,
                "PRAGMA ignore_check_constraints=OFF",
            ):
                driver.execute(one)
            driver.execute("PRAGMA foreign_keys=ON")
        return
    with db.transaction() as tx:
        tx.exec_driver_sql("ALTER TABLE orders DROP CONSTRAINT ck_orders_charge")
        tx.exec_driver_sql("ALTER TABLE order_items DROP CONSTRAINT fk_order_items_order_id")
        tx.exec_driver_sql(statement)


def test_a_busy_shop_agrees_with_itself(busy: World) -> None:
    assert findings(busy) == []


BIG = "(SELECT order_id FROM order_items WHERE quantity = 12)"
LAST_SLICE = "(SELECT max(id) FROM slices WHERE head < tail)"
FIRST_SALE = "(SELECT min(id) FROM transfers WHERE purpose = 'sale')"
REFUNDED = "(SELECT order_id FROM transfers WHERE purpose = 'refund' LIMIT 1)"
OF_A_SLICE = "lot_id, denomination_id, face_minor, mode, expires_at, head, tail, is_shared, is_frozen"
TWIN = f"INSERT INTO slices (id, {OF_A_SLICE}) SELECT 'slc_ZZ', {OF_A_SLICE} FROM slices WHERE id = {LAST_SLICE}"
PAID_BACK = "INSERT INTO refunded_units (order_id, line, position, amount_minor, replacement_id, created_at) SELECT id, 1,"

# fmt: off
FAULTS = [
    # what was done behind everybody's back, the check that finds it, what it says
    (f"UPDATE orders SET charged_minor = charged_minor + 1 WHERE id = {BIG}", "charges", "a charge of"),
    ("UPDATE orders SET refunded_minor = 0 WHERE refunded_minor = 500", "charges", "refunds of 500"),
    (f"DELETE FROM transfers WHERE id = {FIRST_SALE}", "charges", "a charge of 0"),
    (f"UPDATE orders SET id = 'ord_ZZ' WHERE id = {REFUNDED}", "charges", "an order for"),
    ("UPDATE orders SET state = 'CANCELLED' WHERE state = 'PLACED' AND pay_until IS NULL", "charges", "no money held"),
    (f"UPDATE orders SET state = 'FAILED' WHERE id = {BIG}", "charges", "everything given back"),
    (f"DELETE FROM order_items WHERE order_id = {BIG}", "items", "at least one item"),
    ("UPDATE order_items SET delivered = 11 WHERE quantity = 12", "items", "11 codes allocated"),
    ("UPDATE order_items SET state = 'FAILED' WHERE quantity = 12", "items", "the state FULFILLED"),
    ("UPDATE order_items SET charged_minor = 1 WHERE state = 'FAILED'", "items", "no charge"),
    ("UPDATE order_items SET charged_minor = 0 WHERE quantity = 12", "items", "the sum of its items'"),
    (f"UPDATE orders SET state = 'PROCESSING' WHERE id = {BIG}", "items", "as its items say"),
    (f"UPDATE slices SET head = head - 1 WHERE id = {LAST_SLICE} AND head > 0", "allocations", "that nobody else has"),
    (f"UPDATE slices SET head = head + 1 WHERE id = {LAST_SLICE}", "allocations", "an owner or a reason"),
    ("UPDATE allocations SET code_count = code_count + 100", "allocations", "codes below"),
    ("UPDATE allocations SET first_seq = first_seq + 1", "allocations", "that nobody else has"),
    ("DELETE FROM allocations", "allocations", "an owner or a reason"),
    ("UPDATE procurements SET delivered = 1", "purchases", "0 units from suppliers"),
    ("UPDATE procurements SET state = 'done'", "purchases", "somebody who works on it"),
    ("UPDATE procurements SET line = 9", "purchases", "an item for what suppliers are to bring"),
    ("UPDATE order_items SET delivered = 1 WHERE sku = 'TEST_SLOW'", "purchases", "0 units delivered"),
    ("UPDATE order_items SET state = 'FAILED' WHERE sku = 'TEST_SLOW'", "purchases", "nothing more to be bought"),
    (f"{PAID_BACK} 99, 0, NULL, 0 FROM orders WHERE id = {BIG}", "refunded_units", "a unit that was delivered"),
    (f"{PAID_BACK} 1, 9, NULL, 0 FROM orders WHERE id = {BIG}", "refunded_units", "refunds of 9, as its units say"),
    (f"{PAID_BACK} 1, 0, 'rpl_X', 0 FROM orders WHERE id = {BIG}", "refunded_units", "paid back once, by rpl_X"),
    ("UPDATE lots SET cost_minor = cost_minor * 2 WHERE cost_minor > 0", "stock_value", "the cost of its unsold codes"),
    ("DELETE FROM transfers WHERE purpose = 'cost_of_sale'", "stock_value", "the cost of its unsold codes"),
    ("UPDATE slices SET tail = tail + 1 WHERE head < tail", "slices", "codes below"),
    ("UPDATE slices SET mode = 'test' WHERE head < tail", "slices", "denomination, face value and mode"),
    ("UPDATE lots SET state = 'loading' WHERE kind = 'stock'", "slices", "nothing for sale from a lot"),
    (TWIN, "slices", "in no other slice"),
    ("DELETE FROM codes WHERE seq = 2", "codes", "codes, numbered 0 to"),
    ("UPDATE audit SET actor = 'nobody' WHERE seq = 1", "audit", "as it was written"),
]
# fmt: on


@pytest.mark.parametrize(("statement", "check", "words"), FAULTS)
def test_a_planted_fault_is_found_and_named(busy: World, statement: str, check: str, words: str) -> None:
    plant(busy.db, statement)
    found = [one for one in findings(busy) if one.check == check]
    assert any(words in one.expected for one in found), found


def test_every_check_has_its_planted_fault(busy: World) -> None:
    names = {check.name for check in all_checks(busy.audit)}
    assert names == {check.name for check in (*LEDGER_CHECKS, *VAULT_CHECKS, *ORDER_CHECKS)} | {"audit"}
    assert names - PLANTED_ELSEWHERE == {check for _, check, _ in FAULTS}


def test_codes_that_came_back_are_sold_again_without_a_finding(busy: World) -> None:
    while busy.in_stock("TEA"):
        assert busy.order("TEA").state is OrderState.FULFILLED
    assert findings(busy) == []
