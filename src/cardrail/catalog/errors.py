"""What the catalog refuses.

CatalogError
├── UnknownSku, ProductNotFound, PriceListNotFound, PriceRuleNotFound
├── FaceValueRequired, InvalidFaceValue
├── FieldError
│   ├── MissingField, InvalidField
│   └── InvalidPattern
├── PriceError
│   ├── PriceUnavailable
│   ├── NoExchangeRate
│   └── BelowCost
├── InvalidPriceRule, InvalidRate, DuplicatePriceList
├── QuoteError
│   ├── QuoteNotFound, QuoteExpired
│   └── QuoteUsed, QuoteMismatch
├── UnreadableSheet
└── CatalogBusy
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class CatalogError(CardrailError):
    """The catalog refused."""

    code = "catalog_error"


class UnknownSku(CatalogError):
    """No denomination has this sku."""

    code = "unknown_sku"


class ProductNotFound(CatalogError):
    """No product has this code or id."""

    code = "product_not_found"


class PriceListNotFound(CatalogError):
    """No price list has this name or id."""

    code = "price_list_not_found"


class PriceRuleNotFound(CatalogError):
    """No price rule has this id."""

    code = "price_rule_not_found"


class FaceValueRequired(CatalogError):
    """This sku is sold as a range: the face value must be given."""

    code = "face_value_required"


class InvalidFaceValue(CatalogError):
    """The face value is outside the range of this sku, off its step, or not the one that it has."""

    code = "invalid_face_value"


class FieldError(CatalogError):
    """An input field is not right."""

    code = "invalid_field"


class MissingField(FieldError):
    """The product needs an input field that was not given."""

    code = "missing_field"


class InvalidField(FieldError):
    """An input field has a value that the product does not take, or the product has no such field."""

    code = "invalid_field"


class InvalidPattern(FieldError):
    """The pattern of an input field is not a regular expression, or could take too long to check."""

    code = "invalid_pattern"


class PriceError(CatalogError):
    """The sku has no price for this partner at the moment."""

    code = "price_unavailable"


class PriceUnavailable(PriceError):
    """No price rule gives a price for this sku."""

    code = "price_unavailable"


class NoExchangeRate(PriceError):
    """No exchange rate leads from one currency to the other."""

    code = "no_exchange_rate"


class BelowCost(PriceError):
    """The price is below cost, and its rule does not allow that."""

    code = "below_cost"


class InvalidPriceRule(CatalogError):
    """The price rule does not make sense as it was given."""

    code = "invalid_price_rule"


class InvalidRate(CatalogError):
    """The exchange rate does not make sense as it was given."""

    code = "invalid_rate"


class DuplicatePriceList(CatalogError):
    """A price list of this name exists already."""

    code = "duplicate_price_list"


class QuoteError(CatalogError):
    """The quote cannot be used."""

    code = "quote_error"


class QuoteNotFound(QuoteError):
    """There is no such quote."""

    code = "quote_not_found"


class QuoteExpired(QuoteError):
    """The quote's 15 minutes are over: ask for another."""

    code = "quote_expired"


class QuoteUsed(QuoteError):
    """The quote was used by an order already."""

    code = "quote_used"


class QuoteMismatch(QuoteError):
    """The order is not the one that was quoted: other items, quantities, face values, currency or mode."""

    code = "quote_mismatch"


class UnreadableSheet(CatalogError):
    """The file is not a catalog sheet: see the problems."""

    code = "unreadable_sheet"


class CatalogBusy(CatalogError):
    """Somebody else kept changing the catalog meanwhile; nothing was changed. Try again."""

    code = "catalog_busy"
    retryable = True
