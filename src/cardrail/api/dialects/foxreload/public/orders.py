"""Creating, paying and reading orders (specs/foxreload.md, sections 2.3, 3.3, 3.4 and 7, A8 to A13).

An order is created unpaid at today's price; paying it is what buys. A live key's ``isMock`` order is an order of test mode, found again
by its id.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.foxreload.public.asked import Line, check_stock, details_of, lines_of, shelf_key
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.queries import OFFSET_MAX, Query
from cardrail.api.dialects.foxreload.public.shelf import Shelves
from cardrail.api.dialects.foxreload.public.shown import BY_PAYMENT, BY_USER, EXPIRED, is_mock, order_out, payment_out, remembered
from cardrail.api.dialects.foxreload.public.states import CANCELLED, states_of, status_of
from cardrail.api.dialects.foxreload.public.texts import parse_moment
from cardrail.api.dialects.foxreload.public.view import View, currency_of, view_of
from cardrail.api.dialects.foxreload.public.wire import OrderIn, OrderOut, OrderPageOut, PayIn
from cardrail.api.errors import InvalidBody, NoItems, TooManyItems
from cardrail.api.http import decode_body, decoder_for
from cardrail.api.render import Codes
from cardrail.kernel import CardrailError, Mode, Money, OrderId, currency, id_of_uuid, new_order_id, to_micros
from cardrail.ledger import By, InsufficientFunds, balances, credit
from cardrail.orders import (
    Buyer,
    IdempotencyConflict,
    NotPayable,
    Order,
    OrderFilter,
    OrderNotFound,
    OrderState,
    PayOrder,
    PlaceOrder,
    cancel_order,
    find_bound,
    get_order,
    order_history,
    place_order_command,
    reveal_order,
    slice_orders,
)

_WITH_CODES: Final = frozenset({OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED})
_DONE: Final = _WITH_CODES | {OrderState.INVALIDATED}
MOCK_MINOR_MAX: Final = 10**12
"""What a mock order may cost and still be free, in minor units: the sums of all test wallets are in one account of the operator's."""

PLENTY: Final = 1_000
"""Units in stock that make one order's quantity no question."""
PLENTY_SECONDS: Final = 1.0
"""How long that holds without counting again; a create reserves nothing anyway."""
PLENTY_KEPT_MAX: Final = 10_000

_PAYMENT: Final = decoder_for(PayIn)


class Orders:
    """The routes of orders."""

    def __init__(self, profile: PublicProfile, shelves: Shelves) -> None:
        self._profile = profile
        self._shelves = shelves
        self._plenty: dict[tuple[str, int], float] = {}

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("POST", "/orders", self.create, "orders:write", is_order=True),
            Route("GET", "/orders", self.list_orders, "orders:read"),
            Route("GET", "/orders/{order}", self.show, "orders:read"),
            Route("POST", "/orders/{order}/pay", self.pay, "orders:write", is_order=True),
        )

    # --- creating -------------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> Answer:
        """An unpaid order at today's price: 201, active."""
        wanted = await call.body(OrderIn)
        if not wanted.items:
            raise NoItems(where="items", said=f"It has 1 to {self._profile.items_max}.")
        if len(wanted.items) > self._profile.items_max:
            raise TooManyItems(where="items", said=f"It has 1 to {self._profile.items_max}.")
        if wanted.idempotency_key is not None and not wanted.idempotency_key.isprintable():
            raise InvalidBody(where="idempotencyKey", said="It has characters that cannot be printed.")
        try:
            order = await self._create(call, wanted)
        except CardrailError as refusal:
            await self._tell_of_first(call, wanted, refusal)
            raise
        return json_answer(await self._shown(call, order, None), 201)

    async def _create(self, call: Call, wanted: OrderIn) -> Order:
        order_id = new_order_id()
        mock = bool(wanted.is_mock)
        wallet, named = currency_of(call, self._profile)
        call.facts["currency"] = wallet
        lines = await self._checked(call, wanted, mock=mock)
        total = sum([one.total_minor for one in lines])
        is_guarded = any(one.total_price is not None for one in wanted.items)
        ceiling = Money(total, currency(wallet)) if is_guarded else None
        mode = Mode.TEST if mock else None

        def command(_: Principal) -> PlaceOrder:
            return place_order_command(
                order_id,
                call.buyer(wallet, mode),
                tuple([one.request for one in lines]),
                key=wanted.idempotency_key,
                max_total=ceiling,
                pay_later=True,
                details=details_of(lines, is_mock=mock),
                currency=named,
            )

        order, _, is_new = await call.place(command, reveal_repeated=False)
        if not is_new:
            raise IdempotencyConflict(order_id=order.id)
        return order

    async def _checked(self, call: Call, wanted: OrderIn, *, mock: bool) -> list[Line]:
        """The lines at today's prices, of which there is enough as far as the profile wants that known. Raises whatever refuses them."""
        if not self._shelves.at_hand(call.desk.parts.catalog.current()):
            await call.desk.read(lambda: view_of(call, self._profile, self._shelves))
        view = view_of(call, self._profile, self._shelves)
        lines = lines_of(view, wanted.items, is_mock=mock)
        is_counted = view.mode is Mode.LIVE and not mock and self._profile.checks_stock_at_create
        if is_counted and not self._is_plenty(lines):
            await call.desk.read(lambda: self._count(view, lines))
        if self._profile.checks_balance_at_create and not mock:
            total = sum([one.total_minor for one in lines])
            await call.desk.read(lambda: _check_balance(call, call.buyer(view.wallet), total))
        return lines

    def _count(self, view: View, lines: list[Line]) -> None:
        """Raises OutOfStock. Of what there is plenty, the next orders need not ask for a moment: paying is what takes it."""
        left = check_stock(view, lines)
        until = time.monotonic() + PLENTY_SECONDS
        if len(self._plenty) > PLENTY_KEPT_MAX:
            self._plenty.clear()
        self._plenty |= {key: until for key, count in left.items() if count >= PLENTY}

    def _is_plenty(self, lines: list[Line]) -> bool:
        now = time.monotonic()
        return all(one.request.quantity <= PLENTY and self._plenty.get(shelf_key(one), 0.0) > now for one in lines)

    async def _tell_of_first(self, call: Call, wanted: OrderIn, refusal: CardrailError) -> None:
        """A key that was used is told of before anything else that is wrong by now. Raises IdempotencyConflict."""
        if wanted.idempotency_key is None or isinstance(refusal, IdempotencyConflict):
            return
        key, buyer = wanted.idempotency_key, call.buyer(None, Mode.TEST if wanted.is_mock else None)
        if await call.desk.read(lambda: find_bound(call.desk.parts.db, buyer, key)) is not None:
            raise IdempotencyConflict from refusal

    # --- paying ---------------------------------------------------------------------------------------------------------

    async def pay(self, call: Call) -> Answer:
        """Pay from the balance; what there is of the order is then bought."""
        raw = await call.body_bytes()
        wanted = decode_body(_PAYMENT, raw) if raw.strip() else PayIn()
        order, buyer = await self._own(call)
        call.facts |= {"currency": order.currency, "out_of_stock": self._profile.no_stock_at_pay}
        if wanted.payment_provider is not None:
            raise NotPayable(said="There is no payment provider here: pay from the balance, with paymentProvider null.")
        if remembered(order).get("cancelled"):
            await self._cancel_mock(call, order, buyer)
        try:
            paid = await self._pay(call, order, buyer.mode)
        except InsufficientFunds as short:
            if not (self._profile.mock_is_free and is_mock(order)):
                raise
            await self._fill(call, buyer, order, short)
            paid = await self._pay(call, order, buyer.mode)
        return json_answer(payment_out(paid))

    async def _pay(self, call: Call, order: Order, mode: Mode) -> Order:
        """Raises NotPayable where it was paid before, and what else refuses it."""
        units = sum([item.quantity for item in order.items])

        def command(_: Principal) -> PayOrder:
            buyer = replace(call.buyer(order.currency, mode), may_reveal=False)  # codes are shown when the order is read
            return PayOrder(order.id, buyer, units, allow_partial=True)

        paid, _, is_new = await call.place(command, reveal_repeated=False)
        if not is_new:
            raise NotPayable(state=paid.state.value)
        return paid

    async def _fill(self, call: Call, buyer: Buyer, order: Order, short: InsufficientFunds) -> None:
        """Put what a mock order lacks into the test wallet."""
        parts = call.desk.parts
        needed, available = (int(str(short.facts[name])) for name in ("needed_minor", "available_minor"))
        if needed > MOCK_MINOR_MAX:
            raise short
        missing = Money(needed - available, currency(order.currency))
        by = By(parts.clock.now(), buyer.actor, parts.audit, parts.shop.books.node, buyer.origin)

        def work() -> None:
            with parts.db.transaction() as tx:
                credit(tx, by, buyer.partner_id, missing, Mode.TEST)

        await call.desk.write(work)

    async def _cancel_mock(self, call: Call, order: Order, buyer: Buyer) -> None:
        """The mock outcome "cancelled": its payment fails. Raises NotPayable."""
        parts = call.desk.parts
        if order.state is OrderState.PLACED:
            await call.desk.write(lambda: cancel_order(parts.db, parts.clock, buyer, order.id))
        raise NotPayable

    # --- reading --------------------------------------------------------------------------------------------------------

    async def show(self, call: Call) -> Answer:
        """One order, with its codes where there are some and the key may see them."""
        order, buyer = await self._own(call)
        codes: list[Codes | None] | None = None
        if order.state in _DONE and buyer.may_reveal:
            if order.state in _WITH_CODES:
                parts = call.desk.parts
                order_id = order.id
                order = await call.desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, order_id))
            codes = await call.opened(order)
        return json_answer(await self._shown(call, order, [one or () for one in codes] if codes is not None else None))

    async def list_orders(self, call: Call) -> Answer:
        """The key's orders, newest first, without their codes."""
        query = Query(call)
        limit = query.number("limit", self._profile.product_limit, 1, self._profile.limit_max)
        offset = query.number("offset", 0, 0, OFFSET_MAX)
        statuses = query.texts("status")
        states, unpaid = states_of(statuses)
        since, until = query.text("createdFrom"), query.text("createdTo")
        filters = OrderFilter(
            since=parse_moment(since, "createdFrom") if since is not None else None,
            until=parse_moment(until, "createdTo") if until is not None else None,
            unpaid=unpaid,
        )
        buyer, db = call.buyer(), call.desk.parts.db
        now = to_micros(call.desk.parts.clock.now())

        def look() -> OrderPageOut:
            found, total = slice_orders(db, buyer, filters, states=states, offset=offset, limit=limit)
            if statuses:  # one whose time is over, and that no chore has cancelled yet, is active no longer
                wanted = {CANCELLED if one == "canceled" else one for one in statuses}
                found = [one for one in found if status_of(one, now) in wanted]
            view = view_of(call, self._profile, self._shelves)
            return OrderPageOut([self._out(view, one, None, now) for one in found], limit, offset, total)

        return json_answer(await call.desk.read(look))

    async def _own(self, call: Call) -> tuple[Order, Buyer]:
        """The order that the path names, and as whom it is read: a live key finds its mock orders too. Raises OrderNotFound."""
        found = id_of_uuid("ord", call.params["order"])
        if found is None:
            raise OrderNotFound
        order_id, db = OrderId(found), call.desk.parts.db
        own, test = call.buyer(), call.buyer(None, Mode.TEST)

        def look() -> tuple[Order, Buyer]:
            try:
                return get_order(db, own, order_id), own
            except OrderNotFound:
                order = get_order(db, test, order_id)
                if not is_mock(order):
                    raise
                return order, test

        return await call.desk.read(look)

    async def _shown(self, call: Call, order: Order, codes: list[Codes | None] | None) -> OrderOut:
        """The order; on a thread only where more must be read or made for it."""
        now = to_micros(call.desk.parts.clock.now())
        if order.state is not OrderState.CANCELLED and self._shelves.at_hand(call.desk.parts.catalog.current()):
            return self._out(view_of(call, self._profile, self._shelves), order, codes, now)
        return await call.desk.read(lambda: self._out(view_of(call, self._profile, self._shelves), order, codes, now))

    def _out(self, view: View, order: Order, codes: list[Codes | None] | None, now: int) -> OrderOut:
        minutes = view.desk.parts.shop.unpaid_minutes
        return order_out(view, order, codes, now=now, minutes=minutes, cancel_reason=_cancel_reason(view, order))


def _cancel_reason(view: View, order: Order) -> str:
    """Why a cancelled order was cancelled: its history knows who did it."""
    if order.state is not OrderState.CANCELLED:
        return EXPIRED
    if remembered(order).get("cancelled"):
        return BY_PAYMENT
    last = order_history(view.desk.parts.db, order.id)[-1]
    return EXPIRED if last.actor == "system" else BY_USER


def _check_balance(call: Call, buyer: Buyer, total: int) -> None:
    """Raises InsufficientFunds."""
    with call.desk.parts.db.read() as tx:
        found = [one for one in balances(tx, buyer.partner_id, buyer.mode) if one.currency == buyer.currency]
    available = found[0].available_minor if found else 0
    if total > available:
        raise InsufficientFunds(needed_minor=total, available_minor=available)
