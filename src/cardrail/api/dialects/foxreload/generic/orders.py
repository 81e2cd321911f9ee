"""POST /orders and GET /orders/:id (specs/foxreload.md, section 2.1). The store's reference binds an order, for ever."""

from __future__ import annotations

from collections.abc import Sequence

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile
from cardrail.api.dialects.foxreload.generic.wire import CodeOut, OrderIn, OrderOut
from cardrail.api.dialects.foxreload.orders import find_order, readable_order, reference_of
from cardrail.api.dialects.foxreload.states import GENERIC
from cardrail.api.dialects.foxreload.wares import item_request
from cardrail.api.render import Codes
from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import PlainCode, Reference, new_order_id
from cardrail.orders import FINAL, Order, OrderItem, OrderRequest, OrderState, place_order_command

_NO_CODES = frozenset({OrderState.FAILED, OrderState.CANCELLED})


class GenericOrders:
    """Buying, and looking at what was bought."""

    def __init__(self, profile: GenericProfile) -> None:
        self._profile = profile

    async def create(self, call: Call) -> Answer:
        """A new order: 201. The same reference with the same content: the order as it stands, 200; with another: duplicate_reference."""
        wanted = await call.body(OrderIn)
        snapshot = call.desk.parts.catalog.current()
        order_id = new_order_id()

        def command(principal: Principal) -> OrderRequest:
            item = item_request(snapshot, wanted.sku, wanted.quantity, principal.mode)
            return place_order_command(order_id, call.buyer(), (item,), reference=Reference(wanted.reference))

        order, codes, is_new = await call.place(command)
        return json_answer(self._order_out(snapshot, order, codes), 201 if is_new else 200)

    async def show(self, call: Call) -> Answer:
        """An order as it stands, with its codes where the key may see them."""
        order, codes = await readable_order(call, await find_order(call, call.params["id"]))
        return json_answer(self._order_out(call.desk.parts.catalog.current(), order, codes))

    def _order_out(self, snapshot: CatalogSnapshot, order: Order, codes: Sequence[Codes | None]) -> OrderOut:
        status = GENERIC[order.state]
        out = OrderOut(order.id, status, reference_of(order), [])
        if order.state in _NO_CODES:
            out.error = self._profile.failure
            out.message = "Nothing was delivered; the money is back on your balance."
        elif order.state is OrderState.INVALIDATED:
            out.codes = [
                CodeOut(None, None, error=self._profile.refused_slot) for item in order.items for _ in range(item.quantity)
            ]
        elif order.state in FINAL:
            for item, opened in zip(order.items, codes, strict=True):
                out.codes += self._slots(snapshot, item, opened or ())
        return out

    def _slots(self, snapshot: CatalogSnapshot, item: OrderItem, opened: Codes) -> list[CodeOut]:
        """A place for each unit: with its code, or with why there is none."""
        instructions = instructions_of(snapshot, item)
        slots = [_code_out(code, instructions) for code, _ in opened]
        return slots + [CodeOut(None, None, error=self._profile.failure) for _ in range(item.quantity - item.delivered)]


def _code_out(plain: PlainCode, instructions: str | None) -> CodeOut:
    """A link is its own code: the member must be a text."""
    return CodeOut(plain.code or plain.url, plain.pin, instructions, plain.url)


def instructions_of(snapshot: CatalogSnapshot, item: OrderItem) -> str | None:
    """How to redeem it: the product's text in English, or in whatever language it has."""
    offer = snapshot.offer(item.sku)
    product = snapshot.product(offer.product_id) if offer is not None else None
    if product is None:
        return None
    texts = {language: one.instructions for language, one in product.translations.items() if one.instructions}
    return texts.get("en") or next(iter(texts.values()), None)
