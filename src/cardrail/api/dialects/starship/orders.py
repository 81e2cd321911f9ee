"""Orders: create, list, details (specs/starship.md, sections 2.5 to 2.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.starship.amounts import number2, sums_of, text2, when_micros
from cardrail.api.dialects.starship.errors import (
    BULK_LIMIT,
    DUPLICATE,
    KEY_REQUIRED,
    KEY_REUSED,
    KEY_TOO_LONG,
    KEY_TOO_SHORT,
    NO_PRODUCT,
    NOT_FOUND,
    Refusal,
)
from cardrail.api.dialects.starship.facts import facts_about
from cardrail.api.dialects.starship.generations import generation_of
from cardrail.api.dialects.starship.goods import Goods
from cardrail.api.dialects.starship.order_in import order_in
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.products import quantity_max
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.reading import id_in, query_of
from cardrail.api.dialects.starship.states import (
    STANDINGS,
    STATUSES,
    Facts,
    inventory_status_of,
    recharge_status_of,
    status_of,
    sub_status_of,
)
from cardrail.api.dialects.starship.wallets import Wallets
from cardrail.api.render import Codes
from cardrail.delivery import is_address
from cardrail.kernel import Money, OrderId, Reference, base32_of, new_number, new_order_id
from cardrail.orders import (
    IdempotencyConflict,
    ItemRequest,
    Order,
    OrderFilter,
    OrderNotFound,
    PlaceOrder,
    ReferenceUsed,
    get_order_numbered,
    number_orders,
    place_order_command,
    reveal_order,
    slice_orders,
)
from cardrail.vault import NEVER

LIMIT: Final = 10
LIMIT_MAX: Final = 100
KEY_MIN: Final = 8
KEY_MAX: Final = 256

_details: Final = msgspec.json.Decoder(dict[str, Any]).decode


class VoucherOut(msgspec.Struct):
    """One delivered unit; all five keys are always there."""

    claim_url: str | None
    card_number: str | None
    voucher_reference_number: str | None
    pin_code: str | None
    expires_at: str | None
    inventory_status: str | msgspec.UnsetType = msgspec.UNSET
    link_type: str | msgspec.UnsetType = msgspec.UNSET


class CreatedOut(msgspec.Struct):
    """The answer to a new order: numbers, and the status in upper case."""

    id: int
    ref: str
    transaction_id: int
    amount: msgspec.Raw
    product_id: int
    denomination: msgspec.Raw
    quantity: int
    discount: msgspec.Raw
    vouchers: list[VoucherOut]
    status: str
    placed_at: str
    sub_status: str | msgspec.UnsetType = msgspec.UNSET
    recharge_status: str | msgspec.UnsetType = msgspec.UNSET


class MobileOut(msgspec.Struct):
    """A telephone number."""

    mobile_country_code: str
    mobile_number: str


class ListedOut(msgspec.Struct):
    """An order in the list: decimal texts, and the status in lower case."""

    id: int
    product_name: str
    currency: str
    reference_code: str
    transaction_id: int
    product_id: int
    denomination: str
    quantity: int
    amount: str
    status: str
    email: str | None
    mobile: MobileOut | None
    placed_at: str
    sub_status: str | msgspec.UnsetType = msgspec.UNSET
    recharge_status: str | msgspec.UnsetType = msgspec.UNSET


class DetailsOut(msgspec.Struct):
    """One order with its vouchers."""

    id: int
    reference_code: str
    transaction_id: int
    amount: str
    product_id: int
    denomination: str
    quantity: int
    discount: str
    vouchers: list[VoucherOut]
    status: str
    placed_at: str
    sub_status: str | msgspec.UnsetType = msgspec.UNSET
    recharge_status: str | msgspec.UnsetType = msgspec.UNSET


class Seen(NamedTuple):
    """What all answers show of an order."""

    number: int
    reference: str
    product_id: int
    kind: str
    face: int
    face_currency: str
    quantity: int
    delivered: int
    gross: int
    discount: int


class Orders:
    """The routes of orders."""

    def __init__(self, profile: StarshipProfile, goods: Goods, wallets: Wallets) -> None:
        self._profile = profile
        self._goods = goods
        self._wallets = wallets

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/api/v1/orders", self.create, scope="orders:write", is_order=True),
            Route("GET", "/api/v1/orders", self.browse, scope="orders:read"),
            Route("GET", "/api/v1/orders/{id}", self.show, scope="orders:read"),
        ]

    # --- creating -----------------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> Answer:
        """Place an order: its wallet is debited at once. A repeat under the same key gets the order as it stands now."""
        generation = generation_of(call)
        key = _idempotency_key(call, is_required=generation == 2)
        wanted = await order_in(call, self._profile.reference_max)
        product = self._goods.product(wanted.product_id, call.principal)
        if product is None:
            raise Refusal(NO_PRODUCT)
        offer, face_minor = self._goods.offer_of(product, wanted.denomination)
        if wanted.quantity > quantity_max(self._profile, call.principal):
            raise Refusal(BULK_LIMIT)
        wallet = await self._wallets.paying(call.principal, product.currency.code, wanted.wallet_id)
        face = Money(face_minor, product.currency) if offer.type == "range" else None
        items = (ItemRequest(offer.sku, wanted.quantity, face, wanted.input_data or None),)
        is_inline = generation == 2 or wanted.quantity <= self._profile.inline_units_max
        # What cannot be written to is noted with the order, as it always was, and gets nothing.
        can_mail = self._profile.mails and "email" in call.desk.parts.office.channels
        is_mailed = can_mail and wanted.email is not None and is_address(wanted.email)
        order_id = new_order_id()
        order_number = new_number()

        def command(principal: Principal) -> PlaceOrder:
            buyer = call.buyer(wallet)
            made = place_order_command(
                order_id,
                buyer if is_inline else replace(buyer, may_reveal=False),
                items,
                key=key,
                reference=Reference(wanted.ref) if wanted.ref is not None else None,
                allow_partial=self._profile.allow_partial,
                details={"email": wanted.email} if wanted.email is not None else None,
                currency=wallet if wanted.wallet_id is not None else None,
                number=order_number,
            )
            # Not a part of what the key is bound to: a repeat is the same order whether or not there is a mail server by now.
            return replace(made, is_delivered=True) if is_mailed and buyer.may_reveal else made

        try:
            order, codes, is_new = await call.place(command, reveal_repeated=key is not None)
        except IdempotencyConflict:
            raise (Refusal(DUPLICATE) if key is None else Refusal(KEY_REUSED, shape="C")) from None
        except ReferenceUsed:
            raise Refusal(DUPLICATE) from None
        if not is_new and key is None:
            raise Refusal(DUPLICATE)
        if order.number is None:
            await self._number(call, [order])
        facts = await self._facts(call, [order]) if self._profile.show_sub_status else {}
        return json_answer(self._created(order, codes if is_inline else [], facts, is_inline=is_inline))

    def _created(
        self, order: Order, codes: Sequence[Codes | None], facts: Mapping[OrderId, Facts], *, is_inline: bool
    ) -> CreatedOut:
        seen = self._seen(order)
        status = status_of(order.state, seen.delivered)
        return CreatedOut(
            id=seen.number,
            ref=seen.reference,
            transaction_id=seen.number,
            amount=number2(seen.gross, seen.face_currency),
            product_id=seen.product_id,
            denomination=number2(seen.face, seen.face_currency),
            quantity=seen.quantity,
            discount=number2(seen.discount, seen.face_currency),
            vouchers=self._vouchers(order, codes),
            status=status if is_inline else "PENDING",
            placed_at=when_micros(order.created_at),
            **self._extras(order, facts, seen.kind),
        )

    # --- reading ------------------------------------------------------------------------------------------------------------

    async def browse(self, call: Call) -> Answer:
        """A page of the client's orders, newest first, without vouchers."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        status = fields.choice("status", STATUSES)
        product_id = fields.integer("product_id")
        fields.check()
        skus = self._skus(product_id) if product_id is not None else ()
        if product_id is not None and not skus:
            return page_answer([], paging, 0)
        db, buyer = call.desk.parts.db, call.buyer()
        orders, total = await call.desk.read(
            lambda: slice_orders(
                db,
                buyer,
                OrderFilter(),
                standings=STANDINGS[status] if status else (),
                skus=skus,
                offset=paging.offset,
                limit=paging.size,
            )
        )
        await self._number(call, orders)
        facts = await self._facts(call, orders)
        return page_answer([self._listed(one, facts) for one in orders], paging, total)

    def _skus(self, product_id: int) -> Sequence[str]:
        product = self._goods.shelf().by_number.get(product_id)
        if product is not None:
            return [one.sku for one in product.offers]
        return self._goods.sandbox_skus(product_id)

    def _listed(self, order: Order, facts: Mapping[OrderId, Facts]) -> ListedOut:
        seen = self._seen(order)
        return ListedOut(
            id=seen.number,
            product_name=order.items[0].name,
            currency=seen.face_currency,
            reference_code=seen.reference,
            transaction_id=seen.number,
            product_id=seen.product_id,
            denomination=text2(seen.face, seen.face_currency),
            quantity=seen.quantity,
            amount=text2(seen.gross, seen.face_currency),
            status=status_of(order.state, seen.delivered).lower(),
            email=(_details(order.details) if order.details else {}).get("email"),
            mobile=None,
            placed_at=when_micros(order.created_at),
            **self._extras(order, facts, seen.kind, lower=True),
        )

    async def show(self, call: Call) -> Answer:
        """One order; its vouchers too where the credential may see codes, which is noted in the audit log."""
        number = id_in(call)
        parts, buyer = call.desk.parts, call.buyer()
        try:
            order = await call.desk.read(lambda: get_order_numbered(parts.db, buyer, number))
        except OrderNotFound:
            raise Refusal(NOT_FOUND) from None
        codes: Sequence[Codes | None] = ()
        if buyer.may_reveal and any(item.delivered for item in order.items):
            order = await call.desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, order.id))
            codes = await call.opened(order)
        seen = self._seen(order)
        facts = await self._facts(call, [order])
        return json_answer(
            DetailsOut(
                id=seen.number,
                reference_code=seen.reference,
                transaction_id=seen.number,
                amount=text2(seen.gross, seen.face_currency),
                product_id=seen.product_id,
                denomination=text2(seen.face, seen.face_currency),
                quantity=seen.quantity,
                discount=text2(seen.discount, seen.face_currency),
                vouchers=self._vouchers(order, codes),
                status=status_of(order.state, seen.delivered).lower(),
                placed_at=when_micros(order.created_at),
                **self._extras(order, facts, seen.kind, lower=True),
            )
        )

    # --- what all of them show ----------------------------------------------------------------------------------------------

    @staticmethod
    async def _number(call: Call, orders: Sequence[Order]) -> None:
        """Give numbers to orders that were placed in another dialect; it is done once."""
        if any(one.number is None for one in orders):
            await call.desk.write(lambda: number_orders(call.desk.parts.db, orders))

    def _seen(self, order: Order) -> Seen:
        """An order as this dialect sees it: one product. Of an order of several lines, the first names it and all are summed."""
        first = order.items[0]
        product_id, kind = self._goods.product_of(first.denomination_id, first.sku)
        quantity = delivered = gross = discount = 0
        for one in order.items:
            quantity += one.quantity
            delivered += one.delivered
            if one.face_currency == first.face_currency:
                sums = sums_of(
                    one.face_minor, one.face_currency, one.unit_price_minor, order.currency, one.fx_rate_e10, one.quantity
                )
                gross += sums.gross
                discount += sums.discount
        assert order.number is not None
        return Seen(
            order.number,
            order.reference or generated_reference(order),
            product_id,
            kind,
            first.face_minor,
            first.face_currency,
            quantity,
            delivered,
            gross,
            discount,
        )

    def _vouchers(self, order: Order, codes: Sequence[Codes | None]) -> list[VoucherOut]:
        vouchers = []
        for opened in codes:
            for code, expires_at in opened or ():
                voucher = VoucherOut(
                    claim_url=code.url,
                    card_number=code.code,
                    voucher_reference_number=code.serial,
                    pin_code=code.pin,
                    expires_at=None if expires_at >= NEVER else when_micros(expires_at),
                )
                if self._profile.show_enums:
                    voucher.inventory_status = inventory_status_of(order.state)
                    if code.url is not None:
                        voucher.link_type = "PROTECTED" if code.pin is not None else "PRIVATE"
                vouchers.append(voucher)
        return vouchers

    async def _facts(self, call: Call, orders: Sequence[Order]) -> Mapping[OrderId, Facts]:
        """What the sub status is derived from; nothing is read where it is not shown."""
        return await facts_about(call, self._goods, orders) if self._profile.show_sub_status and orders else {}

    def _extras(self, order: Order, facts: Mapping[OrderId, Facts], kind: str, *, lower: bool = False) -> dict[str, str]:
        """What the sheet names without a field, where the profile shows it."""
        found: dict[str, str] = {}
        if order.id in facts:
            sub_status = sub_status_of(facts[order.id])
            found["sub_status"] = sub_status.lower() if lower else sub_status
        if self._profile.show_enums and kind == "topup":
            delivered = sum([item.delivered for item in order.items])
            has_receipt = not any(item.allocations or item.units for item in order.items)
            found["recharge_status"] = recharge_status_of(order.state, delivered, has_receipt=has_receipt)
        return found


def generated_reference(order: Order) -> str:
    """The ``ref`` of an order that has none: seconds, and its id's 128 bits in base 32 (section 2.5)."""
    return f"{order.created_at // 1_000_000:010d}{base32_of(order.id)}"


def _idempotency_key(call: Call, *, is_required: bool) -> str | None:
    """The Idempotency-Key: 8 to 256 printable characters. Raises Refusal."""
    key = call.header("idempotency-key")
    if key is None:
        if is_required:
            raise Refusal(KEY_REQUIRED, shape="C")
        return None
    if len(key) < KEY_MIN:
        raise Refusal(KEY_TOO_SHORT if key or not is_required else KEY_REQUIRED, shape="C")
    if len(key) > KEY_MAX:
        raise Refusal(KEY_TOO_LONG, shape="C")
    return key
