"""Transactions (specs/starship.md, section 2.9): one for what an order took, one for each refund, credit and correction.

An order's transaction has the order's number, so that it is known with the answer to the order. Any other's number holds the millisecond
that it was made in, so that it leads back to its transfer without a row of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.starship.amounts import number2, rate_number, when_micros
from cardrail.api.dialects.starship.errors import NOT_FOUND, Refusal
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.reading import id_in, query_of
from cardrail.api.dialects.starship.reference import currency_id
from cardrail.api.dialects.starship.wallets import Wallets, wallet_number
from cardrail.kernel import OrderId, first_body, uuid_of
from cardrail.ledger import WalletEntry, entries_between, order_entry, slice_entries
from cardrail.orders import Order, OrderNotFound, find_orders, get_order_numbered, number_orders

LIMIT: Final = 50
LIMIT_MAX: Final = 10_000
_SORTS: Final = ("id", "amount", "created_at")
_STATES: Final = ("PENDING", "COMPLETED", "FAILED")
_TYPES: Final = ("CREDIT", "DEBIT")

_EPOCH_MILLIS: Final = 1_577_836_800_000  # 2020: 41 bits of milliseconds from there last until 2089
_HASH_BITS: Final = 12


class TransactionOut(msgspec.Struct):
    """One movement of a wallet; its direction is in its type."""

    id: int
    wallet_id: int
    currency_id: int
    amount: msgspec.Raw
    transaction_type: str
    status: str
    source_currency: str | None
    destination_currency: str | None
    forex_rate: msgspec.Raw | None
    conversion_charges: msgspec.Raw | None
    remarks: str
    created_at: str


class Transactions:
    """The routes of transactions."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/v1/transactions", self.browse, scope="transactions:read"),
            Route("GET", "/api/v1/transactions/{id}", self.show, scope="transactions:read"),
        ]

    async def browse(self, call: Call) -> Answer:
        """A page of what moved the client's wallets, newest first."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        by, descending = fields.sort(_SORTS)
        kind = fields.choice("transaction_type", _TYPES)
        status = fields.choice("status", _STATES)
        wallet_id = fields.integer("wallet_id")
        fields.check()
        parts, principal = call.desk.parts, call.principal
        currency = await self._wallets.currency_of(principal, wallet_id) if wallet_id is not None else None

        def look() -> tuple[list[WalletEntry], int]:
            with parts.db.read() as tx:
                return slice_entries(
                    tx,
                    principal.partner_id,
                    principal.mode,
                    currency=currency,
                    is_credit=None if kind is None else kind == "CREDIT",
                    state=None if status is None else status.lower(),
                    sort=by,
                    descending=descending,
                    offset=paging.offset,
                    limit=paging.size,
                )

        entries, total = await call.desk.read(look)
        return page_answer(await self._shown(call, entries), paging, total)

    async def show(self, call: Call) -> Answer:
        """One transaction: an order's by its number, any other by its time."""
        number = id_in(call)
        parts, principal, buyer = call.desk.parts, call.principal, call.buyer()

        def look() -> list[WalletEntry]:
            try:
                order_id = get_order_numbered(parts.db, buyer, number).id
            except OrderNotFound:
                first, last = range_of(number)
                with parts.db.read() as tx:
                    found = entries_between(tx, principal.partner_id, principal.mode, first, last)
                return [one for one in found if entry_number(one.id) == number]
            with parts.db.read() as tx:
                entry = order_entry(tx, principal.partner_id, principal.mode, order_id)
            return [] if entry is None else [entry]

        found = await call.desk.read(look)
        if not found:
            raise Refusal(NOT_FOUND)
        return json_answer((await self._shown(call, found[:1]))[0])

    async def _shown(self, call: Call, entries: Sequence[WalletEntry]) -> Sequence[TransactionOut]:
        """The entries with their orders' numbers and rates."""
        ids = [OrderId(one.order_id) for one in entries if one.order_id is not None]
        db = call.desk.parts.db
        orders = await call.desk.read(lambda: find_orders(db, ids=ids)) if ids else []
        if any(one.number is None for one in orders):
            await call.desk.write(lambda: number_orders(db, orders))
        by_id = {one.id: one for one in orders}
        return [
            transaction_out(one, call.principal, by_id.get(OrderId(one.order_id)) if one.order_id is not None else None)
            for one in entries
        ]


def transaction_out(entry: WalletEntry, principal: Principal, order: Order | None) -> TransactionOut:
    """An entry in the vendor's words."""
    is_own = order is not None and entry.purpose == "sale"
    code = entry.currency
    source = order.items[0].face_currency if order is not None else code
    rate = order.items[0].fx_rate_e10 if order is not None and source != code else None
    fees = sum([one.unit_fee_minor * one.quantity for one in order.items]) if order is not None else 0
    side = "credited" if entry.is_credit else "debited"
    about = f" for order {order.number}" if order is not None else ""
    return TransactionOut(
        id=order.number if is_own and order is not None and order.number is not None else entry_number(entry.id),
        wallet_id=wallet_number(principal.partner_id, code, principal.mode),
        currency_id=currency_id(code),
        amount=number2(entry.amount_minor, code),
        transaction_type="CREDIT" if entry.is_credit else "DEBIT",
        status=entry.state.upper(),
        source_currency=source,
        destination_currency=code,
        forex_rate=rate_number(rate),
        conversion_charges=number2(fees, code) if rate is not None else None,
        remarks=f"{code} wallet {side} {bytes(number2(entry.amount_minor, code)).decode()}{about}",
        created_at=when_micros(entry.created_at),
    )


def entry_number(transfer_id: str) -> int:
    """The number of a transaction that is no order's: 41 bits of its time, 12 of a hash of its id."""
    millis = (UUID(uuid_of(transfer_id)).int >> 80) - _EPOCH_MILLIS
    digest = hashlib.blake2b(transfer_id.encode(), digest_size=2).digest()
    return max(0, millis) << _HASH_BITS | int.from_bytes(digest) >> (16 - _HASH_BITS)


def range_of(number: int) -> tuple[str, str]:
    """The ids that a number can stand for: from the first to before the last."""
    millis = (number >> _HASH_BITS) + _EPOCH_MILLIS
    return f"trf_{first_body(millis)}", f"trf_{first_body(millis + 1)}"
