"""Quotes: a price that holds for 15 minutes, made line by line, and used by one order at most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from cardrail.catalog import store
from cardrail.catalog.errors import QuoteExpired, QuoteNotFound, QuoteUsed, UnknownSku
from cardrail.catalog.model import Offer
from cardrail.catalog.prices import UnitPrice, line_total
from cardrail.catalog.snapshot import CatalogSnapshot
from cardrail.kernel import (
    Clock,
    Currency,
    Mode,
    OrderId,
    PartnerId,
    PriceRuleId,
    QuoteId,
    apply_bps,
    currency,
    from_micros,
    new_id,
    to_micros,
)
from cardrail.storage import Database, Tx, in_tx

QUOTE_LIFETIME: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """One line to be quoted; a face value where the sku is sold as a range."""

    sku: str
    quantity: int
    face_minor: int | None = None
    given: tuple[Offer, UnitPrice] | None = None
    """What it stands for and costs, where that is not the catalog's to say."""


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One line at its price, and what that is made of; amounts are in the wallet's currency."""

    sku: str
    quantity: int
    face_minor: int
    """In ``face_currency``."""
    face_currency: Currency
    price: UnitPrice

    @property
    def discount_minor(self) -> int:
        """What the partner saves on the line against face value; negative where he pays more."""
        return self.quantity * (self.price.gross_minor - self.price.price_minor)

    @property
    def fee_minor(self) -> int:
        return self.quantity * self.price.fee_minor

    @property
    def tax_minor(self) -> int:
        return apply_bps(self.quantity * (self.price.price_minor + self.price.fee_minor), self.price.tax_bps)

    @property
    def total_minor(self) -> int:
        return line_total(self.price, self.quantity)


@dataclass(frozen=True, slots=True)
class Quote:
    """A total that is fixed until ``expires_at``, for one order."""

    id: QuoteId
    partner_id: PartnerId
    mode: Mode
    currency: Currency
    total_minor: int
    lines: tuple[QuoteLine, ...]
    created_at: datetime
    expires_at: datetime
    order_id: OrderId | None = None
    """The order that used it."""

    @staticmethod
    def checked(quote: Quote | None, partner_id: str, mode: Mode, now_micros: int) -> Quote:
        """The quote, if this partner may use it now in this mode. Raises QuoteNotFound (another's too), QuoteUsed, QuoteExpired."""
        if quote is None or quote.partner_id != partner_id or quote.mode != mode:
            raise QuoteNotFound
        if quote.order_id is not None:
            raise QuoteUsed(quote_id=quote.id)
        if now_micros >= to_micros(quote.expires_at):
            raise QuoteExpired(quote_id=quote.id)
        return quote

    def covers(self, asked: Sequence[tuple[str, int, int | None]]) -> bool:
        """Whether these lines (sku, quantity, face value or None for a fixed one) are the quoted ones, in the same order."""
        return len(asked) == len(self.lines) and all(
            (sku, quantity) == (line.sku, line.quantity) and face in (None, line.face_minor)
            for (sku, quantity, face), line in zip(asked, self.lines, strict=True)
        )

    def used_by(self, order_id: OrderId) -> Quote:
        """The quote as it is once this order has it."""
        return replace(self, order_id=order_id)


def make_quote(
    db: Database,
    clock: Clock,
    snapshot: CatalogSnapshot,
    *,
    partner_id: PartnerId,
    price_list_id: str | None,
    mode: Mode,
    currency: str,
    lines: Sequence[QuoteRequest],
) -> Quote:
    """Fix the price of some lines for 15 minutes.

    Raises UnknownSku (retired ones too), FaceValueRequired, InvalidFaceValue, PriceUnavailable, NoExchangeRate, BelowCost.
    """
    assert lines
    assert all(line.quantity > 0 for line in lines)
    priced = [_price_line(snapshot, line, partner_id, price_list_id, currency) for line in lines]
    now = clock.now()
    quote = Quote(
        id=QuoteId(new_id("quo")),
        partner_id=partner_id,
        mode=mode,
        currency=priced[0].price.currency,
        total_minor=sum([line.total_minor for line in priced]),
        lines=tuple(priced),
        created_at=now,
        expires_at=now + QUOTE_LIFETIME,
    )
    in_tx(db, lambda tx: store.insert_quote(tx, _row(quote)))
    return quote


def get_quote(tx: Tx, quote_id: QuoteId) -> Quote | None:
    """One quote, to be looked at: it is not locked."""
    row = store.read_quote(tx, quote_id)
    return _quote(row) if row is not None else None


def load_quotes(tx: Tx, ids: Iterable[QuoteId]) -> dict[QuoteId, Quote]:
    """The quotes of these ids, locked in id order; unknown ones are absent."""
    wanted = list(ids)
    return {QuoteId(row.id): _quote(row) for row in store.lock_quotes(tx, wanted)} if wanted else {}


def use_quotes(tx: Tx, pairs: Sequence[tuple[QuoteId, OrderId]]) -> None:
    """Bind each quote to its order. Raises QuoteUsed if one has an order already: nothing of the transaction may be kept then."""
    for quote_id, order_id in pairs:
        if not store.use_quote(tx, quote_id, order_id):
            raise QuoteUsed(quote_id=quote_id)


def _price_line(
    snapshot: CatalogSnapshot,
    line: QuoteRequest,
    partner_id: PartnerId,
    price_list_id: str | None,
    wallet: str,
) -> QuoteLine:
    if line.given is not None:
        given, fixed = line.given
        return QuoteLine(line.sku, line.quantity, snapshot.face_of(given, line.face_minor), given.currency, fixed)
    offer = snapshot.offer(line.sku)
    if offer is None or not offer.is_sellable:
        raise UnknownSku(sku=line.sku)
    face = snapshot.face_of(offer, line.face_minor)
    price = snapshot.unit_price(offer, face, partner_id=partner_id, price_list_id=price_list_id, currency=wallet)
    return QuoteLine(line.sku, line.quantity, face, offer.currency, price)


class _Line(msgspec.Struct, frozen=True):
    """A line as it is stored."""

    sku: str
    quantity: int
    face_minor: int
    face_currency: str
    price_minor: int
    fee_minor: int
    tax_bps: int
    gross_minor: int
    fx_rate_e10: int | None
    rule_id: str | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[_Line, ...]).decode


def _row(quote: Quote) -> dict[str, Any]:
    lines = [
        _Line(
            line.sku,
            line.quantity,
            line.face_minor,
            line.face_currency.code,
            line.price.price_minor,
            line.price.fee_minor,
            line.price.tax_bps,
            line.price.gross_minor,
            line.price.fx_rate_e10,
            line.price.rule_id,
        )
        for line in quote.lines
    ]
    return {
        "id": quote.id,
        "partner_id": quote.partner_id,
        "mode": quote.mode.value,
        "currency": quote.currency.code,
        "total_minor": quote.total_minor,
        "lines": _encode(lines).decode(),
        "created_at": to_micros(quote.created_at),
        "expires_at": to_micros(quote.expires_at),
        "order_id": None,
    }


def _quote(row: Any) -> Quote:
    wallet = currency(row.currency)
    return Quote(
        id=QuoteId(row.id),
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        currency=wallet,
        total_minor=int(row.total_minor),
        lines=tuple([_line(line, wallet) for line in _decode(row.lines)]),
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        order_id=row.order_id,
    )


def _line(line: _Line, wallet: Currency) -> QuoteLine:
    return QuoteLine(
        sku=line.sku,
        quantity=line.quantity,
        face_minor=line.face_minor,
        face_currency=currency(line.face_currency),
        price=UnitPrice(
            price_minor=line.price_minor,
            fee_minor=line.fee_minor,
            tax_bps=line.tax_bps,
            currency=wallet,
            gross_minor=line.gross_minor,
            fx_rate_e10=line.fx_rate_e10,
            rule_id=PriceRuleId(line.rule_id) if line.rule_id else None,
        ),
    )
