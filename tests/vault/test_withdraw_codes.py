"""Withdrawn codes are gone from every slice, and nothing else is."""

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from cardrail.vault import merge_spans
from cardrail.vault.withdraw import cut

Span = tuple[int, int]

spans = st.builds(lambda first, count: (first, first + count), st.integers(0, 60), st.integers(1, 20))


def codes(of: Iterable[Span]) -> list[int]:
    return [seq for first, end in of for seq in range(first, end)]


@given(spans, st.lists(spans, max_size=8))
def test_a_cut_span_is_what_is_kept_and_what_is_gone(whole: Span, unwanted: list[Span]) -> None:
    kept, gone = cut(whole, merge_spans(unwanted))
    assert sorted(codes(kept) + codes(gone)) == codes([whole])
    assert set(codes(gone)) == set(codes([whole])) & set(codes(unwanted))
    assert all(first < end for first, end in kept + gone)


@given(st.lists(spans, max_size=8))
def test_merged_spans_are_the_same_codes_once_in_ascending_order(some: list[Span]) -> None:
    merged = merge_spans(some)
    assert codes(merged) == sorted(set(codes(some)))
    assert all(one[1] < after[0] for one, after in itertools.pairwise(merged))
