"""Products, availability and charges (specs/starship.md, sections 2.1 to 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, json_answer, load_supply
from cardrail.api.dialects.starship.amounts import number2, percent, rate_number, sums_of
from cardrail.api.dialects.starship.errors import BULK_LIMIT, NO_PRODUCT, NOT_FOUND, Refusal
from cardrail.api.dialects.starship.generations import generation_of
from cardrail.api.dialects.starship.goods import Goods, offer_of
from cardrail.api.dialects.starship.order_in import DENOMINATION_MAX
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.reading import Fields, body_of, id_in, query_of
from cardrail.api.dialects.starship.reference import country_id, currency_id
from cardrail.api.dialects.starship.wallets import Wallets
from cardrail.catalog import Offer, Product
from cardrail.kernel import Mode
from cardrail.orders import Behaviour, behaviour_of

LIMIT: Final = 50
LIMIT_MAX: Final = 10_000
ON_LOOP_MAX: Final = 200
"""Pages of more products than this are made on a thread."""

_SORTS: Final = ("id", "name")
_raw = msgspec.json.Encoder().encode


class RangeOut(msgspec.Struct):
    """One denomination: fixed where both values are the same."""

    min_value: msgspec.Raw
    max_value: msgspec.Raw
    discount: msgspec.Raw


class ProductOut(msgspec.Struct):
    """A product in the list."""

    id: int
    name: str
    category: str
    sub_category: str | None
    country_id: int
    currency_id: int
    image_url: str | None
    delivery_type: str
    delivery_time: str
    validity: str
    available_denominations: list[RangeOut]
    delivery_mode: str | msgspec.UnsetType = msgspec.UNSET
    """First generation only."""
    classification: str | msgspec.UnsetType = msgspec.UNSET


class ChargesDetailsOut(msgspec.Struct):
    """How the two currencies meet."""

    source_currency: str
    destination_currency: str
    forex_rate: msgspec.Raw | None
    conversion_fee: msgspec.Raw | None


class ChargesOut(msgspec.Struct):
    """What an order would cost."""

    non_discounted_total: msgspec.Raw
    discount_amount: msgspec.Raw
    total_amount: msgspec.Raw
    discount: msgspec.Raw
    gst_amount: msgspec.Raw
    total_payable: msgspec.Raw
    max_quantity: int
    net_amount: msgspec.Raw
    handling_fee_amount: msgspec.Raw
    charges_details: ChargesDetailsOut


class Products:
    """The routes of products."""

    def __init__(self, profile: StarshipProfile, goods: Goods, wallets: Wallets) -> None:
        self._profile = profile
        self._goods = goods
        self._wallets = wallets

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/v1/products", self.browse, scope="catalog:read"),
            Route("GET", "/api/v1/products/{id}", self.show, scope="catalog:read"),
            Route("POST", "/api/v1/products/{id}/availability", self.check, scope="catalog:read"),
            Route("GET", "/api/v1/products/{id}/availability", self.check, scope="catalog:read"),
            Route("POST", "/api/v1/products/{id}/charges", self.charges, scope="catalog:read"),
        ]

    # --- lists --------------------------------------------------------------------------------------------------------------

    async def browse(self, call: Call) -> Answer:
        """A page of what can be ordered."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        sort = fields.sort(_SORTS)
        category = fields.text("category")
        currency = fields.integer("currency_id", maximum=10**6)
        country = fields.integer("country_id", maximum=10**6)
        fields.check()
        principal, generation = call.principal, generation_of(call)

        def page() -> tuple[Sequence[msgspec.Raw], int]:
            found = self._find(principal, category, currency, country, sort)
            rows = [self._shown(one, principal, generation) for one in paging.cut(found)]
            return [one for one in rows if one is not None], len(found)

        rows, total = await call.desk.threads.run(page) if paging.size > ON_LOOP_MAX else page()
        return page_answer(rows, paging, total)

    def _find(
        self, principal: Principal, category: str | None, currency: int | None, country: int | None, sort: tuple[str, bool]
    ) -> Sequence[Product]:
        """What matches and has a price, sorted; remembered for the next page."""
        shelf = self._goods.shelf()
        who = principal.partner_id if principal.partner_id in shelf.priced_apart else None
        test_currency = principal.currency if principal.mode is Mode.TEST else None
        key = ("list", who, principal.price_list_id, test_currency, category, currency, country, sort)
        kept: Sequence[Product] | None = shelf.kept.get(key)
        if kept is not None:
            return kept
        found = [*shelf.listed, *self._goods.sandbox(principal)]
        if category is not None:
            name = category.casefold()
            found = [one for one in found if name in [text.casefold() for text in self._categories(one) if text]]
        if currency is not None:
            found = [one for one in found if currency_id(one.currency.code) == currency]
        if country is not None:
            found = [one for one in found if country in [country_id(code) for code in one.countries]]
        found = [one for one in found if self._ranges(one, principal)]
        by, descending = sort
        found.sort(
            key=(lambda one: one.number) if by == "id" else (lambda one: (one.name.casefold(), one.number)), reverse=descending
        )
        shelf.keep(key, found)
        return found

    def _categories(self, product: Product) -> tuple[str, str | None]:
        top, own = self._goods.shelf().shelves_of(product)
        return (top.name if top else self._profile.uncategorised), (own.name if own else None)

    def _ranges(self, product: Product, principal: Principal) -> Sequence[RangeOut]:
        """The denominations that have a price for the caller."""
        shelf = self._goods.shelf()
        who = principal.partner_id if principal.partner_id in shelf.priced_apart else None
        key = ("ranges", product.number, product.currency.code, who, principal.price_list_id)
        kept: Sequence[RangeOut] | None = shelf.kept.get(key)
        if kept is None:
            made = [self._range(one, principal) for one in product.sellable]
            kept = shelf.keep(key, [one for one in made if one is not None])
        return kept

    def _range(self, offer: Offer, principal: Principal) -> RangeOut | None:
        low = offer.face_minor if offer.type == "fixed" else offer.min_minor
        high = low if offer.type == "fixed" else offer.max_minor
        price = self._goods.price_or_none(offer, low or 0, principal, offer.currency.code)
        if price is None:
            return None
        code = offer.currency.code
        return RangeOut(number2(low or 0, code), number2(high or 0, code), percent(self._goods.shelf().percent_off(price)))

    def _shown(self, product: Product, principal: Principal, generation: int) -> msgspec.Raw | None:
        """A product's JSON, remembered."""
        shelf = self._goods.shelf()
        who = principal.partner_id if principal.partner_id in shelf.priced_apart else None
        key = ("shown", product.number, product.currency.code, who, principal.price_list_id, generation)
        kept: msgspec.Raw | None = shelf.kept.get(key)
        if kept is None:
            shown = self.product_out(product, principal, generation)
            kept = None if shown is None else shelf.keep(key, msgspec.Raw(_raw(shown)))
        return kept

    def product_out(self, product: Product, principal: Principal, generation: int) -> ProductOut | None:
        """A product as its generation shows it; None if nothing of it has a price."""
        ranges = self._ranges(product, principal)
        if not ranges:
            return None
        profile = self._profile
        category, sub_category = self._categories(product)
        time = "DELAYED" if product.sourcing == "on_demand" else "REALTIME"
        days = product.validity_days
        out = ProductOut(
            id=product.number,
            name=product.name,
            category=category,
            sub_category=sub_category,
            country_id=country_id(product.countries[0]) if product.countries else profile.worldwide_country_id,
            currency_id=currency_id(product.currency.code),
            image_url=product.image_url,
            delivery_type=profile.delivery_type,
            delivery_time=profile.delivery_time_words.get(time, time),
            validity=profile.validity_unlimited if days is None else profile.validity.format(days=days),
            available_denominations=list(ranges),
        )
        if generation == 1:
            out.delivery_mode = profile.delivery_mode_words.get(product.delivery_mode, product.delivery_mode)
        else:
            out.delivery_type = profile.delivery_type_words.get(product.kind, "code")
            if product.code in profile.code_with_pin_products:
                out.delivery_type = "code_with_pin"
            out.delivery_time = profile.delivery_time_words_g2.get(time, time)
        if profile.show_enums:
            out.classification = product.classification
        return out

    async def show(self, call: Call) -> Answer:
        """One product, with its texts."""
        product = self._goods.product(id_in(call), call.principal)
        out = self.product_out(product, call.principal, generation_of(call)) if product is not None else None
        if product is None or out is None:
            raise Refusal(NOT_FOUND)
        texts = product.translations.get("en")
        return json_answer(
            {
                **{name: value for name, value in msgspec.structs.asdict(out).items() if value is not msgspec.UNSET},
                "description": texts.description if texts else None,
                "terms_and_conditions": texts.terms if texts else None,
                "redemption_instructions": texts.instructions if texts else None,
            }
        )

    # --- one order in advance -----------------------------------------------------------------------------------------------

    async def check(self, call: Call) -> Answer:
        """Whether so many units could be delivered now."""
        number = id_in(call)
        fields: Fields = query_of(call) if call.method == "GET" else await body_of(call, loose=("denomination",))
        _, offer, face_minor, quantity = self._wanted(fields, number, call.principal)
        count = await self._count(call, offer, face_minor, quantity)
        return json_answer({"is_available": count >= quantity})

    async def _count(self, call: Call, offer: Offer, face_minor: int, quantity: int) -> int:
        """Units that could be had now, from stock or from suppliers; at least ``quantity`` if there is no telling."""
        if call.principal.mode is Mode.TEST:
            behaviour = behaviour_of(offer.sku, Mode.TEST)
            if behaviour is Behaviour.OUT_OF_STOCK:
                return 0
            return quantity // 2 if behaviour is Behaviour.PARTIAL else quantity
        supply = await call.desk.read(lambda: load_supply(call.desk.parts, [offer], quantity))
        return supply.count(offer.denomination_id, face_minor)

    async def charges(self, call: Call) -> Answer:
        """What an order would cost, and what that is made of."""
        number = id_in(call)
        fields = await body_of(call, loose=("denomination",))
        wallet_id = fields.integer("wallet_id")
        product, offer, face_minor, quantity = self._wanted(fields, number, call.principal)
        most = quantity_max(self._profile, call.principal)
        if quantity > most:
            raise Refusal(BULK_LIMIT)
        wallet = await self._wallets.paying(call.principal, product.currency.code, wallet_id)
        price = self._goods.price(offer, face_minor, call.principal, wallet)
        source = product.currency.code
        rate = price.fx_rate_e10 if source != wallet else None
        sums = sums_of(
            face_minor, source, price.price_minor, wallet, rate, quantity, fee_minor=price.fee_minor, tax_bps=price.tax_bps
        )
        return json_answer(
            ChargesOut(
                non_discounted_total=number2(sums.gross, source),
                discount_amount=number2(sums.discount, source),
                total_amount=number2(sums.total, source),
                discount=percent(self._goods.shelf().percent_off(price)),
                gst_amount=number2(sums.tax, wallet),
                total_payable=number2(sums.payable, wallet),
                max_quantity=most,
                net_amount=number2(sums.net, wallet),
                handling_fee_amount=number2(sums.fee, wallet),
                charges_details=ChargesDetailsOut(
                    source, wallet, rate_number(rate), None if source == wallet else number2(sums.fee, wallet)
                ),
            )
        )

    def _wanted(self, fields: Fields, number: int, principal: Principal) -> tuple[Product, Offer, int, int]:
        """(product, offer, face value, quantity) that the fields ask for. Raises Refusal."""
        denomination = fields.number("denomination", required=True, minimum=Decimal("0.01"), maximum=DENOMINATION_MAX)
        quantity = fields.integer("quantity", required=True)
        fields.check()
        assert denomination is not None
        assert quantity is not None
        product = self._goods.product(number, principal)
        if product is None:
            raise Refusal(NO_PRODUCT)
        return product, *offer_of(product, denomination), quantity


def quantity_max(profile: StarshipProfile, principal: Principal) -> int:
    """The bulk ceiling of one order: the operator's for everybody, or the partner's own per sku where that is less."""
    own = principal.limits.quantity_per_sku_per_day_max if principal.limits is not None else None
    return profile.quantity_max if own is None else min(own, profile.quantity_max)
