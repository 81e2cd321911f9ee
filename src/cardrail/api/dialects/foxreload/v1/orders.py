"""POST /v1/orders, GET /v1/orders and /v1/orders/{order_id} (specs/foxreload.md, sections 1.2, 2.2 and 3.2).

The price, and with it the exchange rate, is fixed by the order itself and never changes, so the lock needs nothing besides. The first
answer says ``reserved`` and reveals nothing: so it can be given again, word for word, to whoever repeats the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cardrail.access import Principal
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
from cardrail.api.dialects.foxreload.orders import find_order, readable_order, reference_of
from cardrail.api.dialects.foxreload.states import V1_FILTER, v1_state
from cardrail.api.dialects.foxreload.v1.money import wallet_of
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import CodeOut, DeliveryOut, Note, OrderIn, OrderOut, OrdersOut
from cardrail.api.dialects.foxreload.wares import item_request, shown_sku
from cardrail.api.errors import InvalidBody, InvalidHeader, InvalidQuery, MissingMember
from cardrail.api.render import Codes
from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Reference, apply_bps, new_order_id
from cardrail.orders import (
    FINAL,
    Order,
    OrderFilter,
    OrderItem,
    OrderNotFound,
    OrderRequest,
    ended_at,
    list_orders,
    place_order_command,
)

LIMIT_DEFAULT = 50
KEY_MAX = 255
RESERVED = "reserved"


class V1Orders:
    """Buying, and looking at what was bought."""

    def __init__(self, profile: V1Profile) -> None:
        self._profile = profile

    # --- buying -----------------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> Answer:
        """An order for all of a quantity or nothing: 201. The same key with the same payload gets the first answer again."""
        wanted = await call.body(OrderIn)
        sku = _one_of(wanted.sku, wanted.sku_id, "sku")
        quantity = _one_of(wanted.quantity, wanted.qty, "quantity")
        wallet = wallet_of(call, self._profile)
        if wanted.currency not in (None, wallet):
            raise InvalidBody(detail=f"currency is {wallet} here.", pointer="/currency")
        key, fields = key_of(call, wanted.idempotency_key), _fields_of(wanted)
        snapshot = call.desk.parts.catalog.current()
        order_id = new_order_id()
        shows_codes = self._profile.first_answer == "current"

        def command(principal: Principal) -> OrderRequest:
            buyer = call.buyer(wallet)
            return place_order_command(
                order_id,
                buyer if shows_codes else replace(buyer, may_reveal=False),
                (item_request(snapshot, sku, quantity, principal.mode, fields),),
                key=key,
                allow_partial=False,
                currency=wallet,
                **self._named(wanted.reference),
            )

        order, codes, _ = await call.place(command)
        if shows_codes:
            return json_answer(await self._shown(call, snapshot, order, codes), 201)
        return json_answer(self._order_out(snapshot, order, RESERVED, order.total_minor, None, []), 201)

    def _named(self, reference: str | None) -> dict[str, Any]:
        """The reference, as a name that binds, or as one that is only kept."""
        if reference is None:
            return {}
        if self._profile.unique_reference:
            return {"reference": Reference(reference)}
        return {"details": {"metadata": {"reference": reference}}}

    # --- looking ----------------------------------------------------------------------------------------------------------

    async def show(self, call: Call) -> Answer:
        """An order as it stands, with its codes where the key may see them."""
        order = await self.find(call, call.params["order_id"])
        order, codes = await readable_order(call, order)
        return json_answer(await self._shown(call, call.desk.parts.catalog.current(), order, codes))

    async def find(self, call: Call, order_id: str) -> Order:
        """The caller's order. Raises OrderNotFound, also for one that another of his wallets paid: its amounts are no ..._usd."""
        order = await find_order(call, order_id)
        if order.currency != wallet_of(call, self._profile):
            raise OrderNotFound
        return order

    async def list_own(self, call: Call) -> Answer:
        """A page of orders, newest first, without codes."""
        query = call.query()
        limit, status = limit_of(query, LIMIT_DEFAULT), text_of(query, "status")
        since, until = moment_of(query, "from"), moment_of(query, "to")
        if status is not None and status not in V1_FILTER:
            raise InvalidQuery(parameter="status", detail=f"status is one of {', '.join(sorted(V1_FILTER))}.")
        scope = cursor_scope(call, "v1/orders", status, since, until)
        before = opened_cursor(call, query, scope)
        wallet = wallet_of(call, self._profile)
        buyer, parts = call.buyer(wallet), call.desk.parts
        unpaid = {"pending": True, RESERVED: False}.get(status or "")
        filters = OrderFilter(since=since, until=until, unpaid=unpaid, currency=wallet)
        states = V1_FILTER[status] if status is not None else ()

        def look() -> tuple[list[OrderOut], str | None]:
            found = list_orders(parts.db, buyer, filters, states=states, before=before, limit=limit)
            page, snapshot = found[:limit], parts.catalog.current()
            ended = ended_at(parts.db, page)
            rows = [self._order_out(snapshot, one, v1_state(one), _cost(one), ended.get(one.id), []) for one in page]
            return rows, page[-1].id if len(found) > limit else None

        rows, last = await call.desk.read(look)
        return json_answer(OrdersOut(rows, sealed_cursor(call, scope, last)))

    async def delivered_at(self, call: Call, order: Order) -> int | None:
        """When the order was delivered; None where nothing was."""
        if order.state not in FINAL or not any(item.delivered for item in order.items):
            return None
        if order.updated_at == order.created_at:
            return order.created_at
        ended = await call.desk.read(lambda: ended_at(call.desk.parts.db, [order]))
        return ended[order.id]

    # --- wording ----------------------------------------------------------------------------------------------------------

    async def _shown(self, call: Call, snapshot: CatalogSnapshot, order: Order, codes: Sequence[Codes | None]) -> OrderOut:
        out = [
            CodeOut(self._profile.code_type, plain.code or plain.url, plain.pin)
            for opened in codes
            if opened is not None
            for plain, _ in opened
        ]
        return self._order_out(snapshot, order, v1_state(order), _cost(order), await self.delivered_at(call, order), out)

    def _order_out(
        self, snapshot: CatalogSnapshot, order: Order, status: str, cost: int, delivered_at: int | None, codes: list[CodeOut]
    ) -> OrderOut:
        locked_until = order.created_at + self._profile.fx_lock_minutes * 60_000_000
        is_delivered = any(item.delivered for item in order.items)
        return OrderOut(
            order_id=order.id,
            sku_id=" ".join([shown_sku(snapshot, item) for item in order.items]),
            quantity=sum([item.quantity for item in order.items]),
            status=status,
            unit_price_usd=decimal_text(_unit_cost(order.items[0]), order.currency),
            wholesale_cost_usd=decimal_text(cost, order.currency),
            fx_locked_until=seconds(locked_until),
            reference=reference_of(order),
            created_at=seconds(order.created_at),
            delivered_at=seconds(delivered_at) if delivered_at is not None and is_delivered else None,
            delivery_data=DeliveryOut(codes[0].code, codes[0].type) if codes else None,
            codes=codes,
        )


def _one_of(first: Any, second: Any, name: str) -> Any:
    """What two spellings of a member say. Raises MissingMember, InvalidBody."""
    if first is None and second is None:
        raise MissingMember(detail=f"{name} is missing.", pointer=f"/{name}")
    if None not in (first, second) and first != second:
        raise InvalidBody(detail=f"{name} is given twice, and differs.", pointer=f"/{name}")
    return first if first is not None else second


def key_of(call: Call, in_body: str | None) -> str | None:
    """The idempotency key; the header and the body may both have it, if it is the same (7, A7). Raises InvalidHeader, InvalidBody."""
    given = call.header("idempotency-key")
    if given is not None and in_body is not None and given != in_body:
        raise InvalidBody(detail="idempotency_key is another than the header's.", pointer="/idempotency_key")
    key = given if given is not None else in_body
    if key is not None and not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidHeader(parameter="Idempotency-Key")
    return key


def _fields_of(wanted: OrderIn) -> dict[str, str] | None:
    """A top-up's input: ``note``, or ``player`` as an object or as the player's id alone."""
    player: Note = {"player_id": wanted.player} if isinstance(wanted.player, str) else wanted.player or {}
    fields = player | (wanted.note or {})
    return {name: str(value) for name, value in fields.items() if value is not None} or None


def _unit_cost(item: OrderItem) -> int:
    """What a unit costs, fees and tax included."""
    net = item.unit_price_minor + item.unit_fee_minor
    return net + (apply_bps(net, item.tax_bps) if item.tax_bps else 0)


def _cost(order: Order) -> int:
    """What the order costs: its price, and once it is final, what was charged."""
    return order.charged_minor if order.state in FINAL else order.total_minor
