"""Many at one wallet: the guard in the UPDATE holds, whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.ledger.build import Desk

from cardrail.kernel import new_order_id
from cardrail.ledger import AlreadyReversed, WalletOverdrawn
from cardrail.storage import Database, retrying

THREADS = 8


def at_once(work: Callable[[], object]) -> list[object]:
    """What each of eight threads got, started together: its answer or its exception."""
    answers: list[object] = []
    gate = threading.Barrier(THREADS)

    def run() -> None:
        gate.wait()
        try:
            answers.append(retrying(work))
        except Exception as error:  # the test looks at what it was
            answers.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_eight_buyers_at_a_wallet_that_can_pay_for_five(db: Database) -> None:
    desk = Desk(db)
    desk.credit(500)
    answers = at_once(lambda: desk.do(lambda tx: desk.sell_in(tx, 100, new_order_id())))
    refused = [one for one in answers if isinstance(one, WalletOverdrawn)]
    assert (answers.count(None), len(refused)) == (5, 3)
    assert desk.figures() == (0, 0, 0)
    assert desk.findings() == []


def test_one_credit_told_eight_times_at_once_is_made_once(db: Database) -> None:
    desk = Desk(db)
    answers = at_once(lambda: desk.credit(500, "line 7").transfer.id)
    assert len(set(answers)) == 1
    assert desk.figures() == (500, 500, 0)
    assert desk.findings() == []


def test_a_transfer_reversed_eight_times_at_once_is_reversed_once(db: Database) -> None:
    desk = Desk(db)
    desk.credit(1_000)
    made = desk.credit(100).transfer.id
    answers = at_once(lambda: desk.reverse(made).is_new)
    assert answers.count(True) == 1
    assert sum(isinstance(one, AlreadyReversed) for one in answers) == THREADS - 1
    assert desk.figures() == (1_000, 1_000, 0)


def test_a_hold_posted_eight_times_at_once_gives_no_more_than_it_holds(db: Database) -> None:
    desk = Desk(db)
    desk.credit(500)
    hold = desk.hold(500)
    answers = at_once(lambda: desk.post(hold, 100))
    assert answers.count(None) == 5
    assert desk.figures() == (0, 0, 0)
    assert desk.findings() == []
