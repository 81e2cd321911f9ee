"""What the supplier answers with. Only what is used is named; amounts come as numbers or texts, statuses in either case."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class TokensIn(msgspec.Struct):
    access_token: str
    refresh_token: str
    access_expires_at: str


class WrappedTokensIn(msgspec.Struct):
    """A sibling wraps them."""

    data: TokensIn


class RangeIn(msgspec.Struct):
    min_value: Decimal
    max_value: Decimal
    discount: Decimal = Decimal(0)


class ProductIn(msgspec.Struct):
    id: int
    name: str
    currency_id: int
    available_denominations: list[RangeIn]
    category: str | None = None
    country_id: int | None = None
    delivery_type: str | None = None


class CurrencyIn(msgspec.Struct):
    """A sibling names the code ``currency``."""

    id: int
    code: str | None = None
    currency: str | None = None


class CountryIn(msgspec.Struct):
    """A sibling names the code ``alpha_2``."""

    id: int
    code: str | None = None
    alpha_2: str | None = None


class ChargesIn(msgspec.Struct):
    total_payable: Decimal
    max_quantity: Decimal | None = None


class VoucherIn(msgspec.Struct):
    claim_url: str | None = None
    card_number: str | None = None
    voucher_reference_number: str | None = None
    pin_code: str | None = None
    expires_at: str | None = None


class OrderIn(msgspec.Struct):
    """An order as it is created, listed or shown. The lifecycle page calls the vouchers ``items``."""

    id: int
    status: str
    quantity: int
    transaction_id: int | None = None
    ref: str | None = None
    reference_code: str | None = None
    vouchers: list[VoucherIn] | None = None
    items: list[VoucherIn] | None = None
    placed_at: str | None = None

    @property
    def units(self) -> list[VoucherIn]:
        return self.vouchers or self.items or []


class WalletIn(msgspec.Struct):
    id: int
    currency_id: int
    amount: Decimal


class TransactionIn(msgspec.Struct):
    id: int
    currency_id: int
    amount: Decimal
    transaction_type: str
    status: str
    created_at: str
    remarks: str | None = None


class NamedErrorIn(msgspec.Struct):
    code: str | None = None
    name: str | None = None


class FailureIn(msgspec.Struct):
    """``error`` is a text (shape A), or an object (shapes B and C)."""

    error: str | NamedErrorIn

    @property
    def code(self) -> str:
        if isinstance(self.error, str):
            return self.error
        return self.error.code or self.error.name or ""
