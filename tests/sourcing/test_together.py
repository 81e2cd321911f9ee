"""Answers that come at the same time are written in one transaction: each order comes to what it would have come to alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.kernel import Mode, PlainCode, to_micros
from cardrail.orders import Order
from cardrail.storage import Tx, metadata
from cardrail.vault import append_bound_codes
from tests.sourcing.build import Supplied, of
from tests.sourcing.fake import ScriptedSupplier, Sold

LONG = 30.0


def visit_together(shop: Supplied, fake: ScriptedSupplier, orders: Sequence[Order]) -> list[BaseException | None]:
    """Visit them side by side: all calls end together, and what they brought waits for one transaction. What each visit raised."""
    called, begun, go = threading.Event(), threading.Event(), threading.Event()
    fake.meanwhile.extend([lambda: called.wait(LONG)] * len(orders))

    def occupy(_tx: Tx, requests: Sequence[Any]) -> Sequence[Any]:
        begun.set()
        go.wait(LONG)
        return requests

    with ThreadPoolExecutor(len(orders) + 1) as threads:
        visits = []
        for n, one in enumerate(orders, 1):  # one after the other, so that each meets its own word of the script
            visits.append(threads.submit(shop.visit, one))
            while len(fake.asked) < n or len(fake.meanwhile) > len(orders) - n:
                pass
        leader = threads.submit(shop.buying.write_together, "", None, occupy)
        assert begun.wait(LONG)
        called.set()
        while len(shop.buying._together._waiting) < len(orders):
            pass
        go.set()
        leader.result(LONG)
        return [one.exception(LONG) for one in visits]


def test_each_order_comes_to_what_it_would_have_come_to_alone(shop: Supplied) -> None:
    words = ["deliver", "short", "accept", "lost", "refuse:out_of_stock", "deliver"]
    fake = shop.supplier("A", *words, stock=1_000)
    orders = [shop.order("CARD", 2) for _ in words]
    shop.supplier("B", cost="85.00")
    assert visit_together(shop, fake, orders) == [None] * len(words)
    first = [of(shop.attempts(one))[0] for one in orders]
    assert first == [
        ("delivered", 2, 2),
        ("delivered", 2, 1),
        ("accepted", 2, 0),
        ("unknown", 2, 0),
        ("refused", 2, 0),
        ("delivered", 2, 2),
    ]
    assert (shop.health().calls, shop.health().failures) == (6, 1)
    fake.ready()
    done = [shop.finish(one) for one in orders]
    assert [one.state.value for one in done] == ["FULFILLED"] * len(words)
    shown = [code for one in done for code in shop.shown(one)]
    assert (len(shown), len(set(shown))) == (12, 12)
    assert shop.findings() == []


def test_a_code_that_two_answers_bring_is_given_out_once(shop: Supplied) -> None:
    fake = repeating(shop)
    orders = [shop.order("CARD", 1) for _ in range(3)]
    assert visit_together(shop, fake, orders) == [None] * 3
    done = [shop.stands(one) for one in orders]
    shown = [code for one in done for code in (shop.shown(one) if one.items[0].delivered else [])]
    assert shown == ["THE-SAME"]
    assert sorted(one.items[0].delivered for one in done) == [0, 0, 1]
    assert shop.findings() == []


def test_one_answer_that_cannot_be_written_takes_no_other_with_it(shop: Supplied) -> None:
    fake = shop.supplier("A")
    orders = [shop.order("CARD", 1) for _ in range(4)]
    holds = metadata.tables["holds"]
    with shop.db.transaction() as tx:  # nothing is left to charge for this one
        of_one = holds.c.order_id == orders[1].id
        tx.execute(sa.update(holds).where(of_one).values(voided_minor=holds.c.amount_minor))
    raised = visit_together(shop, fake, orders)
    assert [type(one).__name__ for one in raised] == ["NoneType", "HoldExceeded", "NoneType", "NoneType"]
    assert [shop.stands(one).state.value for one in orders] == ["FULFILLED", "PROCESSING", "FULFILLED", "FULFILLED"]
    assert [of(shop.attempts(one)) for one in orders][1] == [("asking", 1, 0)]


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_code_that_somebody_stores_at_the_same_moment_takes_no_other_of_its_answer_with_it(shop: Supplied) -> None:
    fake = repeating(shop)
    order, called = shop.order("CARD", 2), threading.Event()
    fake.meanwhile.append(lambda: called.wait(LONG))
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    with shop.db.transaction() as tx:
        store_elsewhere(shop, tx, "EARLIER")
    with ThreadPoolExecutor(1) as threads:
        with shop.db.transaction() as tx:  # nobody sees it before this ends
            visit = threads.submit(shop.visit, order)
            while not fake.asked:
                pass
            store_elsewhere(shop, tx, "THE-SAME")
            called.set()
            while not tx.execute(waiting).scalar_one() and not visit.done():
                pass
        assert visit.exception(LONG) is None
    assert of(shop.attempts(order))[0] == ("delivered", 2, 1)


def store_elsewhere(shop: Supplied, tx: Tx, code: str) -> None:
    """Bind a code as another process would."""
    offer = shop.catalog.current().offer("CARD")
    assert offer is not None
    assert offer.face_minor is not None
    append_bound_codes(
        tx,
        shop.shop.books.keyring,
        mode=Mode.LIVE,
        brand_id=offer.brand_id,
        denomination_id=offer.denomination_id,
        face_minor=offer.face_minor,
        codes=[PlainCode(code)],
        now=to_micros(shop.clock.now()),
        actor="test",
        node="another",
    )


def repeating(shop: Supplied) -> _Repeating:
    """A supplier whose every answer begins with the same code."""
    fake = _Repeating("A")
    shop.supplier("A")
    shop.connectors.put(shop.suppliers["A"], fake)
    shop.fakes["A"] = fake
    return fake


class _Repeating(ScriptedSupplier):
    """Everybody's first code is the same."""

    def _sell(self, request: Any, count: int, *, is_ready: bool) -> Sold:
        sold = super()._sell(request, count, is_ready=is_ready)
        sold.codes[0] = PlainCode("THE-SAME")
        return sold
