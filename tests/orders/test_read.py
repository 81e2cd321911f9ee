"""Reading orders: what is another's is unknown, and every look at a code is noted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardrail.kernel import FrozenClock, Mode, Reference, new_order_id, to_micros
from cardrail.orders import (
    Order,
    OrderFilter,
    OrderNotFound,
    OrderState,
    ended_at,
    find_bound,
    find_orders,
    get_order,
    list_orders,
    refund_order,
    slice_orders,
)
from cardrail.orders.read import PageTotals
from tests.build import NODE, World, item, the_order, the_repeated
from tests.orders.build import cancel, in_test_mode, invalidate, reveals, stands, unpaid, unseeing

EVERYTHING = OrderFilter()


def listed(world: World, filters: OrderFilter = EVERYTHING, before: str | None = None, limit: int = 50) -> list[Order]:
    return list_orders(world.db, world.partner, filters, before=before, limit=limit)


def test_an_order_is_read_as_it_was_answered(world: World) -> None:
    world.stock("TEA", 3)
    world.stock("SHOES", 1, face="250")
    lines = (item("TEA", 5), item("SHOES", 1, "250", player="7"), item("BOOKS"))
    command = world.command(
        *lines[:1], item("SHOES", 1, "250"), lines[2], reference=Reference("A-1"), customer_id="c", details={"a": 1}
    )
    answered = the_order(world.place(command)[0])
    for one in answered.items:
        one.units.clear()  # a read without codes
    assert stands(world, answered.id) == answered


@pytest.mark.parametrize("read", [get_order, None])
def test_anothers_order_and_one_of_the_other_mode_are_unknown(world: World, read: object) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA")
    for stranger in (world.a_partner("INR"), in_test_mode(world.partner)):
        with pytest.raises(OrderNotFound):
            get_order(world.db, stranger, order.id) if read else world.reveal(order.id, stranger)
    with pytest.raises(OrderNotFound):
        get_order(world.db, world.partner, new_order_id()) if read else world.reveal(new_order_id())


def test_a_list_holds_only_the_partners_own_of_this_mode(world: World) -> None:
    mine = unpaid(world)
    unpaid(world, buyer=world.a_partner("INR"))
    unpaid(world, buyer=in_test_mode(world.partner))
    assert [one.id for one in listed(world)] == [mine.id]


def test_a_list_is_read_page_by_page_newest_first(world: World) -> None:
    ids = [unpaid(world).id for _ in range(5)]
    first = [one.id for one in listed(world, limit=2)]  # one more than asked for: there is another page
    assert first == ids[:1:-1]
    assert [one.id for one in listed(world, before=first[1], limit=2)] == [ids[2], ids[1], ids[0]]


def test_a_list_is_narrowed_by_what_is_known_of_the_order(world: World) -> None:
    world.stock("TEA", 1)
    early = world.order("TEA", reference=Reference("A-1"), customer_id="c1")
    world.frozen.advance(hours=1)
    late = unpaid(world, reference=Reference("A-2"), customer_id="c2")
    now = to_micros(world.clock.now())
    for filters in (
        OrderFilter(state=OrderState.FULFILLED),
        OrderFilter(reference="A-1"),
        OrderFilter(customer_id="c1"),
        OrderFilter(until=now),
    ):
        assert [one.id for one in listed(world, filters)] == [early.id]
    assert [one.id for one in listed(world, OrderFilter(since=now))] == [late.id]
    assert listed(world, OrderFilter(reference="A-1", customer_id="c2")) == []


def test_the_operator_sees_the_orders_of_all(world: World) -> None:
    other = world.a_partner("INR")
    mine, theirs = unpaid(world), unpaid(world, buyer=other)
    cancel(world, theirs.id, other)
    assert {one.id for one in find_orders(world.db)} == {mine.id, theirs.id}
    assert [one.id for one in find_orders(world.db, partner_id=other.partner_id)] == [theirs.id]
    assert [one.id for one in find_orders(world.db, state=OrderState.PLACED)] == [mine.id]
    assert [one.id for one in find_orders(world.db, ids=[mine.id])] == [mine.id]


def test_every_look_at_codes_says_who_saw_which_and_from_where(world: World) -> None:
    world.stock("TEA", ["A-1", "A-2"])
    world.stock("TEA", ["B-1"])
    buyer = replace(world.partner, actor="key_one", origin="192.0.2.7")
    order = world.order("TEA", 3, buyer=buyer)
    world.reveal(order.id, replace(buyer, actor="key_two", origin="192.0.2.8"))
    ranges = [[one.lot_id, one.first_seq, one.count] for one in order.items[0].allocations]
    assert [count for _, _, count in ranges] == [2, 1]
    assert reveals(world) == [
        [order.id, who, where, *one] for who, where in (("key_one", "192.0.2.7"), ("key_two", "192.0.2.8")) for one in ranges
    ]


def test_the_audit_log_holds_no_code(world: World) -> None:
    world.stock("TEA", ["PLAIN-SECRET"])
    world.reveal(world.order("TEA").id)
    assert "PLAIN-SECRET" not in repr(reveals(world))


def test_a_key_that_may_not_see_codes_gets_none_and_no_look_is_noted(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA", buyer=unseeing(world.partner))
    assert (order.items[0].delivered, order.items[0].units, order.revealed_at) == (1, [], None)
    assert (stands(world, order.id).revealed_at, reveals(world)) == (None, [])


def test_the_first_look_is_remembered(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA", buyer=unseeing(world.partner))
    world.frozen.advance(hours=1)
    seen = to_micros(world.clock.now())
    world.reveal(order.id)
    world.frozen.advance(hours=1)
    world.reveal(order.id)
    assert (stands(world, order.id).revealed_at, len(reveals(world))) == (seen, 2)


def test_where_there_is_nothing_to_see_no_look_is_noted(world: World) -> None:
    assert world.reveal(unpaid(world).id).items[0].units == []
    assert reveals(world) == []


def test_codes_from_many_lots_are_read_in_the_order_in_which_they_were_first_shown(world: World) -> None:
    for name in "ABCD":
        world.stock("TEA", [f"{name}-{n}" for n in range(3)])
    world.order("TEA", 2)  # so that the first lot is taken from its middle
    order = world.order("TEA", 9, key="k1")
    assert len(order.items[0].allocations) == 4
    again = the_repeated(world.place(world.command(item("TEA", 9), key="k1"))[0])
    assert world.codes(world.reveal(again)) == world.codes(order)


def test_codes_that_came_back_are_read_in_the_order_in_which_they_were_shown(world: World) -> None:
    for name in "ABC":
        world.stock("TEA", [f"{name}-{n}" for n in range(2)])
    sold = [world.order("TEA", 1, buyer=unseeing(world.partner)) for _ in range(4)]
    for one in (sold[3], sold[0]):  # the second code of B and the first of A: slices of their own
        invalidate(world, one.id)
    order = world.order("TEA", 4)
    assert [(one.first_seq, one.count) for one in order.items[0].allocations] == [(0, 1), (1, 1), (0, 2)]
    assert world.codes(world.reveal(order.id)) == world.codes(order)


@pytest.mark.parametrize(("unpaid_only", "found"), [(None, 2), (True, 1), (False, 1)])
def test_pages_by_number_tell_unpaid_orders_from_those_that_wait_otherwise(
    world: World, unpaid_only: bool | None, found: int
) -> None:
    test = in_test_mode(world.partner)
    unpaid(world, buyer=test)
    world.order("TEST_PENDING", buyer=test)
    page, total = slice_orders(world.db, test, OrderFilter(unpaid=unpaid_only), states=[OrderState.PLACED], offset=0, limit=10)
    assert (len(page), total) == (found, found)


def test_an_order_is_found_by_its_key_by_its_partner_only(world: World) -> None:
    world.stock("TEA", 1)
    order = world.order("TEA", key="k-1")
    assert find_bound(world.db, world.partner, "k-1") == order.id
    assert find_bound(world.db, world.partner, "k-2") is None
    assert find_bound(world.db, world.a_partner("INR"), "k-1") is None


def test_when_an_order_ended_does_not_move_with_what_comes_after(world: World) -> None:
    world.stock("TEA", 2)
    done, later = world.order("TEA"), world.order("TEA")
    waiting = world.order("TEST_PENDING", buyer=replace(world.partner, mode=Mode.TEST))
    ended = done.created_at
    assert isinstance(world.clock, FrozenClock)
    world.clock.advance(hours=1)
    refund_order(world.db, world.clock, world.audit, done.id, 100, node=NODE, because="test", actor="cli")
    found = ended_at(world.db, [*find_orders(world.db, ids=[done.id, later.id, waiting.id])])
    assert found == {done.id: ended, later.id: later.created_at}


def test_a_list_is_narrowed_to_states_and_to_a_wallet(world: World) -> None:
    buyer = replace(world.partner, mode=Mode.TEST)
    ids = {sku: world.order(sku, buyer=buyer).id for sku in ("TEST_OK", "TEST_REFUND", "TEST_PENDING")}
    some = list_orders(
        world.db, buyer, OrderFilter(currency="INR"), states=[OrderState.FAILED, OrderState.PLACED], before=None, limit=9
    )
    assert [one.id for one in some] == [ids["TEST_PENDING"], ids["TEST_REFUND"]]
    assert list_orders(world.db, buyer, OrderFilter(currency="USD"), before=None, limit=9) == []


def test_a_list_counts_old_orders_once_and_new_ones_each_time(world: World) -> None:
    world.stock("TEA", 5)
    totals = PageTotals(settled_millis=-60_000)  # all that is there already is old
    fresh = PageTotals(settled_millis=60_000)
    for expected in (1, 2, 3):
        world.order("TEA")
        with world.db.read() as tx:
            assert fresh.count(tx, world.partner, "all", ()) == expected
            assert totals.count(tx, world.partner, "all", ()) == 1
    nobody = world.a_partner("INR")
    with world.db.read() as tx:
        assert fresh.count(tx, nobody, "all", ()) == 0


def test_a_list_that_was_counted_while_the_clock_was_ahead_counts_what_comes_after(world: World) -> None:
    world.stock("TEA", 5)
    totals = PageTotals(settled_millis=-60_000)
    for expected in (1, 2):
        world.order("TEA")
        with world.db.read() as tx:
            assert totals.count(tx, world.partner, "all", ()) == expected
        totals._settled = 60_000  # as after a clock that was two minutes ahead was set right


def test_a_page_far_back_is_what_stands_there(world: World) -> None:
    world.stock("TEA", 5)
    ids = [world.order("TEA").id for _ in range(5)][::-1]
    for offset in range(6):
        page, total = slice_orders(world.db, world.partner, OrderFilter(), offset=offset, limit=2)
        assert ([one.id for one in page], total) == (ids[offset : offset + 2], 5)
