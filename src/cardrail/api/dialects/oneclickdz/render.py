"""An order as the vendor shows it (specs/oneclickdz.md, section 2.8): an order has one product, one type and one price per card there.

An order of ours may have several lines, if it came by another way: it shows the first line's product and type, the sums of all, and
the average price where lines differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cardrail.api.compat import Call, json_number
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.envelope import moment
from cardrail.api.dialects.oneclickdz.goods import card_price, kind_id
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.sandbox import echoed, sandbox_cards
from cardrail.api.dialects.oneclickdz.states import HANDLING, STATUS, WITH_CARDS
from cardrail.api.dialects.oneclickdz.wire import CardOut, CheckedOrderOut
from cardrail.api.render import Codes
from cardrail.kernel import Mode, PlainCode, divide_half_up, hex24_of, to_micros
from cardrail.orders import Buyer, Order

_SECOND: Final = 1_000_000


class OrderView:
    """Renders orders."""

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._desk = desk
        self._profile = profile

    def shows_codes(self, order: Order, buyer: Buyer) -> bool:
        """Whether real codes have to be opened for it: sandbox cards are no codes of ours."""
        return order.mode is Mode.LIVE and buyer.may_reveal and STATUS[order.state] in WITH_CARDS

    async def checked(self, call: Call, orders: Sequence[Order]) -> list[CheckedOrderOut]:
        """The orders; those that were read with their codes show their cards."""
        return [self._order_out(one, await call.opened(one) if one.mode is Mode.LIVE else []) for one in orders]

    def status_of(self, order: Order) -> str:
        """The vendor's word; a sandbox order may have to wait for it."""
        wait = self._profile.sandbox_handling_seconds * _SECOND
        if wait and order.mode is Mode.TEST and to_micros(self._desk.parts.clock.now()) < order.created_at + wait:
            return HANDLING
        return STATUS[order.state]

    def _order_out(self, order: Order, opened: Sequence[Codes | None]) -> CheckedOrderOut:
        status, code = self.status_of(order), order.currency
        product, type_id = self._product_of(order)
        shown = CheckedOrderOut(
            id=hex24_of(order.id),
            status=status,
            quantity=sum([one.quantity for one in order.items]),
            product=product,
            type=type_id,
            time=moment(order.created_at),
        )
        if status == HANDLING:
            return shown
        has_cards = status in WITH_CARDS
        is_free = order.mode is Mode.TEST and self._profile.sandbox_is_free
        count = sum([one.delivered for one in order.items]) if has_cards else 0
        shown.fulfilled_quantity = count
        shown.fulfilled_amount = json_number(order.charged_minor if has_cards and not is_free else 0, code)
        shown.price_per_card = json_number(0 if is_free else _price_per_card(order), code)
        shown.cards = self._cards(order, count, opened) if has_cards else []
        return shown

    def _cards(self, order: Order, count: int, opened: Sequence[Codes | None]) -> list[CardOut]:
        if order.mode is Mode.TEST:
            return sandbox_cards(self._profile, count)
        return [card_out(plain) for codes in opened for plain, _ in codes or ()]

    def _product_of(self, order: Order) -> tuple[str, str]:
        if order.mode is Mode.TEST:
            return echoed(order)
        item = order.items[0]
        offer = self._desk.parts.catalog.current().denomination(item.denomination_id)
        if offer is None:  # sold by another node a moment ago, and not yet in this one's copy of the catalog
            return item.sku, item.sku
        return hex24_of(offer.product_id), kind_id(offer, item.face_minor)


def card_out(plain: PlainCode) -> CardOut:
    """What redeems, and the second credential: a PIN, a serial number, or both."""
    second = " / ".join([one for one in (plain.serial, plain.pin) if one])
    return CardOut(plain.code or plain.url or "", second)


def _price_per_card(order: Order) -> int:
    prices = {card_price(one.unit_price_minor, one.unit_fee_minor, one.tax_bps) for one in order.items}
    if len(prices) == 1:
        return prices.pop()
    return divide_half_up(order.total_minor, sum([one.quantity for one in order.items]))
