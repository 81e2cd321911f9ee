"""Statements and reconciliation: what a partner's finance reads. Long answers are streamed, page by page from the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from cardrail.api.desk import Desk, HttpRequest, answer, buyer_in, describe, desk_of, query_of
from cardrail.api.http import parse_moment
from cardrail.api.render import encode, maybe_moment, moment, money, rate
from cardrail.api.wire import ListOut
from cardrail.api.wire_settlement import (
    ReconciliationItemOut,
    ReconciliationOrderOut,
    ReconciliationOut,
    ReconciliationQuery,
    SettlementFileQuery,
    SettlementLineOut,
    SettlementLinesQuery,
    SettlementOut,
    SettlementQuery,
    SettlementShowQuery,
    SoldItemOut,
    TaxRateOut,
    WalletPeriodOut,
)
from cardrail.kernel import currency, format_minor, from_micros, rfc3339
from cardrail.orders import Buyer
from cardrail.settlement import (
    DRAFT,
    MEDIA_TYPES,
    RECONCILIATION_COLUMNS,
    STATEMENT_COLUMNS,
    Format,
    InvalidPeriod,
    LineMark,
    Reconciliation,
    ReconciliationOrder,
    SoldItem,
    Statement,
    StatementLine,
    WalletPeriod,
    canonical_foot,
    canonical_head,
    canonical_line,
    closing_row,
    csv_header,
    csv_rows,
    draft_statement,
    file_name,
    get_statement,
    line_row,
    list_statements,
    opening_row,
    reconciliation,
    reconciliation_row,
    statement_lines,
)

PAGE: Final = 1_000
"""Lines or orders that are read for one piece of a stream."""
NOT_KEPT: Final = {"cache-control": "no-store"}


# --- statements -------------------------------------------------------------------------------------------------------


@get(
    "/v1/settlements",
    opt=describe(
        "List statements",
        ListOut[SettlementOut],
        tag="Settlement",
        scope="settlements:read",
        query=SettlementQuery,
        errors=("invalid_cursor",),
        description="Closed statements of the key's mode, newest first. The present period is at `/v1/settlements/draft`.",
    ),
)
async def list_settlements(request: HttpRequest) -> Response[bytes]:
    """A page of the partner's closed statements."""
    query = query_of(request, SettlementQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    scope = f"settlements|{buyer.partner_id}|{buyer.mode.value}|{query.currency}|{query.since}|{query.until}"
    after = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None
    since = from_micros(parse_moment(query.since, "since")) if query.since else None
    until = from_micros(parse_moment(query.until, "until")) if query.until else None
    page = await desk.read(
        lambda: list_statements(
            desk.parts.db,
            buyer.partner_id,
            buyer.mode,
            currency=query.currency,
            since=since,
            until=until,
            after=after,
            limit=query.limit,
        )
    )
    following = desk.parts.cursors.seal(scope, page.after) if page.after is not None else None
    return answer(ListOut([settlement_out(one) for one in page.items], following))


@get(
    "/v1/settlements/{statement_id:str}",
    opt=describe(
        "See a statement",
        SettlementOut,
        tag="Settlement",
        scope="settlements:read",
        query=SettlementShowQuery,
        errors=("statement_not_found", "unknown_currency"),
        description="`draft` is the present period of a wallet as it stands.",
    ),
)
async def show_settlement(request: HttpRequest, statement_id: FromPath[str]) -> Response[bytes]:
    """One statement, without its lines."""
    query = query_of(request, SettlementShowQuery)
    return answer(settlement_out(await _statement(request, statement_id, query.currency)))


@get(
    "/v1/settlements/{statement_id:str}/lines",
    opt=describe(
        "List the lines of a statement",
        ListOut[SettlementLineOut],
        tag="Settlement",
        scope="settlements:read",
        query=SettlementLinesQuery,
        errors=("statement_not_found", "unknown_currency", "invalid_cursor"),
        description="In the order in which they moved the balance.",
    ),
)
async def list_settlement_lines(request: HttpRequest, statement_id: FromPath[str]) -> Response[bytes]:
    """A page of a statement's lines."""
    query = query_of(request, SettlementLinesQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    scope = f"settlement-lines|{buyer.partner_id}|{buyer.mode.value}|{statement_id}|{query.currency}"
    mark = None
    if query.cursor is not None:
        mark = LineMark(*[int(part) for part in desk.parts.cursors.open(scope, query.cursor).split(":")])
    one = await _statement(request, statement_id, query.currency)
    lines, following = await desk.read(lambda: statement_lines(desk.parts.db, one, after=mark, limit=query.limit))
    sealed = desk.parts.cursors.seal(scope, ":".join(map(str, following))) if following is not None else None
    return answer(ListOut([line_out(line, one.currency) for line in lines], sealed))


@get(
    "/v1/settlements/{statement_id:str}/file",
    opt=describe(
        "Download a statement",
        "text/csv",
        tag="Settlement",
        scope="settlements:read",
        query=SettlementFileQuery,
        errors=("statement_not_found", "unknown_currency"),
        also=("application/x-ndjson",),
        description="Streamed, with all its lines. The SHA-256 of a closed one's `jsonl` is its `hash`.",
    ),
)
async def download_settlement(request: HttpRequest, statement_id: FromPath[str]) -> Stream:
    """The whole statement as a file."""
    query = query_of(request, SettlementFileQuery)
    one, kind = await _statement(request, statement_id, query.currency), Format(query.format)
    return _file(_statement_pieces(desk_of(request), one, kind), kind, file_name(one, kind))


async def _statement(request: HttpRequest, statement_id: str, currency_code: str | None) -> Statement:
    """The partner's closed statement, or his wallet's draft. Raises StatementNotFound, UnknownCurrency."""
    desk, buyer = desk_of(request), buyer_in(request, currency_code)
    db = desk.parts.db
    if statement_id == DRAFT:
        return await desk.read(lambda: draft_statement(db, desk.parts.clock, buyer.partner_id, buyer.currency, buyer.mode))
    return await desk.read(lambda: get_statement(db, statement_id, partner_id=buyer.partner_id, mode=buyer.mode))


async def _statement_pieces(desk: Desk, one: Statement, kind: Format) -> AsyncIterator[bytes]:
    is_csv = kind is Format.CSV
    yield csv_header(STATEMENT_COLUMNS) + csv_rows(STATEMENT_COLUMNS, [opening_row(one)]) if is_csv else canonical_head(one)
    mark: LineMark | None = None
    while True:
        lines, mark = await desk.read(partial(statement_lines, desk.parts.db, one, after=mark, limit=PAGE))
        if is_csv:
            yield csv_rows(STATEMENT_COLUMNS, [line_row(line, one.currency) for line in lines])
        else:
            yield b"".join([canonical_line(line) for line in lines])
        if mark is None:
            break
    yield csv_rows(STATEMENT_COLUMNS, [closing_row(one)]) if is_csv else canonical_foot(one)


def _file(pieces: AsyncIterator[bytes], kind: Format, name: str) -> Stream:
    headers = {**NOT_KEPT, "content-disposition": f'attachment; filename="{name}"'}
    return Stream(pieces, media_type=MEDIA_TYPES[kind], headers=headers)


# --- reconciliation ---------------------------------------------------------------------------------------------------


@get(
    "/v1/reconciliation",
    opt=describe(
        "Reconcile a period",
        ReconciliationOut,
        tag="Settlement",
        scope="settlements:read",
        query=ReconciliationQuery,
        errors=("invalid_period",),
        also=("text/csv",),
        description="Every order that was placed in the period, with what it was charged and given back, and what each wallet held "
        "at both ends of it. Streamed, so it may be long. `format=csv` has a row for each order.",
    ),
)
async def reconcile(request: HttpRequest) -> Stream:
    """The orders and sums of a period."""
    query = query_of(request, ReconciliationQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    since, until = from_micros(parse_moment(query.from_, "from")), from_micros(parse_moment(query.to, "to"))
    if not since < until:
        raise InvalidPeriod(reason="it ends before it begins")

    def page(after: str) -> Reconciliation:
        return reconciliation(
            desk.parts.db, buyer.partner_id, buyer.mode, since, until, currency=query.currency, after=after, limit=PAGE
        )

    first = await desk.read(lambda: page(""))
    if query.format == "csv":
        name = f"reconciliation-{since:%Y%m%d}-{until:%Y%m%d}.csv"
        return _file(_reconciliation_csv(desk, first, page), Format.CSV, name)
    return Stream(_reconciliation_json(desk, buyer, since, until, first, page), media_type="application/json", headers=NOT_KEPT)


async def _pages(desk: Desk, first: Reconciliation, page: Callable[[str], Reconciliation]) -> AsyncIterator[Reconciliation]:
    yield first
    while first.after is not None:
        first = await desk.read(partial(page, first.after))
        yield first


async def _reconciliation_csv(desk: Desk, first: Reconciliation, page: Callable[[str], Reconciliation]) -> AsyncIterator[bytes]:
    yield csv_header(RECONCILIATION_COLUMNS)
    async for one in _pages(desk, first, page):
        yield csv_rows(RECONCILIATION_COLUMNS, map(reconciliation_row, one.orders))


async def _reconciliation_json(
    desk: Desk, buyer: Buyer, since: datetime, until: datetime, first: Reconciliation, page: Callable[[str], Reconciliation]
) -> AsyncIterator[bytes]:
    """One object; its head and its orders come as they are read."""
    head = ReconciliationOut(
        buyer.mode.value, rfc3339(since), rfc3339(until), [wallet_period_out(one) for one in first.wallets], []
    )
    yield encode(head).removesuffix(b"]}")
    is_first = True
    async for one in _pages(desk, first, page):
        orders = b",".join([encode(reconciliation_order_out(order)) for order in one.orders])
        if orders:
            yield orders if is_first else b"," + orders
            is_first = False
    yield b"]}"


# --- what goes over the wire ------------------------------------------------------------------------------------------


def settlement_out(one: Statement) -> SettlementOut:
    code = one.currency
    return SettlementOut(
        id=one.id,
        state="closed" if one.is_closed else "draft",
        mode=one.mode.value,
        currency=code,
        number=one.number,
        period_from=rfc3339(one.period_from),
        period_to=rfc3339(one.period_to),
        timezone=one.timezone,
        opening=money(one.opening_minor, code),
        closing=money(one.closing_minor, code),
        opening_held=money(one.opening_held_minor, code),
        closing_held=money(one.closing_held_minor, code),
        movements=one.movements,
        totals={kind: money(minor, code) for kind, minor in one.totals.items()},
        taxes=[
            TaxRateOut(
                None if tax.rate_bps is None else format_minor(tax.rate_bps, 2),
                money(tax.net_minor, code),
                money(tax.tax_minor, code),
            )
            for tax in one.taxes
        ],
        previous_id=one.previous_id,
        previous_hash=one.previous_hash,
        hash=one.hash,
        closed_at=rfc3339(one.closed_at) if one.closed_at else None,
    )


def line_out(line: StatementLine, code: str) -> SettlementLineOut:
    return SettlementLineOut(
        n=line.n,
        at=line.at,
        kind=line.kind,
        change=money(line.change_minor, code),
        balance=money(line.balance_minor, code),
        order_id=line.order_id,
        reference=line.reference,
        reverses=line.reverses,
        transfer_id=line.transfer_id,
        items=_items_out(line.items, code),
    )


def _items_out(items: Iterable[SoldItem], code: str) -> list[SoldItemOut]:
    return [
        SoldItemOut(
            sku=one.sku,
            name=one.name,
            ordered=one.ordered,
            units=one.units,
            unit_price=money(one.unit_price_minor, code),
            unit_fee=money(one.unit_fee_minor, code),
            tax_percent=format_minor(one.tax_bps, 2),
            fx_rate=rate(one.fx_rate_e10),
        )
        for one in items
    ]


def wallet_period_out(one: WalletPeriod) -> WalletPeriodOut:
    code = currency(one.currency).code
    return WalletPeriodOut(
        currency=code,
        opening=money(one.opening_minor, code),
        closing=money(one.closing_minor, code),
        totals={kind: money(minor, code) for kind, minor in one.totals.items()},
    )


def reconciliation_order_out(one: ReconciliationOrder) -> ReconciliationOrderOut:
    code = one.currency
    return ReconciliationOrderOut(
        id=one.order_id,
        reference=one.reference,
        state=one.state,
        settlement=one.settlement,
        total=money(one.total_minor, code),
        charged=money(one.charged_minor, code),
        refunded=money(one.refunded_minor, code),
        created_at=moment(one.created_at),
        completed_at=maybe_moment(one.completed_at),
        items=[
            ReconciliationItemOut(item.sku, item.name, item.quantity, money(item.unit_price_minor, code)) for item in one.items
        ],
    )


SETTLEMENT_ROUTES: Final = (
    list_settlements,
    show_settlement,
    list_settlement_lines,
    download_settlement,
    reconcile,
)
