"""What a supplier's webhook does: its purchase is looked at now. What is repeated, early, foreign or unknown does no harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.access import SecretSealer
from cardrail.jobs import Jobs
from cardrail.kernel import Mode, Money, Secret, to_micros
from cardrail.orders import ask_anew, follow_notice, retry_notice, take_notice
from cardrail.sourcing import (
    WAITS_SECONDS,
    InvalidReceiver,
    Lookup,
    NewSupplier,
    NoSupplierWebhooks,
    Notice,
    NoticeNotFound,
    ReceiverNotFound,
    create_supplier,
    dismiss_notice,
    find_receiver,
    list_notices,
    open_receiver,
    purge_notices,
    remove_receiver,
    set_receiver,
)
from cardrail.storage import metadata
from tests.sourcing.build import Supplied, states
from tests.sourcing.fake import QUICK

SEALER = SecretSealer(b"s" * 32)


class Desk:
    """Takes notices for a shop, and follows them by hand."""

    def __init__(self, shop: Supplied) -> None:
        self.shop = shop
        self.jobs = Jobs(shop.db)

    def take(self, name: str = "A", *, theirs: str | None = None, **facts: Any) -> bool:
        facts = {"key": f"id:{theirs}", "event": "order.delivered", "supplier_order_id": theirs} | facts
        return take_notice(self.jobs, self.shop.buying, self.shop.suppliers[name].id, Notice(**facts))

    def follow(self) -> str:
        """The newest one; its state."""
        (row, *_) = self.rows()
        with self.shop.db.transaction() as tx:
            return follow_notice(self.jobs, self.shop.buying, tx, row.id)

    def rows(self) -> list[Any]:
        with self.shop.db.read() as tx:
            return list_notices(tx)

    def held(self) -> int:
        events = metadata.tables["events"]
        with self.shop.db.read() as tx:
            query = sa.select(sa.func.count()).where(events.c.type == "supplier.notice_held")
            return int(tx.execute(query).scalar_one())


@pytest.fixture
def desk(shop: Supplied) -> Desk:
    return Desk(shop)


def test_an_accepted_order_is_fetched_without_waiting_for_its_poll(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    order = shop.order("CARD", 2)
    shop.visit(order)
    fake.ready()
    before = fake.looked
    shop.visit(order)
    assert (fake.looked, states(shop.stands(order))) == (before, ("PROCESSING", ["PROCESSING"]))  # its poll is not due
    assert (desk.take(theirs=fake.sold[0].id), desk.follow()) == (True, "done")
    shop.visit(order)
    assert states(shop.stands(order)) == ("FULFILLED", ["FULFILLED"])
    assert any("webhook" in sentence for _, sentence in shop.attempts(order)[0].story)


def test_what_comes_again_changes_nothing(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    order = shop.order("CARD")
    shop.visit(order)
    theirs = fake.sold[0].id
    assert [desk.take(theirs=theirs) for _ in range(3)] == [True, False, False]
    fake.ready()
    desk.follow()
    shop.visit(order)
    looked, balance = fake.looked, shop.balance()
    assert (desk.follow(), desk.take(theirs=theirs)) == ("done", False)
    assert (desk.take(theirs=theirs, key="another"), desk.follow()) == (True, "done")
    shop.visit(order)
    assert (fake.looked, shop.balance(), fake.units) == (looked, balance, 1)
    assert desk.rows()[0].result == "the purchase had ended (delivered)"
    assert shop.findings() == []


@pytest.mark.parametrize("known_by", ["number", "reference"])
def test_one_that_overtakes_the_answer_to_our_order_waits_for_it(desk: Desk, known_by: str) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    order = shop.order("CARD")
    then: list[str] = []

    def told() -> None:
        (attempt,) = shop.attempts(order)
        desk.take(key="early", **({"theirs": "a-1"} if known_by == "number" else {"reference": attempt.reference}))
        then.append(desk.follow())

    fake.meanwhile.append(told)
    shop.visit(order)
    fake.ready()
    assert (then, desk.follow()) == (["waiting"], "done")
    shop.visit(order)
    assert states(shop.stands(order)) == ("FULFILLED", ["FULFILLED"])


def test_an_unknown_order_is_looked_for_and_then_kept_for_a_human(desk: Desk) -> None:
    desk.shop.supplier("A")
    desk.take(theirs="nobodys")
    assert [desk.follow() for _ in WAITS_SECONDS] == ["waiting"] * len(WAITS_SECONDS)
    assert (desk.follow(), desk.follow(), desk.held()) == ("review", "review", 1)
    (row,) = desk.rows()
    with desk.shop.db.transaction() as tx:
        assert retry_notice(desk.jobs, desk.shop.buying, tx, row.id) == "review"
    dismiss_notice(desk.shop.db, desk.shop.clock, desk.shop.audit, row.id, actor="test")
    assert desk.rows()[0].state == "dismissed"
    with pytest.raises(NoticeNotFound):
        dismiss_notice(desk.shop.db, desk.shop.clock, desk.shop.audit, row.id, actor="test")


def test_another_suppliers_order_is_nobodys(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    shop.supplier("B")
    order = shop.order("CARD")
    shop.visit(order)
    fake.ready()
    looked = fake.looked
    desk.take("B", theirs=fake.sold[0].id, reference=shop.attempts(order)[0].reference)
    assert desk.follow() == "waiting"
    shop.visit(order)
    assert fake.looked == looked


def test_what_takes_a_delivered_order_back_is_for_a_human(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A")
    order = shop.bought("CARD")
    codes = shop.shown(order)
    desk.take(theirs=fake.sold[0].id, event="order.refunded", is_undone=True)
    assert (desk.follow(), desk.held()) == ("review", 1)
    assert (states(shop.stands(order)), shop.shown(order)) == (("FULFILLED", ["FULFILLED"]), codes)


@pytest.mark.parametrize(("event", "follows"), [("order_completed", True), ("order_failed", False)])
def test_what_was_given_up_and_is_delivered_after_all_is_fetched(desk: Desk, event: str, follows: bool) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    shop.supplier("B", cost="85.00")
    order = shop.order("CARD")
    shop.visit(order)
    fake.refuses = True
    shop.finish(order)
    assert [one.state.value for one in shop.attempts(order)] == ["refused", "delivered"]
    fake.refuses = False
    fake.ready()
    desk.take(theirs=fake.sold[0].id, event=event)
    assert desk.follow() == "done"
    shop.finish(order)
    assert (shop.in_stock("CARD"), shop.owed()) == ((1, 16_500) if follows else (0, 8_500))
    assert ([one.state.value for one in shop.procurements(order)], states(shop.stands(order))[0]) == (["done"], "FULFILLED")
    assert shop.findings() == []


def test_where_an_event_in_the_same_words_is_taken_for_a_repeat_the_poll_fetches_the_codes(desk: Desk) -> None:
    """Finperks signs no event's id: of two events in the same words the second one counts for nothing."""
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    order = shop.order("CARD")
    shop.visit(order)
    theirs = fake.sold[0].id
    assert (desk.take(theirs=theirs), desk.follow()) == (True, "done")  # it says completed, and the order does not, yet
    shop.visit(order)
    fake.ready()
    assert desk.take(theirs=theirs) is False
    (waiting,) = shop.procurements(order)
    assert 0 < waiting.wake_at - to_micros(shop.clock.now()) <= QUICK.poll_seconds_max * 1_000_000
    assert (states(shop.finish(order))[0], shop.shown(order)) == ("FULFILLED", fake.codes)


def test_a_webhook_that_says_delivered_is_not_believed(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A", "accept")
    order = shop.order("CARD")
    shop.visit(order)
    desk.take(theirs=fake.sold[0].id)
    desk.follow()
    shop.visit(order)
    assert (states(shop.stands(order)), fake.looked) == (("PROCESSING", ["PROCESSING"]), 1)


def test_old_ones_are_deleted_but_for_those_that_somebody_must_see(desk: Desk) -> None:
    shop, fake = desk.shop, desk.shop.supplier("A")
    shop.bought("CARD")
    desk.take(theirs=fake.sold[0].id)
    desk.follow()
    desk.take(theirs="nobodys")
    with shop.db.transaction() as tx:
        assert [purge_notices(tx, 0), purge_notices(tx, 4_000_000_000_000)] == [0, 1]
    assert [one.supplier_order_id for one in desk.rows()] == ["nobodys"]


# --- whose webhooks we take ---------------------------------------------------------------------------------------------


@pytest.fixture
def fox(shop: Supplied) -> Supplied:
    new = NewSupplier("fox", "foxreload_v1", Mode.LIVE, "USD", {"base_url": "https://fox.example"})
    create_supplier(shop.db, shop.clock, shop.audit, SEALER, new, {"api_key": Secret("k")}, actor="test")
    return shop


def given(shop: Supplied, text: str, name: str = "fox", **options: Any) -> Any:
    return set_receiver(shop.db, shop.clock, shop.audit, SEALER, name, Secret(text), actor="test", **options)


def test_two_secrets_are_valid_while_one_is_rotated(fox: Supplied) -> None:
    first = given(fox, "one")
    second = given(fox, "two", overlap=timedelta(hours=1))
    assert (first.token, second.secrets) == (second.token, 2)
    with fox.db.read() as tx:
        opened = open_receiver(tx, SEALER, first.token, fox.clock.now())
        later = open_receiver(tx, SEALER, first.token, fox.clock.now() + timedelta(hours=2))
    assert ([one.reveal() for one in opened.secrets], [one.reveal() for one in later.secrets]) == (["two", "one"], ["two"])
    assert given(fox, "three", overlap=timedelta(0)).secrets == 1  # a secret that leaked is out at once


def test_secrets_are_sealed_and_gone_when_it_is_off(fox: Supplied) -> None:
    receiver = given(fox, "the-secret")
    with fox.db.read() as tx:
        kept = " ".join([repr(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables])
    assert "the-secret" not in kept
    remove_receiver(fox.db, fox.clock, fox.audit, "fox", actor="test")
    with fox.db.read() as tx:
        for look in (
            lambda: open_receiver(tx, SEALER, receiver.token, fox.clock.now()),
            lambda: find_receiver(tx, receiver.supplier_id, fox.clock.now()),
        ):
            with pytest.raises(ReceiverNotFound):
                look()


def test_only_whoever_sends_webhooks_can_be_received(fox: Supplied) -> None:
    fox.supplier("A")
    with pytest.raises(NoSupplierWebhooks):
        given(fox, "x", "A")
    for text, form in (("", "own"), (" x", "own"), ("x" * 501, "own"), ("no base64!", "standard"), ("x", "other")):
        with pytest.raises(InvalidReceiver):
            given(fox, text, form=form)
    assert given(fox, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "A", form="standard").format == "standard"


# --- what is asked for anew -------------------------------------------------------------------------------------------


class Noted(Jobs):
    """Keeps what would be enqueued, a key once."""

    is_prepared = True
    kept: dict[str, tuple[Any, ...]]

    def enqueue(self, tx: Any, name: str, queue: str, key: str, *args: Any, delay: float = 0.0, **options: Any) -> None:
        if name == "notice.anew":
            self.kept.setdefault(key, (*args, delay))


def test_low_balances_and_changed_products_are_asked_for_once_in_a_span(desk: Desk) -> None:
    desk.shop.supplier("A")
    desk.jobs = Noted(desk.shop.db)
    desk.jobs.kept = {}
    for number, event in enumerate(("balance.low", "balance.low", "product.updated", "products_changed", "order.created")):
        desk.take(key=str(number), event=event)
        desk.follow()
    assert [row.result for row in desk.rows()[::-1]] == ["balance asked for"] * 2 + ["products asked for"] * 2 + [
        "it is about no order"
    ]
    supplier = desk.shop.suppliers["A"].id
    assert [(of, what) for of, what, _ in desk.jobs.kept.values()] == [(supplier, "balance"), (supplier, "products")]
    assert all(0 < delay <= most for (*_, delay), most in zip(desk.jobs.kept.values(), (10, 120), strict=True))


def test_asking_anew_reads_the_balance_and_nothing_of_the_webhook(desk: Desk) -> None:
    shop = desk.shop
    fake = shop.supplier("A", abilities=replace(QUICK, has_balance=True))
    fake.balance = lambda: [Money.parse("12.00", "INR")]  # type: ignore[method-assign]  # this one has a balance
    of = shop.suppliers["A"].id
    assert ask_anew(shop.buying, shop.audit, 1_000, of, "balance") == "asked"
    assert shop.health().balance_minor == 12_00
    assert ask_anew(shop.buying, shop.audit, 1_000, of, "products") == "supplier_call_not_supported"
    assert ask_anew(shop.buying, shop.audit, 1_000, "sup_gone", "balance") == "not active"


# --- two looks at once ------------------------------------------------------------------------------------------------

REPEATED = replace(QUICK, lookup=Lookup.NONE, is_idempotent=True)


def test_a_look_that_is_under_way_is_not_joined_by_a_second_one(desk: Desk) -> None:
    shop = desk.shop
    fake = shop.supplier("A", "lost", "lost", abilities=REPEATED)  # asked after by placing it again
    order = shop.order("CARD")
    shop.visit(order)
    (attempt,) = shop.attempts(order)
    shop.frozen.advance(seconds=3)
    then: list[object] = []

    def told() -> None:
        desk.take(key="meanwhile", reference=attempt.reference)
        then.append(desk.follow())
        shop.visit(order)
        then.append(len(fake.asked))

    fake.meanwhile.append(told)
    shop.visit(order)
    assert then == ["waiting", 2]  # the purchase, and the one look that was under way
    assert (desk.follow(), fake.units) == ("done", 1)
    assert states(shop.finish(order)) == ("FULFILLED", ["FULFILLED"])


def test_the_second_no_that_a_match_needs_does_not_come_sooner(desk: Desk) -> None:
    shop = desk.shop
    fake = shop.supplier("A", "lost", abilities=replace(QUICK, lookup=Lookup.BY_MATCH, settle_seconds=0.0))
    fake.looks.extend(["hides", "hides"])
    order = shop.order("CARD")
    shop.visit(order)
    (attempt,) = shop.attempts(order)
    shop.frozen.advance(seconds=3)
    shop.visit(order)
    before = fake.looked
    desk.take(key="meanwhile", reference=attempt.reference)
    assert (before, desk.follow()) == (1, "done")
    shop.visit(order)
    assert (fake.looked, states(shop.stands(order))) == (1, ("PROCESSING", ["PROCESSING"]))


def test_an_address_that_nobody_was_given_is_nobodys(fox: Supplied) -> None:
    given(fox, "one")
    for token in ("", "\x00", "x\x00", "é", "\udcff", "x" * 500):
        with fox.db.read() as tx, pytest.raises(ReceiverNotFound):
            open_receiver(tx, SEALER, token, fox.clock.now())
