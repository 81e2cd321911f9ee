"""Wire shapes of settlement: statements with their lines, reconciliation, exports."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cardrail.api.wire import (
    END,
    CurrencyCode,
    CursorParameter,
    LimitParameter,
    ModeName,
    Moment,
    MomentParameter,
    MoneyOut,
    Sku,
    _In,
    _Query,
)


class SettlementQuery(_Query):
    """What a list of statements is narrowed to: those whose period touches the time from `since` to `until`."""

    currency: CurrencyCode | None = None
    since: MomentParameter | None = None
    until: MomentParameter | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class SettlementShowQuery(_Query):
    """Which wallet's draft; your own currency unless given. Closed statements need none."""

    currency: CurrencyCode | None = None


class SettlementLinesQuery(_Query):
    """Which page of the lines."""

    currency: CurrencyCode | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class SettlementFileQuery(_Query):
    """`jsonl` is the canonical form that the hash is made of; `csv` is for people."""

    currency: CurrencyCode | None = None
    format: Literal["csv", "jsonl"] = "csv"


class TaxRateOut(Struct):
    """What was charged less what was given back under one tax rate."""

    rate_percent: str | None
    """Null: the amounts of orders with several rates that cannot be told apart."""
    net: MoneyOut
    """Price and fees."""
    tax: MoneyOut


class SettlementOut(Struct):
    """A statement: one wallet over one period."""

    id: str
    """`draft` for what is not closed yet."""
    state: Literal["draft", "closed"]
    mode: ModeName
    currency: str
    number: int
    """1, 2, 3 … within the wallet."""
    period_from: Moment
    period_to: Moment
    """Exclusive."""
    timezone: str
    opening: MoneyOut
    closing: MoneyOut
    opening_held: MoneyOut
    closing_held: MoneyOut
    """Set aside for orders at the end of the period; it moves no balance."""
    movements: int
    totals: dict[str, MoneyOut]
    """Kind of movement → what it added to the wallet."""
    taxes: list[TaxRateOut]
    previous_id: str | None
    previous_hash: str | None
    hash: str | None
    """SHA-256 of the statement's canonical form, in hex; null for a draft."""
    closed_at: Moment | None


class SoldItemOut(Struct):
    """What a movement is about: a line of its order."""

    sku: str
    name: str
    ordered: int
    units: int | None
    """Units that this movement charges, where its amount tells."""
    unit_price: MoneyOut
    unit_fee: MoneyOut
    tax_percent: str
    fx_rate: str | None


class SettlementLineOut(Struct):
    """One movement."""

    n: int
    at: Moment
    kind: Annotated[str, Meta(examples=["sale"])]
    change: MoneyOut
    """What it adds to the wallet; negative where it takes."""
    balance: MoneyOut
    """The wallet's balance after it."""
    order_id: str | None
    reference: str | None
    reverses: str | None
    transfer_id: str
    items: list[SoldItemOut]


class ReconciliationQuery(_Query, rename={"from_": "from"}):
    """Which period, by the times at which orders were placed; `to` is exclusive."""

    from_: MomentParameter
    to: MomentParameter
    format: Literal["json", "csv"] = "json"
    currency: CurrencyCode | None = None


class WalletPeriodOut(Struct):
    """One wallet over the period."""

    currency: str
    opening: MoneyOut
    closing: MoneyOut
    totals: dict[str, MoneyOut]
    """Kind of movement → what it added to the wallet."""


class ReconciliationItemOut(Struct):
    """A line of an order."""

    sku: str
    name: str
    quantity: int
    unit_price: MoneyOut


class ReconciliationOrderOut(Struct):
    """An order with its money."""

    id: str
    reference: str | None
    state: str
    settlement: Literal["pending", "settled", "refunded"]
    total: MoneyOut
    charged: MoneyOut
    refunded: MoneyOut
    created_at: Moment
    completed_at: Moment | None
    items: list[ReconciliationItemOut]


class ReconciliationOut(Struct, rename={"from_": "from"}):
    """The wallets over the period, and its orders, oldest first."""

    mode: ModeName
    from_: Moment
    to: Moment
    wallets: list[WalletPeriodOut]
    orders: list[ReconciliationOrderOut]


class ExportIn(_In, omit_defaults=True):
    """What is to be exported."""

    kind: Literal["orders", "items", "movements", "statement"]
    format: Literal["csv", "jsonl", "xlsx", "parquet"] = "csv"
    since: MomentParameter | None = None
    until: MomentParameter | None = None
    """Exclusive."""
    state: Annotated[str, Meta(pattern=r"^[A-Z_]{1,32}" + END)] | None = None
    sku: Sku | None = None
    statement_id: Annotated[str, Meta(pattern=r"^stm_[0-9A-Z]{26}" + END)] | None = None
    """For a statement."""


class ExportListQuery(_Query):
    """How many."""

    limit: LimitParameter = 50


class ExportOut(Struct):
    """An export: made at once where it is small, else in the background."""

    id: str
    kind: str
    format: str
    state: Annotated[str, Meta(examples=["done"])]
    """waiting, running, done, failed or expired."""
    rows: int
    """Written so far."""
    bytes: int
    problem: str | None
    """Why it failed: a code."""
    created_at: Moment
    finished_at: Moment | None
    expires_at: Moment
    """When its file is deleted."""
    download_url: str | None
    """A path of this server, good for a quarter of an hour, without a key; each look at the export gives a new one."""


class ExportFileQuery(_Query):
    """The link's own signature."""

    expires: Annotated[str, Meta(pattern=r"^[0-9]{1,12}" + END)]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}" + END)]
