"""The proof that closed statements are what the ledger says, and stand in one chain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from cardrail.ledger import wallet, wallet_sums
from cardrail.settlement import store
from cardrail.settlement.model import Statement
from cardrail.settlement.statements import hash_of
from cardrail.storage import Check, Tx

Fault = tuple[str, str, str]
"""Subject, what was expected, what was found."""


def _statements(tx: Tx) -> Iterator[Fault]:
    """Each statement computed again, from the transfers between its two cuts, and held against its row."""
    for one in map(store.statement_of, store.chains(tx)):
        found = hash_of(tx, one)
        if found != one.hash:
            yield one.id, f"the hash {one.hash}, as it was closed with", f"its movements and figures now hash to {found}"


def _chains(tx: Tx) -> Iterator[Fault]:
    """Each wallet's statements follow one another without a gap, and the last one's balance is the ledger's."""
    rows = map(store.statement_of, store.chains(tx))
    for (partner_id, currency, mode), chain in groupby(rows, key=lambda one: (one.partner_id, one.currency, one.mode)):
        before: Statement | None = None
        for one in chain:
            yield from _link(before, one)
            before = one
        assert before is not None
        sums = wallet_sums(tx, wallet(partner_id, currency, mode), after=0, through=before.through_position)
        if sums.change_minor != before.closing_minor:
            yield before.id, f"a closing balance of {sums.change_minor}, as the ledger's", f"{before.closing_minor}"
        if sums.held_minor != before.closing_held_minor:
            yield before.id, f"{sums.held_minor} held at its end, as in the ledger", f"{before.closing_held_minor}"


def _link(before: Statement | None, one: Statement) -> Iterator[Fault]:
    expected = (
        (before.number + 1, before.hash, before.closing_minor, before.closing_held_minor, before.through_position)
        if before
        else (1, None, 0, 0, 0)
    )
    found = (one.number, one.previous_hash, one.opening_minor, one.opening_held_minor, one.after_position)
    if found != expected:
        after = f"statement {before.id}" if before else "nothing"
        yield one.id, f"to follow {after}: number, hash, balances and position {expected}", f"{found}"
    if before is not None and one.period_from != before.period_to:
        yield one.id, f"a period from {before.period_to.isoformat()}", f"one from {one.period_from.isoformat()}"


STATEMENT_CHECKS: Final = (
    Check("statements", "Every closed statement is what it was closed with", _statements),
    Check("statement_chains", "Every wallet's statements are one chain, and equal the ledger", _chains),
)
"""Statements against the ledger."""
