"""What can be exported: for each kind its columns, and its rows as they are read. Nothing here is written or encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Mode
from cardrail.ledger import TransferFigures, transfers_after, wallet
from cardrail.orders import OrderState, items_after, orders_after
from cardrail.settlement.errors import InvalidExport, StatementNotFound
from cardrail.settlement.files import STATEMENT_COLUMNS, statement_rows
from cardrail.settlement.formats import Column, Kind, Row
from cardrail.settlement.margin import margin_columns, margin_rows
from cardrail.settlement.model import kind_name
from cardrail.settlement.statements import all_lines
from cardrail.settlement.store import load_statement
from cardrail.storage import Tx
from cardrail.vault import NEVER, stock_on_hand

PAGE: Final = 2_000
"""Rows that are read at a time."""


class ExportKind(StrEnum):
    """What an export is of."""

    ORDERS = "orders"
    """A row for each order."""
    ITEMS = "items"
    """A row for each line of each order."""
    MOVEMENTS = "movements"
    """A row for each transfer."""
    STATEMENT = "statement"
    """A closed statement, as a table."""
    STOCK = "stock"
    """Unsold codes by lot, with what they cost. The operator's."""
    MARGIN = "margin"
    """Revenue, cost, fees, tax and exchange by product, partner, supplier or day. The operator's."""


PARTNERS_OWN: Final = frozenset({ExportKind.ORDERS, ExportKind.ITEMS, ExportKind.MOVEMENTS, ExportKind.STATEMENT})
"""Kinds that a partner may have of his own data."""

MarginBy = Literal["product", "partner", "supplier", "day"]


class ExportFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an export is narrowed to. Times in microseconds, by when an order was placed or a transfer made."""

    partner_id: str | None = None
    mode: Mode = Mode.LIVE
    since: int | None = None
    until: int | None = None
    state: str | None = None
    sku: str | None = None
    statement_id: str | None = None
    by: MarginBy = "product"
    base_currency: str | None = None
    """For margins: the currency that everything is also shown in, by dated rates."""


def check_filter(kind: ExportKind, given: ExportFilter) -> None:
    """Refuse what would be passed over silently. Raises InvalidExport."""
    if given.since is not None and given.until is not None and not given.since < given.until:
        raise InvalidExport(field="until", reason="the period ends before it begins")
    if given.state is not None and (kind not in (ExportKind.ORDERS, ExportKind.ITEMS) or given.state not in set(OrderState)):
        raise InvalidExport(field="state", reason="orders and items have a state of an order")
    if given.sku is not None and kind not in (ExportKind.ORDERS, ExportKind.ITEMS, ExportKind.MARGIN, ExportKind.STOCK):
        raise InvalidExport(field="sku", reason="orders, items, stock and margins have a sku")
    if (given.statement_id is None) is (kind is ExportKind.STATEMENT):
        raise InvalidExport(field="statement_id", reason="a statement is named, nothing else is")


# --- orders and items -------------------------------------------------------------------------------------------------

_ORDER_COLUMNS: Final = (
    Column("order_id", Kind.WORD),
    Column("partner_id", Kind.WORD),
    Column("mode", Kind.WORD),
    Column("state", Kind.WORD),
    Column("currency", Kind.WORD),
    Column("total", Kind.MONEY, "currency"),
    Column("charged", Kind.MONEY, "currency"),
    Column("refunded", Kind.MONEY, "currency"),
    Column("reference", Kind.TEXT),
    Column("created_at", Kind.MOMENT),
    Column("updated_at", Kind.MOMENT),
)
_ITEM_COLUMNS: Final = (
    Column("order_id", Kind.WORD),
    Column("line", Kind.NUMBER),
    Column("partner_id", Kind.WORD),
    Column("mode", Kind.WORD),
    Column("reference", Kind.TEXT),
    Column("created_at", Kind.MOMENT),
    Column("state", Kind.WORD),
    Column("sku", Kind.TEXT),
    Column("name", Kind.TEXT),
    Column("quantity", Kind.NUMBER),
    Column("delivered", Kind.NUMBER),
    Column("face_value", Kind.MONEY, "face_currency"),
    Column("face_currency", Kind.WORD),
    Column("unit_price", Kind.MONEY, "currency"),
    Column("unit_fee", Kind.MONEY, "currency"),
    Column("tax_percent", Kind.PERCENT),
    Column("charged", Kind.MONEY, "currency"),
    Column("currency", Kind.WORD),
    Column("fx_rate", Kind.RATE),
)


def _narrowed(given: ExportFilter) -> dict[str, Any]:
    return {"partner_id": given.partner_id, "mode": given.mode, "since": given.since, "until": given.until}


def _orders(tx: Tx, given: ExportFilter) -> Iterator[Row]:
    after = ""
    while page := orders_after(tx, after, PAGE, **_narrowed(given), state=given.state, sku=given.sku):
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _items(tx: Tx, given: ExportFilter) -> Iterator[Row]:
    after = ("", 0)
    while page := items_after(tx, after, PAGE, **_narrowed(given), state=given.state, sku=given.sku):
        for one in page:
            yield (
                one.order_id,
                one.line,
                one.partner_id,
                one.mode,
                one.reference,
                one.created_at,
                one.state,
                one.sku,
                one.name,
                one.quantity,
                one.delivered,
                one.face_minor,
                one.face_currency,
                one.unit_price_minor,
                one.unit_fee_minor,
                one.tax_bps,
                one.charged_minor,
                one.currency,
                one.fx_rate_e10,
            )
        if len(page) < PAGE:
            return
        after = (page[-1].order_id, page[-1].line)


# --- movements --------------------------------------------------------------------------------------------------------

_MOVEMENT_COLUMNS: Final = (
    Column("position", Kind.NUMBER),
    Column("transfer_id", Kind.WORD),
    Column("created_at", Kind.MOMENT),
    Column("partner_id", Kind.WORD),
    Column("mode", Kind.WORD),
    Column("phase", Kind.WORD),
    Column("kind", Kind.WORD),
    Column("change", Kind.MONEY, "currency"),  # of the partner's balance; empty where a transfer moves none
    Column("amount", Kind.MONEY, "currency"),
    Column("currency", Kind.WORD),
    Column("order_id", Kind.WORD),
    Column("reference", Kind.TEXT),
    Column("reverses", Kind.WORD),
)
_ACCOUNT_COLUMNS: Final = (Column("debit", Kind.TEXT), Column("credit", Kind.TEXT))
"""Only the operator's: the names of his accounts."""


def _movements(tx: Tx, given: ExportFilter) -> Iterator[Row]:
    after, shown, wallets = "", given.partner_id is None, _Wallets()
    while page := transfers_after(tx, after, PAGE, **_narrowed(given)):
        for one in page:
            yield _movement(one, wallets, with_accounts=shown)
        if len(page) < PAGE:
            return
        after = page[-1][1]


class _Wallets(dict[tuple[str, str, str], str]):
    """(partner, currency, mode) → the wallet's name, made once."""

    def __missing__(self, key: tuple[str, str, str]) -> str:
        partner_id, currency, mode = key
        self[key] = name = wallet(partner_id, currency, Mode(mode))
        return name


def _movement(one: TransferFigures, wallets: _Wallets, *, with_accounts: bool) -> Row:
    position, id_, at, debit, credit, amount, currency, mode, phase, purpose, partner_id, order_id, reference, reverses = one
    change, kind = None, purpose
    if partner_id is not None and phase == "posted":
        if debit == wallets[partner_id, currency, mode]:
            change = -amount
        else:
            change, kind = amount, kind_name(purpose, _purpose_of(debit))
    if with_accounts:
        return (
            *(position, id_, at, partner_id, mode, phase, kind, change, amount, currency, order_id, reference, reverses),
            *(debit, credit),
        )
    return (position, id_, at, partner_id, mode, phase, kind, change, amount, currency, order_id, reference, reverses)


def _purpose_of(account: str) -> str:
    return account.split(":", 2)[1]


# --- stock ------------------------------------------------------------------------------------------------------------

_STOCK_COLUMNS: Final = (
    Column("lot_id", Kind.WORD),
    Column("mode", Kind.WORD),
    Column("sku", Kind.TEXT),
    Column("name", Kind.TEXT),
    Column("face_value", Kind.MONEY, "face_currency"),
    Column("face_currency", Kind.WORD),
    Column("supplier", Kind.TEXT),
    Column("source", Kind.TEXT),
    Column("bought_at", Kind.MOMENT),
    Column("expires_at", Kind.MOMENT),
    Column("frozen", Kind.WORD),
    Column("unsold", Kind.NUMBER),
    Column("cost", Kind.MONEY, "cost_currency"),
    Column("cost_currency", Kind.WORD),
)


def _stock(tx: Tx, given: ExportFilter, catalog: CatalogSnapshot) -> Iterator[Row]:
    for one in stock_on_hand(tx, given.mode):
        offer = catalog.denomination(one.denomination_id)
        sku, name, code = (offer.sku, offer.name, offer.currency.code) if offer else (one.denomination_id, None, None)
        if given.sku not in (None, sku):
            continue
        yield (
            one.lot_id,
            one.mode,
            sku,
            name,
            one.face_minor if code else None,
            code,
            one.supplier,
            one.source,
            one.bought_at,
            one.expires_at if one.expires_at < NEVER else None,
            "yes" if one.is_frozen else "no",
            one.unsold,
            one.cost_minor,
            one.cost_currency,
        )


# --- a statement ------------------------------------------------------------------------------------------------------


def _statement(tx: Tx, given: ExportFilter) -> Iterator[Row]:
    found = load_statement(tx, given.statement_id or "", partner_id=given.partner_id, mode=given.mode)
    if found is None:
        raise StatementNotFound(statement_id=given.statement_id)
    return statement_rows(found, all_lines(tx, found))


# --- all of them ------------------------------------------------------------------------------------------------------


def columns_of(kind: ExportKind, given: ExportFilter) -> tuple[Column, ...]:
    """The columns of an export."""
    if kind is ExportKind.MOVEMENTS:
        return _MOVEMENT_COLUMNS if given.partner_id is not None else (*_MOVEMENT_COLUMNS, *_ACCOUNT_COLUMNS)
    if kind is ExportKind.MARGIN:
        return margin_columns(given.by)
    fixed = {
        ExportKind.ORDERS: _ORDER_COLUMNS,
        ExportKind.ITEMS: _ITEM_COLUMNS,
        ExportKind.STOCK: _STOCK_COLUMNS,
        ExportKind.STATEMENT: STATEMENT_COLUMNS,
    }
    return fixed[kind]


def rows_of(tx: Tx, kind: ExportKind, given: ExportFilter, catalog: CatalogSnapshot) -> Iterator[Row]:
    """The rows of an export, streamed; inside the caller's read transaction. Raises StatementNotFound."""
    plain: dict[ExportKind, Callable[[Tx, ExportFilter], Iterator[Row]]] = {
        ExportKind.ORDERS: _orders,
        ExportKind.ITEMS: _items,
        ExportKind.MOVEMENTS: _movements,
        ExportKind.STATEMENT: _statement,
    }
    if kind in plain:
        return plain[kind](tx, given)
    if kind is ExportKind.STOCK:
        return _stock(tx, given, catalog)
    return margin_rows(
        tx,
        catalog,
        by=given.by,
        mode=given.mode,
        partner_id=given.partner_id,
        since=given.since,
        until=given.until,
        sku=given.sku,
        base_currency=given.base_currency,
    )
