"""Quotes: a total that holds for 15 minutes."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, money_in
from cardrail.api.render import quote_out
from cardrail.api.wire import QuoteIn, QuoteItemIn, QuoteOut
from cardrail.catalog import CatalogSnapshot, Quote, QuoteNotFound, QuoteRequest, UnknownSku, get_quote, make_quote
from cardrail.kernel import QuoteId, currency, is_id
from cardrail.orders import Behaviour, Buyer, WrongCurrency, behaviour_of, sandbox_offer, sandbox_price


@post(
    "/v1/quotes",
    status_code=201,
    opt=describe(
        "Fix a price",
        QuoteOut,
        tag="Quotes",
        scope="catalog:read",
        body=QuoteIn,
        errors=(
            "unknown_sku",
            "face_value_required",
            "invalid_face_value",
            "invalid_amount",
            "unknown_currency",
            "wrong_currency",
            "price_unavailable",
            "no_exchange_rate",
            "below_cost",
        ),
        description="The total holds for 15 minutes and for one order, which names the quote and the same lines.",
    ),
)
async def create_quote(request: HttpRequest) -> Response[bytes]:
    """Price some lines, for 15 minutes."""
    desk = desk_of(request)
    asked = await desk.body(request, QuoteIn)
    buyer = buyer_in(request, asked.currency)
    snapshot = desk.parts.catalog.current()
    lines = [_line(snapshot, buyer, number, one) for number, one in enumerate(asked.items)]
    quote = await desk.write(
        lambda: make_quote(
            desk.parts.db,
            desk.parts.clock,
            snapshot,
            partner_id=buyer.partner_id,
            price_list_id=buyer.price_list_id,
            mode=buyer.mode,
            currency=buyer.currency,
            lines=lines,
        )
    )
    return answer(quote_out(quote), 201)


def _line(snapshot: CatalogSnapshot, buyer: Buyer, number: int, item: QuoteItemIn) -> QuoteRequest:
    """A line as the catalog takes it; a test sku brings its own price. Raises UnknownSku, WrongCurrency, InvalidAmount."""
    is_real = behaviour_of(item.sku, buyer.mode) is Behaviour.REAL
    offer = snapshot.offer(item.sku) if is_real else sandbox_offer(item.sku, buyer.currency)
    given = (offer, sandbox_price(offer)) if offer is not None and not is_real else None
    if item.face_value is None:
        return QuoteRequest(item.sku, item.quantity, given=given)
    if offer is None:
        raise UnknownSku(sku=item.sku, line=number + 1)
    unit = currency(item.face_value.currency)
    if unit != offer.currency:
        raise WrongCurrency(line=number + 1, given=unit.code, expected=offer.currency.code)
    face_minor = money_in(item.face_value.amount, unit.code, unit.digits, f"/items/{number}/face_value/amount")
    return QuoteRequest(item.sku, item.quantity, face_minor, given)


@get(
    "/v1/quotes/{quote_id:str}",
    opt=describe("See a quote", QuoteOut, tag="Quotes", scope="catalog:read", errors=("quote_not_found",)),
)
async def show_quote(request: HttpRequest, quote_id: FromPath[str]) -> Response[bytes]:
    """One quote of the partner."""
    desk, buyer = desk_of(request), buyer_in(request)
    if not is_id("quo", quote_id):
        raise QuoteNotFound

    def look() -> Quote | None:
        with desk.parts.db.read() as tx:
            return get_quote(tx, QuoteId(quote_id))

    quote = await desk.read(look)
    if quote is None or quote.partner_id != buyer.partner_id or quote.mode is not buyer.mode:
        raise QuoteNotFound
    return answer(quote_out(quote))


QUOTE_ROUTES: Final = (create_quote, show_quote)
