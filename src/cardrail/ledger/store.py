"""Every statement of the ledger. Balances change by guarded updates; a transfer is inserted and never touched again.

Locks are taken in this order: wallets by name, holds by id, then the platform's accounts by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from cardrail.kernel import HoldId, Mode, TransferId, from_micros, to_micros
from cardrail.ledger.errors import HoldExceeded, WalletOverdrawn
from cardrail.ledger.model import (
    AccountName,
    Balance,
    Hold,
    NewHold,
    Phase,
    PlatformBalance,
    Purpose,
    Transfer,
    TransferPurpose,
    Wallet,
    account_parts,
)
from cardrail.ledger.tables import accounts, holds, transfers
from cardrail.storage import Bulk, SequencedInsert, Series, Tx, bulk_insert, driver_select, events

# --- the order path: one statement for a batch ------------------------------------------------------------------------

TRANSFER_COLUMNS: Final = (
    "id",
    "debit",
    "credit",
    "amount_minor",
    "currency",
    "mode",
    "phase",
    "purpose",
    "partner_id",
    "order_id",
    "hold_id",
    "reverses",
    "reference",
    "wallet_after_minor",
    "created_at",
)

TRANSFER_SERIES: Final = Series(transfers, "trf")
"""Transfers are followed by position. One that commits late has a later place, whatever its id and time say."""

insert_transfers: Final = SequencedInsert(transfers, TRANSFER_COLUMNS, TRANSFER_SERIES)
"""Append transfers: one tuple each, in the order of TRANSFER_COLUMNS. The caller changes the accounts' sums in the same transaction."""

_WALLET: Final = "name, currency, debits_pending, debits_posted, credits_posted, credit_limit_minor, debt_minor"
_LOAD_WALLETS: Final = {
    "sqlite": f"SELECT {_WALLET} FROM accounts WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name",  # noqa: S608  # our own columns
    "postgresql": f"SELECT {_WALLET} FROM accounts WHERE name = ANY(%s) ORDER BY name FOR UPDATE",  # noqa: S608  # likewise
}


def load_wallets(tx: Tx, names: Iterable[AccountName]) -> dict[AccountName, Wallet]:
    """The wallets that exist among ``names``, locked in the order of their names until the transaction ends."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    backend = tx.dialect.name
    parameter = msgspec.json.encode(wanted).decode() if backend == "sqlite" else wanted
    return {row[0]: Wallet(*row) for row in driver_select(tx, _LOAD_WALLETS[backend], (parameter,))}


_available = accounts.c.credits_posted - accounts.c.debits_posted - accounts.c.debits_pending + accounts.c.credit_limit_minor
_debit_wallet: Final = Bulk(
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"), _available >= sa.bindparam("needed"))
    .values(
        debits_posted=accounts.c.debits_posted + sa.bindparam("posted"),
        debits_pending=accounts.c.debits_pending + sa.bindparam("pending"),
    ),
    ("posted", "pending", "of", "needed"),
)


def debit_wallets(tx: Tx, rows: Sequence[tuple[int, int, AccountName]]) -> None:
    """Take (amount posted, amount pending, name) from each wallet; a row per wallet, both amounts zero or more.

    Raises WalletOverdrawn if one of them does not cover it or does not exist: then the transaction must not commit.
    """
    written = _debit_wallet(tx, [(posted, pending, name, posted + pending) for posted, pending, name in rows])
    if written != len(rows):
        raise WalletOverdrawn(wallets=len(rows), covered=written)


_ACCOUNT: Final = ("name", "owner", "purpose", "currency", "mode", "node")


def _upsert(*sums: str) -> Bulk:
    """An INSERT that opens an account, or adds to these sums of it where it is open."""
    columns = (*_ACCOUNT, *sums, "created_at")
    statement = postgresql.insert(accounts).values({name: sa.bindparam(name) for name in columns})
    changes = {name: accounts.c[name] + statement.excluded[name] for name in sums}
    return Bulk(statement.on_conflict_do_update(index_elements=["name"], set_=changes), columns)


_add_posted: Final = _upsert("debits_posted", "credits_posted")
_add_pending: Final = _upsert("credits_pending")


def add_to_accounts(tx: Tx, rows: Iterable[tuple[AccountName, str, str, str, str, str, int, int, int]]) -> None:
    """Add (…, debits posted, credits posted, now) to accounts, opening those that are used for the first time.

    A row: name, owner, purpose, currency, mode, node, debits, credits, microseconds. For accounts that may go either way: the
    platform's and suppliers'; a wallet is debited by ``debit_wallets`` only.
    """
    _add_posted(tx, sorted(rows))


def add_to_account(tx: Tx, name: AccountName, *, debits: int = 0, credits: int = 0, now: int) -> None:  # noqa: A002  # the ledger's word
    """Like ``add_to_accounts``, for one account whose row is told by its name."""
    add_to_accounts(tx, [(*_account_row(name), debits, credits, now)])


def account_rows(
    sums: Iterable[tuple[AccountName, int, int]], now: int
) -> list[tuple[AccountName, str, str, str, str, str, int, int, int]]:
    """Rows for ``add_to_accounts`` of (name, debits, credits), each account's other columns told by its name."""
    return [(*_account_row(name), debits, credits_, now) for name, debits, credits_ in sums]


def lock_accounts(tx: Tx, names: Iterable[AccountName]) -> None:
    """Lock those of these accounts that exist, in the order of their names: before they are changed in any other order."""
    if tx.dialect.name != "sqlite":  # there the file is ours
        load_wallets(tx, names)


_posted: Final = (
    sa.select(accounts.c.debits_posted, accounts.c.credits_posted).where(accounts.c.name == sa.bindparam("of")).with_for_update()
)


def posted_of(tx: Tx, name: AccountName) -> tuple[int, int]:
    """(debits, credits) posted to an account, which is locked; zeros if it was never used."""
    row = tx.execute(_posted, {"of": name}).first()
    return (int(row[0]), int(row[1])) if row is not None else (0, 0)


def _account_row(name: AccountName) -> tuple[AccountName, str, str, str, str, str]:
    parts = account_parts(name)
    return (name, parts.owner, parts.purpose.value, parts.currency, parts.mode.value, parts.node)


# --- wallets ----------------------------------------------------------------------------------------------------------

_open: Final = Bulk(
    postgresql.insert(accounts).values({name: sa.bindparam(name) for name in (*_ACCOUNT, "created_at")}).on_conflict_do_nothing(),
    (*_ACCOUNT, "created_at"),
)


def open_account(tx: Tx, name: AccountName, now: int) -> None:
    """Open an account, if it is not open."""
    _open(tx, [(*_account_row(name), now)])


def _repaid(amount: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    """The debt that is left when what is available rises by ``amount``."""
    return sa.case((accounts.c.debt_minor > amount, accounts.c.debt_minor - amount), else_=0)


_amount: Final = sa.bindparam("amount", type_=sa.BigInteger)
_balance: Final = accounts.c.credits_posted - accounts.c.debits_posted
_CREDIT_WALLET: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(credits_posted=accounts.c.credits_posted + _amount, debt_minor=_repaid(_amount))
    .returning(_balance)
)
_TAKE_FROM_WALLET: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(debits_posted=accounts.c.debits_posted + _amount, debt_minor=sa.bindparam("debt", type_=sa.BigInteger))
    .returning(_balance)
)
_POST_FROM_WALLET: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(debits_posted=accounts.c.debits_posted + _amount, debits_pending=accounts.c.debits_pending - _amount)
    .returning(_balance)
)
_FREE_IN_WALLET: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(debits_pending=accounts.c.debits_pending - _amount, debt_minor=_repaid(_amount))
    .returning(_balance)
)
_post_from_wallets: Final = Bulk(
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(
        debits_posted=accounts.c.debits_posted + sa.bindparam("posted", type_=sa.BigInteger),
        debits_pending=accounts.c.debits_pending - sa.bindparam("pending", type_=sa.BigInteger),
    ),
    ("posted", "pending", "of"),
)
_SET_LIMIT: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(credit_limit_minor=_amount, debt_minor=sa.bindparam("debt", type_=sa.BigInteger))
)


def credit_wallet(tx: Tx, name: AccountName, amount: int) -> int | None:
    """Add to the wallet's posted credits, repaying debt first; its balance after that, None if there is no such wallet."""
    return tx.execute(_CREDIT_WALLET, {"of": name, "amount": amount}).scalar()


def take_from_wallet(tx: Tx, name: AccountName, amount: int, debt: int) -> int:
    """Debit a wallet that the caller has locked and weighed; its debt becomes ``debt``. Its balance after that."""
    return int(tx.execute(_TAKE_FROM_WALLET, {"of": name, "amount": amount, "debt": debt}).scalar_one())


def post_from_wallet(tx: Tx, name: AccountName, amount: int) -> int:
    """Turn held money into spent money; the balance after that."""
    return int(tx.execute(_POST_FROM_WALLET, {"of": name, "amount": amount}).scalar_one())


def post_from_wallets(tx: Tx, amounts: Mapping[AccountName, int]) -> None:
    """``post_from_wallet`` of several wallets, which the caller has locked."""
    _post_from_wallets(tx, [(amount, amount, name) for name, amount in sorted(amounts.items())])


def free_in_wallet(tx: Tx, name: AccountName, amount: int) -> int:
    """Give held money back, repaying debt first; the balance, which that does not change."""
    return int(tx.execute(_FREE_IN_WALLET, {"of": name, "amount": amount}).scalar_one())


def set_limit(tx: Tx, name: AccountName, limit: int, debt: int) -> None:
    """Write a wallet's credit limit, and the debt that it leaves."""
    tx.execute(_SET_LIMIT, {"of": name, "amount": limit, "debt": debt})


_LAST_STEP: Final = sa.select(sa.func.coalesce(sa.func.max(events.c.subject_seq), 0)).where(
    events.c.subject_id == sa.bindparam("of")
)


def next_step(tx: Tx, subject_id: str) -> int:
    """The place of the next event in a subject's history; the subject's row is locked by the caller."""
    return int(tx.execute(_LAST_STEP, {"of": subject_id}).scalar_one()) + 1


# --- transfers --------------------------------------------------------------------------------------------------------

_TRANSFER: Final = sa.select(*[transfers.c[name] for name in TRANSFER_COLUMNS])
_TRANSFER_BY_ID: Final = _TRANSFER.where(transfers.c.id == sa.bindparam("of"))
_REVERSAL_OF: Final = _TRANSFER.where(transfers.c.reverses == sa.bindparam("of"))
_BY_REFERENCE: Final = _TRANSFER.where(
    sa.text("purpose IN ('credit', 'debit') AND reference IS NOT NULL"),  # word for word the index's own condition
    transfers.c.partner_id == sa.bindparam("partner"),
    transfers.c.currency == sa.bindparam("currency"),
    transfers.c.mode == sa.bindparam("mode"),
    transfers.c.purpose == sa.bindparam("purpose"),
    transfers.c.reference == sa.bindparam("reference"),
)


def _transfer(row: sa.Row[Any]) -> Transfer:
    return Transfer(
        id=TransferId(row.id),
        debit=AccountName(row.debit),
        credit=AccountName(row.credit),
        amount_minor=row.amount_minor,
        currency=row.currency,
        mode=Mode(row.mode),
        phase=Phase(row.phase),
        purpose=TransferPurpose(row.purpose),
        partner_id=row.partner_id,
        order_id=row.order_id,
        hold_id=row.hold_id,
        reverses=row.reverses,
        reference=row.reference,
        wallet_after_minor=row.wallet_after_minor,
        created_at=from_micros(row.created_at),
    )


def transfer_row(one: Transfer) -> tuple[Any, ...]:
    """The transfer in the order of TRANSFER_COLUMNS."""
    return (
        one.id,
        one.debit,
        one.credit,
        one.amount_minor,
        one.currency,
        one.mode.value,
        one.phase.value,
        one.purpose.value,
        one.partner_id,
        one.order_id,
        one.hold_id,
        one.reverses,
        one.reference,
        one.wallet_after_minor,
        to_micros(one.created_at),
    )


def load_transfer(tx: Tx, transfer_id: TransferId) -> Transfer | None:
    """One transfer by its id."""
    row = tx.execute(_TRANSFER_BY_ID, {"of": transfer_id}).first()
    return _transfer(row) if row else None


def load_reversal(tx: Tx, transfer_id: TransferId) -> Transfer | None:
    """The transfer that undoes this one."""
    row = tx.execute(_REVERSAL_OF, {"of": transfer_id}).first()
    return _transfer(row) if row else None


def load_by_reference(tx: Tx, wallet_of: tuple[str, str, Mode], purpose: TransferPurpose, reference: str) -> Transfer | None:
    """The credit or debit that was made with this reference."""
    partner_id, currency, mode = wallet_of
    facts = {"partner": partner_id, "currency": currency, "mode": mode.value, "purpose": purpose.value, "reference": reference}
    row = tx.execute(_BY_REFERENCE, facts).first()
    return _transfer(row) if row else None


def load_page(
    tx: Tx,
    partner_id: str,
    mode: Mode,
    *,
    currency: str | None,
    since: int | None,
    until: int | None,
    before: str | None,
    limit: int,
) -> list[Transfer]:
    """A partner's transfers, newest first, older than the id ``before``."""
    c = transfers.c
    query = _TRANSFER.where(c.partner_id == partner_id, c.mode == mode.value)
    if before is not None:
        query = query.where(c.id < before)
    if currency is not None:
        query = query.where(c.currency == currency)
    if since is not None:
        query = query.where(c.created_at >= since)
    if until is not None:
        query = query.where(c.created_at < until)
    return [_transfer(row) for row in tx.execute(query.order_by(c.id.desc()).limit(limit))]


def load_transfers(tx: Tx, condition: sa.ColumnElement[bool], *, offset: int, limit: int) -> list[Transfer]:
    """Those that the condition holds for, newest first, from the ``offset``-th on."""
    query = _TRANSFER.where(condition).order_by(transfers.c.id.desc()).offset(offset).limit(limit)
    return [_transfer(row) for row in tx.execute(query)]


def load_order_transfers(tx: Tx, order_id: str) -> list[Transfer]:
    """What an order moved, oldest first."""
    query = _TRANSFER.where(transfers.c.order_id == order_id).order_by(transfers.c.id)
    return [_transfer(row) for row in tx.execute(query)]


# --- holds ------------------------------------------------------------------------------------------------------------

_HOLD_COLUMNS: Final = (
    "id",
    "account",
    "credit",
    "currency",
    "mode",
    "amount_minor",
    "partner_id",
    "order_id",
    "line",
    "deadline_at",
    "created_at",
)
_insert_holds: Final = bulk_insert(holds, *_HOLD_COLUMNS)
_HOLD: Final = sa.select(holds)
_HOLD_BY_ID: Final = _HOLD.where(holds.c.id == sa.bindparam("of"))
_HOLDS_OF_ORDER: Final = _HOLD.where(holds.c.order_id == sa.bindparam("of")).order_by(holds.c.line, holds.c.id)
_is_open: Final = holds.c.posted_minor + holds.c.voided_minor < holds.c.amount_minor


def insert_holds(tx: Tx, rows: Sequence[NewHold]) -> None:
    """Write the holds' rows."""
    _insert_holds(
        tx,
        [
            (
                one.id,
                one.account,
                one.credit,
                one.currency,
                one.mode.value,
                one.amount_minor,
                one.partner_id,
                one.order_id,
                one.line,
                one.deadline_at,
                one.created_at,
            )
            for one in rows
        ],
    )


def promise(tx: Tx, rows: Iterable[tuple[AccountName, int, int]]) -> None:
    """Add (name, amount, now) to accounts' pending credits, opening those that are used for the first time."""
    _add_pending(tx, [(*_account_row(name), amount, now) for name, amount, now in sorted(rows)])


_SETTLE_PROMISE: Final = (
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(
        credits_pending=accounts.c.credits_pending - _amount,
        credits_posted=accounts.c.credits_posted + sa.bindparam("kept", type_=sa.BigInteger),
    )
)


def settle_promise(tx: Tx, name: AccountName, amount: int, *, kept: int) -> None:
    """Take ``amount`` off an account's pending credits; ``kept`` of it becomes posted."""
    tx.execute(_SETTLE_PROMISE, {"of": name, "amount": amount, "kept": kept})


_settle_promises: Final = Bulk(
    sa.update(accounts)
    .where(accounts.c.name == sa.bindparam("of"))
    .values(
        credits_pending=accounts.c.credits_pending - sa.bindparam("by", type_=sa.BigInteger),
        credits_posted=accounts.c.credits_posted + sa.bindparam("kept", type_=sa.BigInteger),
    ),
    ("of", "by", "kept"),
)


def settle_promises(tx: Tx, rows: Sequence[tuple[AccountName, int, int]]) -> None:
    """``settle_promise`` of several accounts: (name, amount, kept)."""
    _settle_promises(tx, rows)


def _move_hold(column: str) -> sa.Update:
    """Add to what was posted or voided of a hold, as far as there is a rest."""
    moved = holds.c.posted_minor + holds.c.voided_minor + _amount
    return (
        sa.update(holds)
        .where(holds.c.id == sa.bindparam("of"), moved <= holds.c.amount_minor)
        .values({column: holds.c[column] + _amount})
    )


_POST_HOLD: Final = _move_hold("posted_minor")
_VOID_HOLD: Final = _move_hold("voided_minor")


def move_hold(tx: Tx, hold_id: HoldId, amount: int, phase: Phase) -> bool:
    """Post or void part of a hold; False if less than that is left of it."""
    statement = _POST_HOLD if phase is Phase.POSTED else _VOID_HOLD
    return tx.execute(statement, {"of": hold_id, "amount": amount}).rowcount == 1


_post_holds: Final = Bulk(
    sa.update(holds)
    .where(
        holds.c.id == sa.bindparam("of"),
        holds.c.posted_minor + holds.c.voided_minor + sa.bindparam("more", type_=sa.BigInteger) <= holds.c.amount_minor,
    )
    .values(posted_minor=holds.c.posted_minor + sa.bindparam("by", type_=sa.BigInteger)),
    ("by", "of", "more"),
)


def move_holds(tx: Tx, amounts: Mapping[HoldId, int]) -> None:
    """Post part of several holds. Raises HoldExceeded if less than that is left of one: then the transaction must not commit."""
    if _post_holds(tx, [(amount, hold_id, amount) for hold_id, amount in sorted(amounts.items())]) != len(amounts):
        raise HoldExceeded(holds=len(amounts))


_HOLDS: Final = _HOLD.where(holds.c.id.in_(sa.bindparam("ids", expanding=True)))


def load_holds(tx: Tx, hold_ids: Iterable[str]) -> list[Hold]:
    """Those of these holds that exist."""
    ids = list(hold_ids)
    return [_hold(row) for row in tx.execute(_HOLDS, {"ids": ids})] if ids else []


def load_hold(tx: Tx, hold_id: HoldId) -> Hold | None:
    """One hold by its id; its sums may move until the caller holds the wallet's lock."""
    row = tx.execute(_HOLD_BY_ID, {"of": hold_id}).first()
    return _hold(row) if row else None


def load_order_holds(tx: Tx, order_id: str) -> list[Hold]:
    """An order's holds, by line."""
    return [_hold(row) for row in tx.execute(_HOLDS_OF_ORDER, {"of": order_id})]


_OVERDUE: Final = (
    sa.select(holds.c.id)
    .where(_is_open, holds.c.alerted_at.is_(None), holds.c.deadline_at <= sa.bindparam("now"))
    .order_by(holds.c.deadline_at)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_ALERT: Final = sa.update(holds).where(holds.c.id.in_(_OVERDUE)).values(alerted_at=sa.bindparam("now")).returning(*holds.c)


def alert_overdue(tx: Tx, now: int, most: int) -> list[Hold]:
    """Mark open holds past their deadline as told of; those that were not marked before."""
    return [_hold(row) for row in tx.execute(_ALERT, {"now": now, "most": most})]


def _hold(row: sa.Row[Any]) -> Hold:
    return Hold(
        id=HoldId(row.id),
        account=AccountName(row.account),
        credit=AccountName(row.credit),
        currency=row.currency,
        mode=Mode(row.mode),
        amount_minor=row.amount_minor,
        posted_minor=row.posted_minor,
        voided_minor=row.voided_minor,
        partner_id=row.partner_id,
        order_id=row.order_id,
        line=row.line,
        deadline_at=from_micros(row.deadline_at),
        alerted_at=from_micros(row.alerted_at) if row.alerted_at is not None else None,
        created_at=from_micros(row.created_at),
    )


# --- balances ---------------------------------------------------------------------------------------------------------

_BALANCES: Final = (
    sa.select(accounts)
    .where(accounts.c.purpose == Purpose.WALLET.value, accounts.c.owner == sa.bindparam("partner"))
    .order_by(accounts.c.currency, accounts.c.mode)
)


def load_balances(tx: Tx, partner_id: str, mode: Mode | None) -> list[Balance]:
    """A partner's wallets as they stand."""
    query = _BALANCES if mode is None else _BALANCES.where(accounts.c.mode == mode.value)
    return [
        Balance(
            row.currency,
            Mode(row.mode),
            row.credits_posted - row.debits_posted,
            row.debits_pending,
            row.credit_limit_minor,
            row.debt_minor,
        )
        for row in tx.execute(query, {"partner": partner_id})
    ]


def load_balances_at(tx: Tx, partner_id: str, mode: Mode | None, at: int) -> list[Balance]:
    """A partner's wallets as the transfers up to and including ``at`` make them."""
    c = transfers.c
    is_debit = c.debit == accounts.c.name
    balance = sa.case((c.phase != Phase.POSTED.value, 0), (is_debit, -c.amount_minor), else_=c.amount_minor)
    held = sa.case((c.hold_id.is_(None), 0), (c.phase == Phase.PENDING.value, c.amount_minor), else_=-c.amount_minor)
    touches = sa.and_(
        c.partner_id == accounts.c.owner,
        c.created_at <= at,
        sa.or_(is_debit, c.credit == accounts.c.name),
    )
    query = (
        sa.select(
            accounts.c.currency,
            accounts.c.mode,
            sa.func.coalesce(sa.func.sum(balance), 0).label("balance"),
            sa.func.coalesce(sa.func.sum(held), 0).label("held"),
        )
        .select_from(accounts.outerjoin(transfers, touches))
        .where(accounts.c.purpose == Purpose.WALLET.value, accounts.c.owner == partner_id, accounts.c.created_at <= at)
        .group_by(accounts.c.currency, accounts.c.mode)
        .order_by(accounts.c.currency, accounts.c.mode)
    )
    if mode is not None:
        query = query.where(accounts.c.mode == mode.value)
    return [Balance(row.currency, Mode(row.mode), int(row.balance), int(row.held), 0, 0) for row in tx.execute(query)]


_PLATFORM: Final = (
    sa.select(
        accounts.c.purpose,
        accounts.c.owner,
        accounts.c.currency,
        accounts.c.mode,
        sa.func.sum(accounts.c.debits_posted).label("debits"),
        sa.func.sum(accounts.c.credits_posted).label("credits"),
    )
    .where(accounts.c.purpose != Purpose.WALLET.value)
    .group_by(accounts.c.purpose, accounts.c.owner, accounts.c.currency, accounts.c.mode)
    .order_by(accounts.c.mode, accounts.c.currency, accounts.c.purpose, accounts.c.owner)
)


def load_platform_balances(tx: Tx) -> list[PlatformBalance]:
    """The operator's and suppliers' accounts, each summed over the nodes."""
    return [
        PlatformBalance(Purpose(row.purpose), row.owner, row.currency, Mode(row.mode), int(row.debits), int(row.credits))
        for row in tx.execute(_PLATFORM)
    ]
