"""Orders at the same moment: two processes on one database, a lane with a poisonous request, and commits whose answer was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from cardrail.catalog import CatalogCache
from cardrail.kernel import FrozenClock, OutcomeUnknown, Unavailable
from cardrail.orders import (
    Books,
    Buyer,
    CredentialChanged,
    IdempotencyConflict,
    NotCancellable,
    Order,
    OrderRequest,
    OrderState,
    Outcome,
    OutOfStock,
    PayOrder,
    Placed,
    PlaceOrder,
    Refused,
    Shop,
    find_orders,
    place_orders,
)
from cardrail.orders.decide import decide
from cardrail.orders.place import load
from cardrail.orders.save import save
from cardrail.storage import AuditLog, Database, Lane, Tx, bump_version, read_version, retrying
from tests.build import World, a_world, item, the_order, the_refusal, the_repeated
from tests.orders.build import cancel, findings, invalidate, refund, unpaid, unseeing

ON_POSTGRES = pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
"""SQLite has one writer: there a second one waits before it reads anything."""


@pytest.fixture
def other(world: World, db_url: str) -> Iterator[Shop]:
    """A second process on the same database: everything its own but the keys."""
    db = Database(db_url)
    yield Shop(db, world.clock, CatalogCache(db, world.clock), Books("second", AuditLog(b"a" * 32, "second/lane"), world.keys))
    db.close()


@contextmanager
def in_mid_batch(shop: Shop, *requests: OrderRequest) -> Iterator[Tx]:
    """A process that has written its batch and not yet committed it."""
    with shop.db.transaction() as tx:
        save(tx, shop.books, decide(requests, load(tx, shop, requests)))
        yield tx


def wait_for_somebody_who_waits(db: Database) -> None:
    """Until a statement of this database waits for a lock."""
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with db.read() as tx:
            if tx.execute(waiting).scalar_one():
                return
        time.sleep(0.005)
    raise AssertionError("nobody waits")


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs on threads that begin at the same moment."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def placing(shop: Shop, *requests: OrderRequest) -> Callable[[], list[Outcome]]:
    """What the lane does with a batch."""
    return lambda: retrying(lambda: place_orders(shop, requests))


# --- two processes ------------------------------------------------------------------------------------------------------


@ON_POSTGRES
def test_the_same_key_at_the_same_moment_makes_one_order(world: World, other: Shop) -> None:
    world.stock("TEA", 100)
    for number in range(50):
        commands = [world.command(item("TEA"), key=f"k{number}") for _ in range(2)]
        outcomes = [one for (one,) in together(placing(world.shop, commands[0]), placing(other, commands[1]))]
        outcomes.sort(key=lambda one: not isinstance(one, Placed))
        first = the_order(outcomes[0])
        assert the_repeated(outcomes[1]) == first.id
        assert world.codes(world.reveal(first.id)) == world.codes(first)
    assert (world.in_stock("TEA"), len(find_orders(world.db, limit=200)), findings(world)) == (50, 50, [])


@ON_POSTGRES
@pytest.mark.parametrize("quantity", [1, 2])
def test_a_key_that_somebody_else_binds_meanwhile_is_his(world: World, other: Shop, quantity: int) -> None:
    penniless = world.a_partner("INR")  # without a wallet, so there is no row on which one of the two would wait first
    first = world.command(item("TEA"), key="k", buyer=penniless, pay_later=True)
    second = world.command(item("TEA", quantity), key="k", buyer=penniless, pay_later=True)
    with ThreadPoolExecutor(1) as pool:
        with in_mid_batch(other, first):
            answer = pool.submit(placing(world.shop, second))
            wait_for_somebody_who_waits(world.db)
        (outcome,) = answer.result(60)
    if quantity == 1:
        assert the_repeated(outcome) == first.order_id
    else:
        assert isinstance(the_refusal(outcome), IdempotencyConflict)
    assert [one.id for one in find_orders(world.db)] == [first.order_id]


@ON_POSTGRES
def test_a_key_that_was_revoked_while_its_order_waited_for_the_wallet_buys_nothing(world: World, other: Shop) -> None:
    world.stock("TEA", 2)
    with world.db.read() as tx:
        buyer = replace(world.partner, access_version=read_version(tx, "access"))
    with ThreadPoolExecutor(1) as pool:
        with in_mid_batch(other, world.command(item("TEA"))):
            answer = pool.submit(placing(world.shop, world.command(item("TEA"), buyer=buyer)))
            wait_for_somebody_who_waits(world.db)
            with world.db.transaction() as tx:
                bump_version(tx, "access")
        (outcome,) = answer.result(60)
    assert isinstance(the_refusal(outcome), CredentialChanged)
    assert (world.in_stock("TEA"), findings(world)) == (1, [])


@ON_POSTGRES
def test_taking_back_locks_lots_in_the_order_of_their_ids(world: World) -> None:
    skus = ("TEA", "BOOKS")
    for sku in skus:
        world.stock(sku, 1)
    command = world.command(*map(item, reversed(skus)), buyer=unseeing(world.partner))  # the later lot is the first line
    order = the_order(world.place(command)[0])
    later, earlier = [one.allocations[0].lot_id for one in order.items]
    assert earlier < later
    lock = sa.text("SELECT id FROM lots WHERE id = :id FOR UPDATE NOWAIT")
    with ThreadPoolExecutor(1) as pool:
        with world.db.transaction() as tx:
            tx.execute(lock, {"id": earlier})
            answer = pool.submit(invalidate, world, order.id)
            wait_for_somebody_who_waits(world.db)
            tx.execute(lock, {"id": later})  # nobody has it yet
        assert answer.result(60).state is OrderState.INVALIDATED
    assert findings(world) == []


@ON_POSTGRES
def test_two_lanes_sell_the_last_codes_once(world: World, other: Shop) -> None:
    buyers = [world.a_partner("INR", "10000.00") for _ in range(2)]
    for number in range(5):
        stocked = set(world.stock("TEA", [f"{number}-{n}" for n in range(7)]))
        batches = [[world.command(item("TEA"), buyer=buyer) for _ in range(6)] for buyer in buyers]
        outcomes = [one for found in together(placing(world.shop, *batches[0]), placing(other, *batches[1])) for one in found]
        sold = [code for one in outcomes if isinstance(one, Placed) for code in world.codes(one.order)]
        assert sorted(sold) == sorted(stocked)
        assert [type(the_refusal(one)) for one in outcomes if isinstance(one, Refused)] == [OutOfStock] * 5
    assert findings(world) == []


class RivalDied(Exception):
    """The other process is gone before it could commit."""


def die() -> None:
    raise RivalDied


@ON_POSTGRES
@pytest.mark.parametrize("commits", [True, False])
def test_what_a_competitor_left_is_found_before_anybody_is_refused(world: World, other: Shop, commits: bool) -> None:
    soon = int(world.clock.now().timestamp() + 3_600) * 1_000_000
    world.stock("TEA", ["FIRST"], expires_at=soon)
    world.stock("TEA", ["LATER"])
    rival = world.a_partner("INR", "1000.00")
    with ThreadPoolExecutor(1) as pool:
        with suppress(RivalDied), in_mid_batch(other, world.command(item("TEA"), buyer=rival)):
            answer = pool.submit(placing(world.shop, world.command(item("TEA"))))
            wait_for_somebody_who_waits(world.db)
            if not commits:
                die()
        (outcome,) = answer.result(60)
    assert world.codes(the_order(outcome)) == ["LATER" if commits else "FIRST"]
    assert findings(world) == []


@ON_POSTGRES
def test_placing_paying_and_taking_back_do_not_lock_each_other_out(world: World, other: Shop) -> None:
    world.stock("TEA", 400, cost="80")
    buyers = [world.partner, world.a_partner("INR", "100000.00")]
    waiting = {buyer.partner_id: [unpaid(world, buyer=buyer) for _ in range(24)] for buyer in buyers}
    seen = {buyer.partner_id: [world.order("TEA", buyer=unseeing(buyer)) for _ in range(24)] for buyer in buyers}

    def sell(shop: Shop) -> Callable[[], None]:
        def run() -> None:
            for number in range(24):
                pays = [PayOrder(waiting[buyer.partner_id][number].id, buyer) for buyer in buyers] if shop is other else []
                place_orders(shop, [*pays, *[world.command(item("TEA", 2), buyer=buyer) for buyer in buyers]])

        return run

    def change(buyer: Buyer) -> Callable[[], None]:
        def run() -> None:
            for number in range(24):
                refund(world, seen[buyer.partner_id][number].id, 100)
                invalidate(world, seen[buyer.partner_id][number].id, buyer)
                with suppress(NotCancellable):  # it was paid before
                    cancel(world, waiting[buyer.partner_id][number].id, buyer)

        return run

    together(sell(world.shop), sell(other), *map(change, buyers))  # nobody tries again: whoever loses a lock raises
    with world.db.read() as tx:
        assert tx.execute(sa.text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")).scalar_one() == 0
    assert findings(world) == []


# --- a lane ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_keys", [True, False])
def test_of_a_batch_of_64_with_a_poisonous_request_63_go_through(world: World, with_keys: bool) -> None:
    world.stock("TEA", 100)
    sizes: list[int] = []

    def handle(requests: Sequence[OrderRequest]) -> list[Outcome]:
        sizes.append(len(requests))
        return place_orders(world.shop, requests)

    lane: Lane[OrderRequest, Outcome] = Lane(world.db, handle, weigh=lambda request: request.units)
    commands = [world.command(item("TEA"), key=f"k{n}" if with_keys else None) for n in range(64)]
    commands[41] = replace(commands[41], details='"\ud800"')  # half a character: no database takes it
    futures = [lane.submit(one) for one in commands]
    with capture_logs() as logged:
        lane.start()
        with pytest.raises(UnicodeEncodeError):
            futures.pop(41).result(60)
        assert all(the_order(one.result(60)).state is OrderState.FULFILLED for one in futures)
        lane.stop()
    assert [one["event"] for one in logged] == ["request failed alone"]
    assert sizes[0] == 64
    assert (world.in_stock("TEA"), world.balance(), findings(world)) == (37, "994015.00", [])


def test_a_batch_is_refused_whole_while_the_database_is_away_and_goes_through_after(world: World, db_url: str) -> None:
    world.stock("TEA", 3)
    db = Unsteady(db_url)
    shop = replace(world.shop, db=db)
    lane: Lane[OrderRequest, Outcome] = Lane(db, lambda requests: place_orders(shop, requests))
    db.fails_on_commit = sa.exc.OperationalError("COMMIT", None, full_disk(db))
    futures = [lane.submit(world.command(item("TEA"))) for _ in range(3)]
    lane.start()
    for future in futures:
        with pytest.raises(Unavailable):
            future.result(60)
    assert (world.balance(), world.in_stock("TEA"), findings(world)) == ("1000000.00", 3, [])
    assert the_order(lane.submit(world.command(item("TEA"))).result(60)).state is OrderState.FULFILLED
    lane.stop()
    db.close()


# --- lost answers -----------------------------------------------------------------------------------------------------------


class Unsteady(Database):
    """A database that loses the answer of its next commit: one that took place, or one that did not."""

    loses: bool | None = None
    """True: the commit takes place. False: it does not."""
    fails_on_commit: Exception | None = None
    is_gone = False
    """Nothing can be looked up either."""
    meanwhile: Callable[[], Any] | None = None
    """What somebody else does before anybody can look."""

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        loses, self.loses = self.loses, None
        fails, self.fails_on_commit = self.fails_on_commit, None
        with super().transaction() as tx:
            yield tx
            if loses is False:
                raise OutcomeUnknown
            if fails is not None:
                raise fails
        if loses:
            raise OutcomeUnknown

    @contextmanager
    def read(self) -> Iterator[Tx]:
        if self.is_gone:
            raise Unavailable
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        with super().read() as tx:
            yield tx


@pytest.fixture
def unsteady(db_url: str, tmp_path: Path) -> Iterator[World]:
    """A shop on such a database."""
    db = Unsteady(db_url)
    yield a_world(db, tmp_path)
    db.close()


def full_disk(db: Database) -> Exception:
    """What the driver raises when the disk is full."""
    if not db.is_sqlite:
        import psycopg.errors

        return psycopg.errors.DiskFull("could not extend file")
    error = Exception("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"  # type: ignore[attr-defined]  # as the driver's own has it
    return error


def losing(world: World, *, took_place: bool) -> World:
    assert isinstance(world.db, Unsteady)
    world.db.loses = took_place
    return world


def test_a_commit_that_took_place_is_answered_though_its_answer_was_lost(unsteady: World) -> None:
    unsteady.stock("TEA", 2)
    order = losing(unsteady, took_place=True).order("TEA")
    assert len(unsteady.codes(order)) == 1
    assert (unsteady.balance(), unsteady.in_stock("TEA"), findings(unsteady)) == ("999905.00", 1, [])


def test_a_commit_that_did_not_take_place_is_told_so_and_leaves_nothing(unsteady: World) -> None:
    unsteady.stock("TEA", 2)
    command = unsteady.command(item("TEA"), key="k")
    with pytest.raises(OutcomeUnknown):
        losing(unsteady, took_place=False).place(command)
    assert (unsteady.balance(), unsteady.in_stock("TEA"), find_orders(unsteady.db)) == ("1000000.00", 2, [])
    assert the_order(unsteady.place(unsteady.command(item("TEA"), key="k"))[0]).state is OrderState.FULFILLED


@pytest.mark.parametrize("took_place", [True, False])
def test_a_payment_whose_answer_was_lost_is_looked_up_too(unsteady: World, took_place: bool) -> None:
    unsteady.stock("TEA", 2)
    order = unpaid(unsteady)
    if took_place:
        assert the_order(losing(unsteady, took_place=True).pay(order.id)).charged_minor == 9_500
    else:
        with pytest.raises(OutcomeUnknown):
            losing(unsteady, took_place=False).pay(order.id)
    assert (unsteady.in_stock("TEA"), findings(unsteady)) == (1 if took_place else 2, [])


@pytest.mark.parametrize("with_placing", [True, False])
def test_a_payment_that_somebody_else_made_meanwhile_does_not_count_as_ours(
    unsteady: World, db_url: str, with_placing: bool
) -> None:
    unsteady.stock("TEA", 3)
    order = unpaid(unsteady)
    rival = Database(db_url)
    later = FrozenClock(unsteady.clock.now() + timedelta(microseconds=0 if with_placing else 1))
    shop = Shop(rival, later, CatalogCache(rival, later), Books("second", AuditLog(b"a" * 32, "second/lane"), unsteady.keys))
    pays = PayOrder(order.id, unsteady.partner)
    db = losing(unsteady, took_place=False).db
    assert isinstance(db, Unsteady)
    db.meanwhile = lambda: the_order(place_orders(shop, [pays])[0])
    with pytest.raises(OutcomeUnknown):
        unsteady.place(pays, *[unsteady.command(item("TEA"), key="k")] * with_placing)
    rival.close()
    assert (unsteady.balance(), unsteady.in_stock("TEA"), findings(unsteady)) == ("999905.00", 2, [])


@pytest.mark.parametrize("took_place", [True, False])
def test_a_batch_that_writes_nothing_is_answered_whatever_became_of_its_commit(unsteady: World, took_place: bool) -> None:
    unsteady.stock("TEA", 1)
    first = unsteady.order("TEA", key="k")
    again, refused = losing(unsteady, took_place=took_place).place(
        unsteady.command(item("TEA"), key="k"), unsteady.command(item("TEA"))
    )
    assert the_repeated(again) == first.id
    assert isinstance(the_refusal(refused), OutOfStock)


def test_where_nothing_can_be_looked_up_nobody_says_that_nothing_was_changed(unsteady: World) -> None:
    unsteady.stock("TEA", 1)
    command: PlaceOrder = unsteady.command(item("TEA"))
    db = losing(unsteady, took_place=True).db
    assert isinstance(db, Unsteady)
    db.is_gone = True
    with pytest.raises(OutcomeUnknown):
        unsteady.place(command)
    db.is_gone = False
    placed: list[Order] = find_orders(unsteady.db)
    assert [one.id for one in placed] == [command.order_id]
