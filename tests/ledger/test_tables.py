"""Rows of input and exact outcome, every refusal included: what stood in the wallet, what was done, what stands there then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.ledger.build import LIVE, NODE, Desk, eur

from cardrail.kernel import HoldId, Mode, TransferId, new_transfer_id
from cardrail.ledger import (
    AccountFull,
    AlreadyReversed,
    AmountNotPositive,
    CreditInUse,
    HoldExceeded,
    HoldNotFound,
    InsufficientFunds,
    LedgerError,
    NotReversible,
    Purpose,
    TransferNotFound,
    TransferPurpose,
    TransferReferenceUsed,
    WalletNotFound,
    WalletOverdrawn,
    account_parts,
    book,
    credit,
    platform,
    supplier_account,
    wallet,
)
from cardrail.storage import Database

Act = Callable[[Desk], object]

# fmt: off
DONE: list[tuple[str, list[Act], tuple[int, int, int]]] = [
    # what happened in turn                                                                    (balance, available, debt)
    ("nothing",                        [],                                                     (0, 0, 0)),
    ("a credit",                       [lambda d: d.credit(500)],                              (500, 500, 0)),
    ("two credits",                    [lambda d: d.credit(500), lambda d: d.credit(1)],       (501, 501, 0)),
    ("a credit told twice",            [lambda d: d.credit(500, "r"), lambda d: d.credit(500, "r")], (500, 500, 0)),
    ("one reference, credit and debit", [lambda d: d.credit(500, "r"), lambda d: d.debit(100, "r")], (400, 400, 0)),
    ("a debit told twice",             [lambda d: d.credit(500), lambda d: d.debit(100, "r"), lambda d: d.debit(100, "r")],
                                                                                               (400, 400, 0)),
    ("a debit of all",                 [lambda d: d.credit(500), lambda d: d.debit(500)],      (0, 0, 0)),
    ("a limit",                        [lambda d: d.limit(300)],                               (0, 300, 0)),
    ("a sale on credit",               [lambda d: d.limit(300), lambda d: d.sell(300)],        (-300, 0, 0)),
    ("a lower limit, still enough",    [lambda d: d.limit(300), lambda d: d.sell(100), lambda d: d.limit(100)], (-100, 0, 0)),
    ("a sale",                         [lambda d: d.credit(500), lambda d: d.sell(200)],       (300, 300, 0)),
    ("a refund",                       [lambda d: d.credit(500), lambda d: d.refund(d.sell(200), 200)], (500, 500, 0)),
    ("a hold",                         [lambda d: d.credit(500), lambda d: d.hold(200)],       (500, 300, 0)),
    ("a hold posted",                  [lambda d: d.credit(500), lambda d: d.post(d.hold(200), 200)], (300, 300, 0)),
    ("a hold posted in part",          [lambda d: d.credit(500), lambda d: d.post(d.hold(200), 50)], (450, 300, 0)),
    ("a hold voided",                  [lambda d: d.credit(500), lambda d: d.void(d.hold(200))], (500, 500, 0)),
    ("a debt",                         [lambda d: d.credit(500), lambda d: d.debit(700, allow_debt=True)], (-200, -200, 200)),
    ("a debt beyond the limit",        [lambda d: d.limit(50), lambda d: d.debit(70, allow_debt=True)], (-70, -20, 20)),
    ("a debt partly repaid",           [lambda d: d.credit(5), lambda d: d.debit(9, allow_debt=True), lambda d: d.credit(3)], (-1, -1, 1)),
    ("a debt repaid and more",         [lambda d: d.credit(5), lambda d: d.debit(9, allow_debt=True), lambda d: d.credit(7)], (3, 3, 0)),
    ("a debt covered by a limit",      [lambda d: d.credit(5), lambda d: d.debit(9, allow_debt=True), lambda d: d.limit(10)], (-4, 6, 0)),
    ("a debt that deepens", [lambda d: d.credit(5), lambda d: d.debit(9, allow_debt=True), lambda d: d.debit(1, allow_debt=True)],
                                                                                               (-5, -5, 5)),
    ("a credit reversed",              [lambda d: d.reverse(d.credit(500).transfer.id)],       (0, 0, 0)),
    ("a debit reversed",               [lambda d: d.credit(500), lambda d: d.reverse(d.debit(80).transfer.id)], (500, 500, 0)),
    ("a debt reversed",                [lambda d: d.credit(5), lambda d: d.reverse(d.debit(9, allow_debt=True).transfer.id)], (5, 5, 0)),
]

def spent_credit(desk: Desk) -> TransferId:
    made = desk.credit(500).transfer.id
    desk.sell(200)
    return made

REFUSED: list[tuple[str, Act, type[LedgerError]]] = [
    ("a credit of nothing",            lambda d: d.credit(0),                                  AmountNotPositive),
    ("a negative credit",              lambda d: d.credit(-1),                                 AmountNotPositive),
    ("a reference, another amount",    lambda d: (d.credit(10, "r"), d.credit(11, "r")),       TransferReferenceUsed),
    ("a debit reference, another amount", lambda d: (d.debit(10, "r"), d.debit(11, "r")),      TransferReferenceUsed),
    ("a credit beyond 64 bits",        lambda d: d.credit(2**62),                              AccountFull),
    ("a debit beyond 64 bits",         lambda d: d.debit(2**62 + 1, allow_debt=True),          AccountFull),
    ("a debit of nothing",             lambda d: d.debit(0),                                   AmountNotPositive),
    ("a debit beyond the balance",     lambda d: d.debit(101),                                 InsufficientFunds),
    ("a debit of held money",          lambda d: (d.hold(60), d.debit(41)),                    InsufficientFunds),
    ("a debit while in debt",          lambda d: (d.debit(101, allow_debt=True), d.debit(1)),  InsufficientFunds),
    ("a sale beyond the balance",      lambda d: d.sell(101),                                  WalletOverdrawn),
    ("a sale of held money",           lambda d: (d.hold(60), d.sell(41)),                     WalletOverdrawn),
    ("a sale while in debt",           lambda d: (d.debit(101, allow_debt=True), d.sell(1)),   WalletOverdrawn),
    ("a hold beyond the balance",      lambda d: d.hold(101),                                  WalletOverdrawn),
    ("a negative limit",               lambda d: d.limit(-1),                                  AmountNotPositive),
    ("a limit below what is used",     lambda d: (d.limit(50), d.sell(120), d.limit(19)),      CreditInUse),
    ("a limit below what is held",     lambda d: (d.limit(50), d.hold(120), d.limit(19)),      CreditInUse),
    ("a post of nothing",              lambda d: d.post(d.hold(10), 0),                        AmountNotPositive),
    ("a post beyond the hold",         lambda d: d.post(d.hold(10), 11),                       HoldExceeded),
    ("a void beyond the hold",         lambda d: d.void(d.hold(10), 11),                       HoldExceeded),
    ("a void of nothing",              lambda d: d.void(d.hold(10), 0),                        AmountNotPositive),
    ("a post of no hold",              lambda d: d.post(HoldId("hld_0"), 1),                   HoldNotFound),
    ("a void of no hold",              lambda d: d.void(HoldId("hld_0")),                      HoldNotFound),
    ("a refund of nothing",            lambda d: d.refund("ord_0", 0),                         AmountNotPositive),
    ("a refund with a negative part",  lambda d: d.refund("ord_0", 5, -1),                     AmountNotPositive),
    ("a reversal of nothing",          lambda d: d.reverse(new_transfer_id()),                 TransferNotFound),
    ("a reversal of a sale",           lambda d: d.reverse("trf_" + d.sell(5)[4:]),            NotReversible),
    ("a reversal of a reversal",       lambda d: d.reverse(d.reverse(d.credit(5).transfer.id).transfer.id), NotReversible),
    ("a reversal of what is spent",    lambda d: (d.debit(50), d.reverse(spent_credit(d)), d.reverse(d.credit(1).transfer.id)),
                                                                                               InsufficientFunds),
]
# fmt: on


@pytest.mark.parametrize(("what", "acts", "figures"), DONE, ids=[row[0] for row in DONE])
def test_what_is_done_leaves_exactly_this(db: Database, what: str, acts: list[Act], figures: tuple[int, int, int]) -> None:
    desk = Desk(db)
    for act in acts:
        act(desk)
    assert desk.figures() == figures, what
    assert desk.findings() == []


@pytest.mark.parametrize(("what", "act", "error"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_refused_changes_nothing(db: Database, what: str, act: Act, error: type[LedgerError]) -> None:
    desk = Desk(db)
    desk.credit(100)
    before: list[object] = []
    with pytest.raises(error):
        _remembering(desk, act, before)
    assert before[-1] == _rows(desk), what
    assert desk.findings() == []


def _remembering(desk: Desk, act: Act, before: list[object]) -> None:
    """Run the act, noting all rows before each transaction: the last note is the state before the refused one."""
    inner = desk.do

    def noting(work: object) -> object:
        before.append(_rows(desk))
        return inner(work)  # type: ignore[arg-type]  # whatever it returns

    desk.do = noting  # type: ignore[method-assign,assignment]  # a spy, no substitute
    try:
        act(desk)
    finally:
        del desk.do


def _rows(desk: Desk) -> object:
    return desk.wallet(), *[desk.count(table) for table in ("transfers", "holds", "accounts", "events", "audit")]


def test_a_credit_reversed_after_it_was_spent_needs_an_approved_debt(db: Database) -> None:
    desk = Desk(db)
    made = spent_credit(desk)
    with pytest.raises(InsufficientFunds):
        desk.reverse(made)
    desk.reverse(made, allow_debt=True)
    assert desk.figures() == (-200, -200, 200)
    assert desk.findings() == []


def test_a_transfer_is_reversed_once(db: Database) -> None:
    desk = Desk(db)
    desk.credit(100)
    made = desk.credit(50).transfer.id
    desk.reverse(made)
    with pytest.raises(AlreadyReversed):
        desk.reverse(made)
    assert desk.figures() == (100, 100, 0)


def test_a_debit_from_a_wallet_that_was_never_opened_is_refused(db: Database) -> None:
    with pytest.raises(WalletNotFound):
        Desk(db).debit(1)


def test_a_refund_to_a_wallet_that_was_never_opened_is_refused(db: Database) -> None:
    with pytest.raises(WalletNotFound):
        Desk(db).refund("ord_0", 5)


def test_a_repeated_reference_answers_with_the_first_transfer(db: Database) -> None:
    desk = Desk(db)
    first, second = desk.credit(500, "line 7"), desk.credit(500, "line 7")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.transfer == second.transfer
    assert desk.count("transfers") == 1


def test_test_money_is_another_wallet(db: Database) -> None:
    assert wallet("par_A", "EUR", Mode.LIVE) == "par_A:wallet:EUR:live"
    assert wallet("par_A", "EUR", Mode.TEST) == "par_A:wallet:EUR:test"


@pytest.mark.parametrize(
    "name", [wallet("par_A", "JPY", LIVE), platform(Purpose.TAX, "EUR", LIVE, "host:80"), supplier_account("sup", "USD", LIVE)]
)
def test_an_account_says_what_it_is(name: str) -> None:
    parts = account_parts(name)  # type: ignore[arg-type]  # one of the three
    assert ":".join([parts.owner, parts.purpose, parts.currency, parts.mode, parts.node]).rstrip(":") == name


def test_stock_is_booked_against_the_bank(db: Database) -> None:
    desk = Desk(db)
    desk.do(
        lambda tx: book(
            tx,
            debit=Purpose.STOCK,
            credit=supplier_account("sup", "EUR", LIVE),
            amount_minor=700,
            currency="EUR",
            mode=LIVE,
            node=NODE,
            purpose=TransferPurpose.STOCK_IN,
            now=desk.clock.now(),
            reference="lot_1",
        )
    )
    assert desk.findings() == []
    assert desk.count("accounts") == 2


def test_the_bank_has_room_for_both_or_the_second_is_refused(db: Database) -> None:
    """Two wallets that are each within bounds and together beyond them: the operator's account would overflow."""
    desk = Desk(db)
    desk.credit(2**62 - 10)
    with pytest.raises(AccountFull):
        desk.do(lambda tx: credit(tx, desk.by, "par_B", eur(11), LIVE))
    desk.do(lambda tx: credit(tx, desk.by, "par_B", eur(10), LIVE))
    assert desk.findings() == []
