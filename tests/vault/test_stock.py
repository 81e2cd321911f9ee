"""What is taken first, and what it cost: the pure rules over slices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.kernel import Mode
from cardrail.vault import NEVER, Allocation, CodeState, OpenSlice, Stock, code_state, cost_of


def a_slice(
    lot: str = "lot_A", head: int = 0, tail: int = 10, expires_at: int = NEVER, *, denomination: str = "den", face: int = 5
) -> OpenSlice:
    return OpenSlice(f"slc_{lot}_{head}", lot, denomination, face, Mode.LIVE, expires_at, head, tail, False, b"", 1, 0, 100, None)


def firsts(taken: list[Allocation]) -> list[tuple[str, int, int]]:
    return [(one.lot_id, one.first_seq, one.count) for one in taken]


def test_the_soonest_expiry_is_taken_first() -> None:
    stock = Stock([a_slice("lot_A"), a_slice("lot_C", expires_at=300), a_slice("lot_B", expires_at=500)], 100)
    assert firsts(stock.take("den", 5, 25)) == [("lot_C", 0, 10), ("lot_B", 0, 10), ("lot_A", 0, 5)]


def test_of_equal_expiries_the_oldest_lot_is_taken_first() -> None:
    stock = Stock([a_slice("lot_B"), a_slice("lot_A")], 0)
    assert firsts(stock.take("den", 5, 11)) == [("lot_A", 0, 10), ("lot_B", 0, 1)]


def test_an_expired_slice_does_not_exist() -> None:
    stock = Stock([a_slice(expires_at=100)], 100)
    assert stock.available("den", 5) == 0
    assert stock.take("den", 5, 1) == []


def test_fewer_are_taken_where_there_are_fewer_and_it_is_noted() -> None:
    stock = Stock([a_slice(tail=3)], 0)
    assert firsts(stock.take("den", 5, 7)) == [("lot_A", 0, 3)]
    assert stock.was_short


def test_another_face_value_is_another_shelf() -> None:
    stock = Stock([a_slice(face=5), a_slice("lot_B", face=10)], 0)
    assert firsts(stock.take("den", 10, 1)) == [("lot_B", 0, 1)]
    assert stock.available("den", 5) == 10


def test_only_moved_heads_are_written() -> None:
    stock = Stock([a_slice("lot_A", 4), a_slice("lot_B")], 0)
    stock.take("den", 5, 2)
    assert stock.moved() == [(6, "slc_lot_A_4", 4)]


@given(
    tails=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4)), max_size=8),
    wanted=st.lists(st.integers(1, 7), max_size=8),
)
def test_nothing_is_taken_twice_or_out_of_order(tails: list[tuple[int, int]], wanted: list[int]) -> None:
    slices = [a_slice(f"lot_{i}", tail=tail, expires_at=expiry * 100) for i, (tail, expiry) in enumerate(tails)]
    stock = Stock(slices, 0)
    slow = sorted((one.expires_at, one.lot_id, seq) for one in slices for seq in range(one.head, one.tail))
    for count in wanted:
        taken = stock.take("den", 5, count)
        flat = [(one.expires_at, one.lot_id, seq) for one in taken for seq in range(one.first_seq, one.first_seq + one.count)]
        assert flat == slow[:count]
        slow = slow[count:]
        assert stock.available("den", 5) == len(slow)
    assert sum(new - old for new, _, old in stock.moved()) == sum(tail for tail, _ in tails) - len(slow)


@dataclass
class LotCost:
    lot_cost_minor: int
    lot_count: int


@given(cost=st.integers(0, 10**12), count=st.integers(1, 500), cuts=st.lists(st.integers(0, 500), max_size=6))
def test_the_cost_of_the_parts_is_the_cost_of_the_lot(cost: int, count: int, cuts: list[int]) -> None:
    bounds = sorted({0, count, *[one for one in cuts if one < count]})
    parts = [cost_of(LotCost(cost, count), low, high - low) for low, high in pairwise(bounds)]
    assert sum(parts) == cost


@pytest.mark.parametrize(
    ("exceptions", "is_unsold", "is_final", "word"),
    [
        ([], True, False, CodeState.AVAILABLE),
        (["returned"], True, False, CodeState.AVAILABLE),  # came back, on sale again
        ([], False, False, CodeState.ALLOCATED),
        ([], False, True, CodeState.DELIVERED),
        (["returned"], False, True, CodeState.DELIVERED),  # came back and was sold again
        (["claimed"], False, True, CodeState.COMPLETED),
        (["blocked"], False, False, CodeState.BLOCKED),
        (["revoked"], False, True, CodeState.REVOKED),
        (["claimed", "revoked"], False, True, CodeState.REVOKED),
        (["replaced"], False, True, CodeState.REVOKED),
    ],
)
def test_inventory_words(exceptions: list[str], is_unsold: bool, is_final: bool, word: CodeState) -> None:
    assert code_state(exceptions, is_unsold=is_unsold, is_final=is_final) is word
