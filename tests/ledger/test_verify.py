"""Each kind of fault, planted behind the ledger's back, is found and named; a ledger in use has none."""

from __future__ import annotations

import re

import pytest
from tests.ledger.build import SALES, WALLET, Desk

from cardrail.ledger import LEDGER_CHECKS
from cardrail.storage import Database

BANK = "platform:bank:EUR:live:main"


@pytest.fixture
def desk(db: Database) -> Desk:
    """A ledger that has seen everything."""
    desk = Desk(db)
    desk.limit(50)
    first = desk.credit(1_000).transfer.id
    desk.reverse(first)
    desk.credit(1_000)
    desk.refund(desk.sell(300), 100)
    hold = desk.hold(200)
    desk.post(hold, 50)
    desk.void(hold, 20)
    desk.hold(10)
    desk.debit(2_000, allow_debt=True)
    return desk


def plant(db: Database, statement: str) -> None:
    """Write what no use case would, with the schema's own rules switched off."""
    if db.is_sqlite:
        with db.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA ignore_check_constraints=ON")
            driver.execute(statement)
            driver.execute("PRAGMA ignore_check_constraints=OFF")
        return
    with db.transaction() as tx:
        for table, rule in (("accounts", "wallet_covered"), ("accounts", "not_negative"), ("holds", "not_beyond")):
            tx.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{rule}")
        tx.exec_driver_sql(statement)


# fmt: off
FAULTS = [
    # what was done behind the ledger's back, the check that finds it, the subject, what it says
    (f"UPDATE accounts SET debits_posted = debits_posted + 7 WHERE name = '{BANK}'", "balanced", "EUR live", "posted debits of"),
    (f"UPDATE accounts SET debits_pending = debits_pending + 7 WHERE name = '{WALLET}'", "balanced", "EUR live", "pending debits of"),
    (f"UPDATE accounts SET credits_posted = credits_posted + 7 WHERE name = '{WALLET}'", "account_sums", WALLET, "credits_posted is"),
    (f"UPDATE accounts SET debits_pending = 0 WHERE name = '{WALLET}'", "account_sums", WALLET, "debits_pending is"),
    (f"UPDATE accounts SET credits_pending = 0 WHERE name = '{SALES}'", "account_sums", SALES, "credits_pending is"),
    ("UPDATE transfers SET amount_minor = amount_minor + 1 WHERE purpose = 'refund'", "account_sums", SALES, "debits_posted is"),
    ("DELETE FROM transfers WHERE purpose = 'sale' AND hold_id IS NULL", "account_sums", WALLET, "debits_posted is"),
    (f"UPDATE accounts SET currency = 'USD' WHERE name = '{BANK}'", "account_names", BANK, "as its columns say"),
    (f"UPDATE accounts SET debt_minor = 0 WHERE name = '{WALLET}'", "wallets", WALLET, "below zero beyond the debt of 0"),
    (f"UPDATE accounts SET debt_minor = debt_minor + 5 WHERE name = '{WALLET}'", "wallets", WALLET, "a debt of"),
    ("UPDATE transfers SET credit = 'platform:lost:EUR:live:main' WHERE purpose = 'refund'", "transfers", "trf_", "exists"),
    ("UPDATE transfers SET currency = 'USD' WHERE purpose = 'refund'", "transfers", "trf_", "is in USD live like its transfer"),
    ("UPDATE transfers SET mode = 'test' WHERE purpose = 'refund'", "transfers", "trf_", "is in EUR test like its transfer"),
    ("UPDATE transfers SET partner_id = 'par_B' WHERE purpose = 'refund'", "transfers", "trf_", "belongs to partner par_B"),
    ("UPDATE transfers SET partner_id = NULL WHERE purpose = 'refund'", "transfers", "trf_", "belongs to partner None"),
    ("UPDATE holds SET posted_minor = posted_minor + 1 WHERE posted_minor > 0", "holds", "hld_", "posted_minor is 50"),
    ("UPDATE holds SET voided_minor = 0", "holds", "hld_", "voided_minor is 20"),
    ("UPDATE holds SET amount_minor = 500 WHERE posted_minor > 0", "holds", "hld_", "amount_minor is 200"),
    ("DELETE FROM holds WHERE posted_minor = 0", "holds", "hld_", "a hold for the transfers"),
    ("DELETE FROM transfers WHERE purpose = 'hold' AND amount_minor = 10", "holds", "hld_", "amount_minor is 0"),
    ("UPDATE transfers SET amount_minor = 1 WHERE purpose = 'reversal'", "reversals", "trf_", "swapped"),
    ("UPDATE transfers SET debit = credit, credit = debit WHERE purpose = 'reversal'", "reversals", "trf_", "swapped"),
    ("UPDATE transfers SET reverses = 'trf_0' WHERE purpose = 'reversal'", "reversals", "trf_", "the transfer trf_0"),
]
# fmt: on


@pytest.mark.parametrize(("statement", "check", "subject", "words"), FAULTS)
def test_a_planted_fault_is_found_and_named(desk: Desk, statement: str, check: str, subject: str, words: str) -> None:
    assert desk.findings() == []
    plant(desk.db, statement)
    found = [one for one in desk.findings() if one.check == check]
    assert any(one.subject.startswith(subject) and re.search(words, one.expected) for one in found), found


def test_every_check_has_its_planted_fault() -> None:
    assert {check for _, check, _, _ in FAULTS} == {check.name for check in LEDGER_CHECKS}
