"""GET /balance and /reconciliation (specs/foxreload.md, section 2.1)."""

from __future__ import annotations

import csv
import io

from cardrail.api.compat import Answer, Call, decimal_text, json_answer
from cardrail.api.dialects.foxreload.asked import (
    cursor_scope,
    limit_of,
    moment_of,
    opened_cursor,
    sealed_cursor,
    seconds,
    text_of,
)
from cardrail.api.dialects.foxreload.generic.wire import BalanceOut, ReconciliationOut, ReconciliationRow
from cardrail.api.dialects.foxreload.orders import reference_of
from cardrail.api.dialects.foxreload.states import GENERIC
from cardrail.api.dialects.foxreload.wares import shown_sku
from cardrail.api.errors import InvalidQuery
from cardrail.catalog import CatalogSnapshot
from cardrail.ledger import balances
from cardrail.orders import FINAL, Order, OrderFilter, ended_at, list_orders
from cardrail.settlement import settlement_state

LIMIT_DEFAULT = 100


async def balance(call: Call) -> Answer:
    """What the caller may still spend from his wallet."""
    buyer = call.buyer()

    def look() -> int:
        with call.desk.parts.db.read() as tx:
            found = balances(tx, buyer.partner_id, buyer.mode)
        return next((one.available_minor for one in found if one.currency == buyer.currency), 0)

    available = await call.desk.read(look)
    return json_answer(BalanceOut(decimal_text(available, buyer.currency), buyer.currency))


async def reconciliation(call: Call) -> Answer:
    """Past orders, newest first, as JSON or CSV."""
    query = call.query()
    since, until = moment_of(query, "from"), moment_of(query, "to")
    form = text_of(query, "format") or "json"
    if form not in ("json", "csv"):
        raise InvalidQuery(parameter="format", detail="format is json or csv.")
    limit = limit_of(query, LIMIT_DEFAULT)
    scope = cursor_scope(call, "reconciliation", since, until)
    before = opened_cursor(call, query, scope)
    buyer, parts = call.buyer(), call.desk.parts

    def look() -> tuple[list[ReconciliationRow], str | None]:
        found = list_orders(parts.db, buyer, OrderFilter(since=since, until=until), before=before, limit=limit)
        page = found[:limit]
        ended = ended_at(parts.db, page)
        rows = [row_of(parts.catalog.current(), one, ended.get(one.id)) for one in page]
        return rows, page[-1].id if len(found) > limit else None

    rows, last = await call.desk.read(look)
    following = sealed_cursor(call, scope, last)
    if form == "csv":
        return _csv(rows, following)
    return json_answer(ReconciliationOut(rows, following))


def row_of(snapshot: CatalogSnapshot, order: Order, ended: int | None) -> ReconciliationRow:
    """An order as finance sees it."""
    return ReconciliationRow(
        order_id=order.id,
        reference=reference_of(order),
        sku=" ".join([shown_sku(snapshot, item) for item in order.items]),
        quantity=sum([item.quantity for item in order.items]),
        amount=decimal_text(amount_of(order), order.currency),
        currency=order.currency,
        status=GENERIC[order.state],
        settlement_status=settlement_state(order.state, order.charged_minor, order.refunded_minor),
        created_at=seconds(order.created_at),
        completed_at=seconds(ended) if ended is not None else None,
    )


def amount_of(order: Order) -> int:
    """The sum paid: while nothing is charged yet, the price; what was partly given back is taken off, what was wholly, is not."""
    if order.state not in FINAL:
        return order.total_minor
    left = order.charged_minor - order.refunded_minor
    return left if left else order.charged_minor


def _csv(rows: list[ReconciliationRow], following: str | None) -> Answer:
    """The rows as CSV. The next page's cursor is in a header, because the file has no place for it."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = ReconciliationRow.__struct_fields__
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    headers = [(b"content-type", b"text/csv; charset=utf-8"), (b"cache-control", b"no-store")]
    if following is not None:
        headers.append((b"x-next-cursor", following.encode()))
    return Answer(200, text.getvalue().encode(), headers)


def _cell(value: object) -> object:
    """No cell that a spreadsheet would take for a formula: references and skus are others' texts."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return "" if value is None else value
