"""The partner's wallets: what is in them, and what moved them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, put

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, money_in, query_of
from cardrail.api.errors import TestKeyRequired
from cardrail.api.http import parse_moment
from cardrail.api.render import balance_out, encode, moment, transaction_out
from cardrail.api.wire import (
    BalanceOut,
    BalanceQuery,
    BalancesOut,
    ListOut,
    SandboxBalanceIn,
    TransactionOut,
    TransactionQuery,
)
from cardrail.kernel import InvalidAmount, Mode, Money, Page, currency, from_micros, to_micros
from cardrail.ledger import Balance, By, Transfer, balances, credit, debit, list_transfers, load_order_transfers
from cardrail.orders import Buyer
from cardrail.storage import Tx

SANDBOX_MINOR_MAX: Final = 10**12
"""What a test wallet may hold, in minor units: the sums of all test wallets are in one account of the operator's."""


@get(
    "/v1/balances",
    opt=describe(
        "See balances",
        BalancesOut,
        tag="Money",
        scope="balances:read",
        query=BalanceQuery,
        description="Every wallet of the key's mode, now or at a moment in the past (which knows no credit limit).",
    ),
)
async def show_balances(request: HttpRequest) -> Response[bytes]:
    """The partner's wallets."""
    query = query_of(request, BalanceQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    at = parse_moment(query.at, "at") if query.at else None

    def look() -> list[Balance]:
        with desk.parts.db.read() as tx:
            return balances(tx, buyer.partner_id, buyer.mode, at=from_micros(at) if at is not None else None)

    found = await desk.read(look)
    shown_at = at if at is not None else to_micros(desk.parts.clock.now())
    return answer(BalancesOut(buyer.mode.value, moment(shown_at), [balance_out(one) for one in found]))


@get(
    "/v1/transactions",
    opt=describe(
        "List transactions",
        ListOut[TransactionOut],
        tag="Money",
        scope="transactions:read",
        query=TransactionQuery,
        errors=("invalid_cursor",),
        description="What moved, held or freed the money of your wallets, newest first.",
    ),
)
async def list_transactions(request: HttpRequest) -> Response[bytes]:
    """A page of the wallets' movements."""
    query = query_of(request, TransactionQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    filters = encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()
    scope = f"transactions|{buyer.partner_id}|{buyer.mode.value}|{filters}"
    after = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None
    narrowed: dict[str, Any] = {
        "currency": query.currency,
        "since": from_micros(parse_moment(query.since, "since")) if query.since else None,
        "until": from_micros(parse_moment(query.until, "until")) if query.until else None,
    }

    def look() -> Page[Transfer]:
        with desk.parts.db.read() as tx:
            if query.order_id is not None:
                return _of_order(tx, buyer, query.order_id, narrowed, after, query.limit)
            return list_transfers(tx, buyer.partner_id, buyer.mode, **narrowed, after=after, limit=query.limit)

    page = await desk.read(look)
    following = desk.parts.cursors.seal(scope, page.after) if page.after is not None else None
    return answer(ListOut([transaction_out(one) for one in page.items], following))


def _of_order(tx: Tx, buyer: Buyer, order_id: str, narrowed: dict[str, Any], after: str | None, limit: int) -> Page[Transfer]:
    """The same list for one order, whose transfers are few."""
    currency_code, since, until = narrowed["currency"], narrowed["since"], narrowed["until"]
    found = [
        one
        for one in sorted(load_order_transfers(tx, order_id), key=lambda one: one.id, reverse=True)
        if one.partner_id == buyer.partner_id
        and one.mode is buyer.mode
        and currency_code in (None, one.currency)
        and (since is None or one.created_at >= since)
        and (until is None or one.created_at < until)
        and (after is None or one.id < after)
    ]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


@put(
    "/v1/sandbox/balance",
    opt=describe(
        "Set the balance of the test wallet",
        BalanceOut,
        tag="Sandbox",
        scope="sandbox:write",
        body=SandboxBalanceIn,
        errors=("test_key_required", "unknown_currency", "invalid_amount", "insufficient_funds", "account_full"),
        description="Test keys only. A transfer makes the difference, as with real money.",
    ),
)
async def set_sandbox_balance(request: HttpRequest) -> Response[bytes]:
    """Bring the test wallet to an amount."""
    desk, buyer = desk_of(request), buyer_in(request)
    if buyer.mode is not Mode.TEST:
        raise TestKeyRequired
    asked = (await desk.body(request, SandboxBalanceIn)).balance
    unit = currency(asked.currency)
    wanted = Money(money_in(asked.amount, unit.code, unit.digits, "/balance/amount"), unit)
    if wanted.minor > SANDBOX_MINOR_MAX:
        raise InvalidAmount(currency=unit.code, pointer="/balance/amount", maximum=Money(SANDBOX_MINOR_MAX, unit).amount)
    by = By(desk.parts.clock.now(), buyer.actor, desk.parts.audit, desk.parts.shop.books.node, buyer.origin)

    def work() -> Balance:
        with desk.parts.db.transaction() as tx:
            return _set_balance(tx, by, buyer, wanted)

    return answer(balance_out(await desk.write(work)))


def _set_balance(tx: Tx, by: By, buyer: Buyer, wanted: Money) -> Balance:
    """Credit or debit the difference. Raises InsufficientFunds where what is held or owed stands in the way."""
    difference = wanted.minor - _balance(tx, buyer, wanted).balance_minor
    if difference > 0:
        credit(tx, by, buyer.partner_id, Money(difference, wanted.currency), Mode.TEST)
    elif difference < 0:
        debit(tx, by, buyer.partner_id, Money(-difference, wanted.currency), Mode.TEST)
    return _balance(tx, buyer, wanted)


def _balance(tx: Tx, buyer: Buyer, wanted: Money) -> Balance:
    code = wanted.currency.code
    found = [one for one in balances(tx, buyer.partner_id, Mode.TEST) if one.currency == code]
    return found[0] if found else Balance(code, Mode.TEST, 0, 0, 0, 0)


MONEY_ROUTES: Final = (show_balances, list_transactions, set_sandbox_balance)
