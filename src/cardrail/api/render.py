"""From what the packages know to what goes over the wire. Plain construction: the order's answer is on the fast path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from cardrail.api.wire import (
    BalanceOut,
    BrandOut,
    CategoryOut,
    CategoryRefOut,
    CodeOut,
    DenominationOut,
    FaceRangeOut,
    HistoryStepOut,
    InputFieldOut,
    MoneyOut,
    OrderItemOut,
    OrderOut,
    PriceOut,
    ProductOut,
    QuoteOut,
    TransactionOut,
    TranslationOut,
)
from cardrail.api.wire_replacements import OrderCodeOut
from cardrail.catalog import Brand, Category, Offer, Product, Quote, UnitPrice
from cardrail.kernel import Currency, PlainCode, apply_bps, currency, format_minor, from_micros, rfc3339
from cardrail.ledger import Balance, Phase, Transfer, wallet
from cardrail.orders import Order, OrderItem, Replacement, ReplacementState
from cardrail.vault import NEVER

Codes = Sequence[tuple[PlainCode, int]]
"""The opened codes of one line, each with its expiry in microseconds."""

_RATE_DIGITS: Final = 10
_NO_DETAILS: Final[dict[str, Any]] = {}
_details: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


@lru_cache(maxsize=512)
def _digits(code: str) -> int:
    return currency(code).digits


@lru_cache(maxsize=4_096)
def money(minor: int, code: str) -> MoneyOut:
    """An amount of minor units of a currency; the same few prices occur in most answers."""
    return MoneyOut(format_minor(minor, _digits(code)), code)


@lru_cache(maxsize=256)
def moment(micros: int) -> str:
    """RFC 3339 of microseconds since the epoch; the orders of a batch share theirs."""
    return from_micros(micros).isoformat(timespec="microseconds")[:-6] + "Z"


def maybe_moment(micros: int | None) -> str | None:
    """RFC 3339, or null for what has no time, or never comes."""
    return None if micros is None or micros >= NEVER else moment(micros)


def rate(rate_e10: int | None) -> str | None:
    """An exchange rate as a decimal text."""
    return None if rate_e10 is None else format_minor(rate_e10, _RATE_DIGITS)


# --- orders -----------------------------------------------------------------------------------------------------------


def order_out(order: Order, codes: Sequence[Codes | None] | None = None) -> OrderOut:
    """The order as it stands. ``codes`` has the opened codes of each item, in the order of its items; None reveals nothing."""
    code = order.currency
    details = _details(order.details) if order.details else _NO_DETAILS
    items = order.items
    revealed = codes if codes is not None else [None] * len(items)
    return OrderOut(
        id=order.id,
        state=order.state.value,
        mode=order.mode.value,
        reference=order.reference,
        currency=code,
        total=money(order.total_minor, code),
        charged=money(order.charged_minor, code),
        refunded=money(order.refunded_minor, code),
        customer_id=order.customer_id,
        quote_id=order.quote_id,
        pay_until=maybe_moment(order.pay_until),
        metadata=details.get("metadata") or {},
        country=details.get("country"),
        client_partner=details.get("client_partner"),
        created_at=moment(order.created_at),
        updated_at=moment(order.updated_at),
        items=[_item_out(item, code, opened) for item, opened in zip(items, revealed, strict=True)],
    )


def _item_out(item: OrderItem, code: str, opened: Codes | None) -> OrderItemOut:
    net = item.quantity * (item.unit_price_minor + item.unit_fee_minor)
    return OrderItemOut(
        line=item.line,
        sku=item.sku,
        name=item.name,
        state=item.state.value,
        quantity=item.quantity,
        delivered=item.delivered,
        face_value=money(item.face_minor, item.face_currency),
        unit_price=money(item.unit_price_minor, code),
        unit_fee=money(item.unit_fee_minor, code),
        tax=money(apply_bps(net, item.tax_bps) if item.tax_bps else 0, code),
        total=money(item.total_minor, code),
        charged=money(item.charged_minor, code),
        fx_rate=rate(item.fx_rate_e10),
        fields=item.fields,
        refunded_units=list(item.refunded),
        codes=None if opened is None else codes_out(opened),
    )


def codes_out(opened: Codes) -> list[CodeOut]:
    """The codes of one line, in the clear: the last step before the answer."""
    return [CodeOut(one.code, one.pin, one.serial, one.url, maybe_moment(expires)) for one, expires in opened]


def line_codes_out(
    item: OrderItem, current: Codes, ended: Sequence[tuple[Replacement, tuple[PlainCode, int] | None]]
) -> list[OrderCodeOut]:
    """The codes of one line by position, those that were replaced before the ones that were given for them. ``current`` are its opened
    units. A position stays the same where codes before it are withheld, so it is what a claim or a refund names."""
    own = [one for one in ended if one[0].line == item.line]
    by_claim = {one.position: one.id for one, _ in own if one.state is ReplacementState.REFUNDED}
    refunded = {*item.refunded, *by_claim}
    out: list[OrderCodeOut] = []
    for unit, code in zip(item.units, current, strict=True):
        for one, bad in own:
            if one.position == unit.position and one.state is ReplacementState.REPLACED and bad is not None:
                out.append(_order_code(bad, unit.position, "REPLACED", one.id))
        state: Literal["DELIVERED", "REFUNDED"] = "REFUNDED" if unit.position in refunded else "DELIVERED"
        out.append(_order_code(code, unit.position, state, by_claim.get(unit.position)))
    return out


def _order_code(
    opened: tuple[PlainCode, int], position: int, state: Literal["DELIVERED", "REPLACED", "REFUNDED"], replacement_id: str | None
) -> OrderCodeOut:
    one, expires = opened
    return OrderCodeOut(
        one.code,
        one.pin,
        one.serial,
        one.url,
        maybe_moment(expires),
        position=position,
        state=state,
        replacement_id=replacement_id,
    )


def history_out(steps: Iterable[Any]) -> list[HistoryStepOut]:
    """An order's history from its event rows."""
    return [HistoryStepOut(one.type, one.from_state, one.to_state, one.reason, one.actor, moment(one.at)) for one in steps]


# --- catalog ----------------------------------------------------------------------------------------------------------


def brand_out(brand: Brand) -> BrandOut:
    return BrandOut(brand.id, brand.slug, brand.name)


def category_tree(categories: Sequence[Category]) -> list[CategoryOut]:
    """Shelves on shelves. One that stands on nothing we know, or on itself, stands at the bottom."""
    nodes = {one.id: CategoryOut(one.id, one.slug, one.name, dict(one.names), []) for one in categories}
    parents = {one.id: one.parent_id for one in categories}
    roots = []
    for one in categories:
        parent = one.parent_id
        if parent is None or parent not in nodes or _is_below(parent, one.id, parents):
            roots.append(nodes[one.id])
        else:
            nodes[parent].children.append(nodes[one.id])
    return roots


def _is_below(shelf: Any, top: Any, parents: dict[Any, Any]) -> bool:
    """Whether a shelf stands on ``top``, or on a circle that leads nowhere."""
    for _ in range(len(parents)):
        if shelf == top:
            return True
        shelf = parents.get(shelf)
        if shelf is None:
            return False
    return True


def product_out(product: Product) -> ProductOut:
    """A product; retired, it is a tombstone with nothing to order."""
    category = product.category
    return ProductOut(
        id=product.id,
        code=product.code,
        name=product.name,
        brand=brand_out(product.brand),
        category=CategoryRefOut(category.id, category.slug, category.name) if category else None,
        kind=product.kind,
        classification=product.classification,
        delivery_mode=product.delivery_mode,
        currency=product.currency.code,
        countries=list(product.countries),
        image_url=product.image_url,
        barcode=product.barcode,  # type: ignore[arg-type]  # one of BARCODES, by the table's check
        validity_days=product.validity_days,
        fields=[InputFieldOut(one.name, one.label, one.required, one.pattern or None) for one in product.input_fields],
        translations={
            language: TranslationOut(one.name, one.description, one.instructions, one.terms)
            for language, one in product.translations.items()
        },
        denominations=[denomination_out(offer) for offer in product.sellable],
        created_at=rfc3339(product.created_at),
        updated_at=rfc3339(product.updated_at),
        retired_at=rfc3339(product.retired_at) if product.retired_at else None,
    )


def denomination_out(offer: Offer) -> DenominationOut:
    code = offer.currency.code
    if offer.type == "fixed":
        return DenominationOut(offer.sku, "fixed", money(offer.face_minor or 0, code), None)
    span = FaceRangeOut(money(offer.min_minor or 0, code), money(offer.max_minor or 0, code), money(offer.step_minor or 0, code))
    return DenominationOut(offer.sku, "range", None, span)


def price_out(sku: str, quantity: int, face_minor: int, face_currency: Currency, price: UnitPrice) -> PriceOut:
    """What a line costs, and what that is made of."""
    code = price.currency.code
    net = quantity * (price.price_minor + price.fee_minor)
    tax = apply_bps(net, price.tax_bps) if price.tax_bps else 0
    return PriceOut(
        sku=sku,
        quantity=quantity,
        face_value=money(face_minor, face_currency.code),
        unit_gross=money(price.gross_minor, code),
        unit_discount=money(price.gross_minor - price.price_minor, code),
        unit_price=money(price.price_minor, code),
        unit_fee=money(price.fee_minor, code),
        tax=money(tax, code),
        total=money(net + tax, code),
        fx_rate=rate(price.fx_rate_e10),
    )


def quote_out(quote: Quote) -> QuoteOut:
    return QuoteOut(
        id=quote.id,
        currency=quote.currency.code,
        total=money(quote.total_minor, quote.currency.code),
        items=[price_out(one.sku, one.quantity, one.face_minor, one.face_currency, one.price) for one in quote.lines],
        created_at=rfc3339(quote.created_at),
        expires_at=rfc3339(quote.expires_at),
        order_id=quote.order_id,
    )


# --- money ------------------------------------------------------------------------------------------------------------


def balance_out(balance: Balance) -> BalanceOut:
    code = balance.currency
    return BalanceOut(
        currency=code,
        available=money(balance.available_minor, code),
        balance=money(balance.balance_minor, code),
        held=money(balance.held_minor, code),
        credit_limit=money(balance.credit_limit_minor, code),
    )


def transaction_out(one: Transfer) -> TransactionOut:
    """A transfer as the partner's wallet sees it: what is held or freed moves no balance, and keeps its side."""
    is_credit = one.partner_id is not None and one.credit == wallet(one.partner_id, one.currency, one.mode)
    return TransactionOut(
        id=one.id,
        direction="credit" if is_credit or one.phase is Phase.VOID else "debit",
        amount=money(one.amount_minor, one.currency),
        purpose=one.purpose.value,
        phase=one.phase.value,
        order_id=one.order_id,
        reference=one.reference,
        reverses=one.reverses,
        balance_after=None if one.wallet_after_minor is None else money(one.wallet_after_minor, one.currency),
        created_at=rfc3339(one.created_at),
    )


def encode(value: Any) -> bytes:
    """JSON of a wire type."""
    return _encode(value)
