"""Placing, checking and listing orders (specs/oneclickdz.md, sections 2.7, 2.8 and 2.9)."""

from __future__ import annotations

from typing import Final

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.envelope import bare_success, success
from cardrail.api.dialects.oneclickdz.goods import Kind, find_kind
from cardrail.api.dialects.oneclickdz.paging import items_out, wanted_of
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.render import OrderView
from cardrail.api.dialects.oneclickdz.sandbox import echo_of, sandbox_sku
from cardrail.api.dialects.oneclickdz.wire import PlacedOut, PlaceOrderIn
from cardrail.api.errors import InvalidBody, InvalidHeader
from cardrail.api.gate import buyer_of
from cardrail.catalog import CatalogSnapshot, InvalidFaceValue, ProductNotFound
from cardrail.kernel import Mode, Money, OrderId, Reference, hex24_of, ids_of_hex24, new_order_id
from cardrail.orders import (
    Buyer,
    ItemRequest,
    Order,
    OrderFilter,
    OrderNotFound,
    PlaceOrder,
    ReferenceUsed,
    get_order_between,
    place_order_command,
    reveal_orders,
    slice_orders,
)

KEY_MAX: Final = 255
KINDS_KEPT_MAX: Final = 10_000
"""Types that are remembered for one state of the catalog."""


class Orders:
    """The handlers."""

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._desk = desk
        self._profile = profile
        self._view = OrderView(desk, profile)
        self._snapshot: CatalogSnapshot | None = None
        self._kinds: dict[tuple[str, str], Kind] = {}

    async def place_order(self, call: Call) -> Answer:
        """Take an order; what came of it is asked with checkOrder. No code is opened here."""
        wanted, key = self._checked(await call.body(PlaceOrderIn)), _key_of(call)
        is_test = call.principal.mode is Mode.TEST
        item = ItemRequest(sandbox_sku(wanted), wanted.quantity) if is_test else _item(await self._kind(wanted), wanted)
        details = echo_of(wanted) if is_test else None
        order_id = new_order_id()

        def command(principal: Principal) -> PlaceOrder:
            return place_order_command(
                order_id,
                buyer_of(principal, call.origin, may_reveal=False),
                (item,),
                key=key,
                reference=Reference(wanted.ref) if wanted.ref is not None else None,
                details=details,
                is_free=is_test and self._profile.sandbox_is_free,
                holds_short=not is_test,
            )

        order, _, is_new = await call.place(command)
        if not is_new and key is None and self._profile.refuses_repeated_ref:
            raise ReferenceUsed(order_id=order.id)
        placed = PlacedOut(hex24_of(order.id))
        if wanted.ref is not None:
            placed.order_ref = wanted.ref
        return success(call, self._profile, placed)

    async def check_order(self, call: Call) -> Answer:
        """One order as it stands, with its cards."""
        span = ids_of_hex24("ord", call.params["order_id"])
        if span is None:
            raise OrderNotFound
        parts, buyer = self._desk.parts, call.buyer()
        order = await self._desk.read(lambda: get_order_between(parts.db, buyer, *span))
        (shown,) = await self._revealed([order], buyer)
        data = (await self._view.checked(call, [shown]))[0]
        return success(call, self._profile, data) if self._profile.order_has_meta else bare_success(data)

    async def list_orders(self, call: Call) -> Answer:
        """A page of orders, newest first, with their cards: those that the caller's wallet paid, because no amount names a currency."""
        wanted, buyer, parts = wanted_of(call), call.buyer(), self._desk.parts
        filters = OrderFilter(since=wanted.since, until=wanted.until, currency=buyer.currency)
        orders, total = await self._desk.read(
            lambda: slice_orders(parts.db, buyer, filters, offset=wanted.offset, limit=wanted.page_size)
        )
        shown = await self._view.checked(call, await self._revealed(orders, buyer))
        return success(call, self._profile, items_out(list(shown), total, wanted))

    def _checked(self, wanted: PlaceOrderIn) -> PlaceOrderIn:
        """Raises InvalidBody for what is beyond our bounds."""
        profile, ref = self._profile, wanted.ref
        if wanted.quantity > profile.quantity_max:
            raise InvalidBody(pointer="/quantity", detail=f"It is an integer from 1 to {profile.quantity_max}.")
        for name, text in (("productId", wanted.product_id), ("typeId", wanted.type_id)):
            if not text.isprintable():
                raise InvalidBody(pointer=f"/{name}", detail="It is not printable.")
        if ref is not None and (len(ref) > profile.ref_length_max or not ref.isprintable()):
            raise InvalidBody(pointer="/ref", detail=f"It is a text of 1 to {profile.ref_length_max} printable characters.")
        return wanted

    async def _kind(self, wanted: PlaceOrderIn) -> Kind:
        """The type that is meant; one that this process does not know may be newer than its copy of the catalog."""
        catalog = self._desk.parts.catalog
        try:
            return self._found(catalog.current(), wanted)
        except (ProductNotFound, InvalidFaceValue):
            await self._desk.gate.freshen()
            return self._found(catalog.current(), wanted)

    def _found(self, snapshot: CatalogSnapshot, wanted: PlaceOrderIn) -> Kind:
        """``find_kind``, which the same few types are asked of again and again."""
        if self._snapshot is not snapshot or len(self._kinds) > KINDS_KEPT_MAX:
            self._snapshot, self._kinds = snapshot, {}
        name = (wanted.product_id, wanted.type_id)
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = find_kind(snapshot, *name)
        return kind

    async def _revealed(self, orders: list[Order], buyer: Buyer) -> list[Order]:
        """The same orders; those with cards to show are read again with them, which is noted in the audit log."""
        ids = [one.id for one in orders if self._view.shows_codes(one, buyer)]
        if not ids:
            return orders
        parts = self._desk.parts
        found = await self._desk.write(lambda: reveal_orders(parts.db, parts.clock, parts.audit, buyer, ids))
        by_id: dict[OrderId, Order] = {one.id: one for one in found}
        return [by_id.get(one.id, one) for one in orders]


def _item(kind: Kind, wanted: PlaceOrderIn) -> ItemRequest:
    offer = kind.offer
    face = Money(kind.face_minor, offer.currency) if offer.type == "range" else None
    return ItemRequest(offer.sku, wanted.quantity, face)


def _key_of(call: Call) -> str | None:
    """Our own Idempotency-Key, which this protocol lacks: 1 to 255 printable ASCII characters. Raises InvalidHeader."""
    key = call.header("idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidHeader(parameter="Idempotency-Key")
    return key
