"""What the sheet leaves open about the public surface."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PublicProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of the public surface (specs/foxreload.md, sections 1.3, 2.3, 3.3, 3.4 and 7)."""

    requests_per_minute: int | None = 100
    """Per key (7, A18). None: any number."""
    currencies: tuple[str, ...] = ()
    """What X-Currency may name, in lower case (1.3: usd and rub). Empty: every currency; a price is null where no exchange rate leads."""
    default_currency: str | None = None
    """What holds while X-Currency is absent (7, A28: usd). None: the currency of the partner's own default wallet."""
    languages: Annotated[tuple[str, ...], Meta(min_length=1)] = ("en", "ru")
    """What X-Language may name (1.3); the first one stands for any other."""
    uncategorised_slug: str = "other"
    """2.3 gives every product a category; products that have none stand in this one."""
    uncategorised_name: str = "Other"
    """Its name."""
    tags: dict[str, str] = msgspec.field(default_factory=lambda: {"code": "gift-card", "link": "gift-card", "topup": "top-up"})
    """Our kind of product → the tag of the categories that hold it (2.3; only gift-card is seen there)."""
    category_limit: int = 20
    """Page size of categories that none is asked of (2.3, by example)."""
    product_limit: int = 50
    """Page size of products and orders that none is asked of (2.3)."""
    limit_max: int = 200
    """The largest page (2.3)."""
    items_max: int = 10
    """Items of one order (2.3, documented)."""
    stock_seconds: float = 5.0
    """How old the stock may be that category counts and withStockOnly look at. A page's own quantities, and one product, are of now."""
    shows_best_price: bool = True
    """Whether categories carry bestOfferPrice; false sends null, and spares the work where a catalog is very large."""
    checks_stock_at_create: bool = True
    """Whether an order for more than there is, is refused at once (2.5); false: when it is paid."""
    checks_balance_at_create: bool = False
    """7, A9: the strict mode; else the balance is looked at when the order is paid."""
    no_stock_at_pay: str = "OUT_OF_STOCK"
    """The code where stock has gone altogether when an order is paid; 2.5 knows only ORDER_PAYMENT_NOT_POSSIBLE there, which tells less."""
    mock_is_free: bool = True
    """3.4: a mock order debits nothing. True fills the test wallet by what a mock order costs; false lets it be refused for balance."""
    email: str = "{partner_id}@partners.invalid"
    """What access/me shows as e-mail address (2.3): we keep none of a partner."""
