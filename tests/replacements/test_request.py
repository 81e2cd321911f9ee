"""Which codes may be claimed: the partner's own, delivered and seen, in time, once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cardrail.kernel import Mode
from cardrail.orders import (
    CodeAt,
    CodePositionNotFound,
    IdempotencyConflict,
    InvalidReplacement,
    OrderNotFound,
    ReplacementOpen,
    ReplacementPolicy,
    ReplacementReason,
    ReplacementRefused,
    ReplacementState,
    RequestReplacement,
    UnitRefunded,
    list_replacements,
    refund_order,
    request_replacements,
)
from tests.orders.build import unseeing
from tests.replacements.build import NODE, Claims


def refused(shop: Claims, *args: Any, **facts: Any) -> str:
    """Why a claim is refused."""
    with pytest.raises(ReplacementRefused) as found:
        shop.claim(*args, **facts)
    return str(found.value.facts["because"])


def test_a_claim_waits_for_its_turn_and_is_told_of(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    one = shop.claim(order, 2, evidence="it says: used", links=("https://shop.example/t/1",))
    assert (one.state, one.line, one.position, one.reason) == (ReplacementState.REQUESTED, 1, 2, "already_redeemed")
    assert (shop.told(), shop.findings()) == (["replacement.requested"], [])


def test_several_codes_of_an_order_are_claimed_at_once_or_none_of_them(shop: Claims) -> None:
    shop.stock("TEA", 3)
    order = shop.sold("TEA", 3)
    with pytest.raises(CodePositionNotFound):
        shop.claim(order, 1, 4)
    shop.claim(order, 1, 3)
    assert len(list_replacements(shop.db, shop.partner, order_id=order.id, limit=10)) == 2


def test_what_was_not_delivered_or_not_seen_is_not_claimed(shop: Claims) -> None:
    shop.stock("TEA", 1)
    unseen = shop.order("TEA", buyer=unseeing(shop.partner))
    unpaid = shop.order("TEA", pay_later=True)
    assert refused(shop, unseen) == "never_revealed"
    assert refused(shop, unpaid) == "order_not_delivered"


def test_a_claim_comes_in_time_or_not_at_all(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    shop.later(days=60)
    shop.claim(order, 1)
    shop.later(seconds=1)
    assert refused(shop, order, 2) == "window_over"


def test_an_open_claim_keeps_its_code_from_another(shop: Claims) -> None:
    shop.stock("TEA", 1)
    order = shop.sold()
    first = shop.claim(order)
    with pytest.raises(ReplacementOpen) as found:
        shop.claim(order)
    assert found.value.facts["replacement_id"] == first.id


def test_another_partners_order_is_unknown_and_so_is_a_live_one_to_a_test_key(shop: Claims) -> None:
    shop.stock("TEA", 1)
    order = shop.sold()
    for stranger in (shop.a_partner("INR", "10.00"), replace(shop.partner, mode=Mode.TEST)):
        with pytest.raises(OrderNotFound):
            shop.claim(order, buyer=stranger)


def test_what_was_paid_back_is_not_claimed(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    refund_order(shop.db, shop.clock, shop.audit, order.id, None, node=NODE, because="goodwill", actor="cli")
    with pytest.raises(UnitRefunded):
        shop.claim(order)


def test_a_unit_is_claimed_so_often_and_no_oftener(shop: Claims) -> None:
    shop.policy = ReplacementPolicy(unasked="stock", per_unit_max=2)
    shop.stock("TEA", 5)
    order = shop.sold()
    for _ in range(2):
        assert shop.settle(shop.claim(order)).state is ReplacementState.REPLACED
    assert refused(shop, order) == "too_many_claims"


def test_a_repeated_key_gets_the_first_claims_and_another_content_is_a_conflict(shop: Claims) -> None:
    shop.stock("TEA", 2)
    order = shop.sold("TEA", 2)
    command = RequestReplacement(order.id, shop.partner, (CodeAt(1, 1), CodeAt(1, 2)), ReplacementReason.EXPIRED, key="k-1")
    first, is_new = request_replacements(shop.desk, command)
    again, is_repeat_new = request_replacements(shop.desk, command)
    assert ([one.id for one in first], is_new) == ([one.id for one in again], True)
    assert not is_repeat_new
    with pytest.raises(IdempotencyConflict):
        request_replacements(shop.desk, replace(command, reason=ReplacementReason.OTHER))


@pytest.mark.parametrize(
    "facts",
    [{"codes": ()}, {"codes": (CodeAt(1, 1),) * 2}, {"evidence": "x" * 4_001}, {"links": ("https://x.example",) * 11}],
)
def test_what_is_out_of_bounds_is_refused(shop: Claims, facts: dict[str, Any]) -> None:
    shop.stock("TEA", 1)
    command = RequestReplacement(shop.sold().id, shop.partner, (CodeAt(1, 1),), ReplacementReason.OTHER)
    with pytest.raises(InvalidReplacement):
        request_replacements(shop.desk, replace(command, **facts))


def test_of_twenty_claims_for_one_code_at_once_one_is_taken(shop: Claims) -> None:
    shop.stock("TEA", 1)
    order = shop.sold()
    start, came = threading.Barrier(20), []

    def one() -> None:
        start.wait()
        try:
            came.append(shop.claim(order).id)
        except ReplacementOpen:
            came.append("")

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(came), len([one for one in came if one]), shop.findings()) == (20, 1, [])


def test_a_window_of_its_own_goes_before_the_operators(shop: Claims) -> None:
    shop.stock("TEA", 1)
    order = shop.sold()
    shop.later(days=61)
    assert shop.claim(order, window=timedelta(days=90)).state is ReplacementState.REQUESTED
