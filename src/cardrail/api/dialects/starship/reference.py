"""Reference data: categories, countries and currencies (specs/starship.md, section 2.10).

Numbers of countries follow from their two letters, those of currencies are ISO 4217's own, so both are the same everywhere, for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import iso4217
import msgspec
from babel import Locale
from babel.numbers import get_currency_name, get_currency_symbol, get_territory_currencies

from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.starship.amounts import number2, rate_number
from cardrail.api.dialects.starship.errors import INVALID_INPUT, NOT_FOUND, Refusal
from cardrail.api.dialects.starship.goods import Goods
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.reading import id_in, query_of
from cardrail.catalog import CatalogSnapshot, Category
from cardrail.catalog import Rates as FxRates
from cardrail.kernel import UnknownCurrency, currency

SHELF_LIMIT: Final = 25
SHELF_LIMIT_MAX: Final = 100
LIMIT: Final = 50
LIMIT_MAX: Final = 10_000

_NO_COUNTRIES: Final = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])
"""Two letters that Unicode's tables name and ISO 3166-1 does not give to a country (XK is Kosovo's by custom, and stays)."""


def country_id(code: str) -> int:
    """The number of a country's two letters: AA is 1, ZZ is 676."""
    return (ord(code[0]) - 65) * 26 + ord(code[1]) - 64


@lru_cache(maxsize=512)
def currency_id(code: str) -> int:
    """ISO 4217's number of a currency: 840 for USD."""
    return int(iso4217.Currency(code).number)


class CountryOut(msgspec.Struct):
    """A country."""

    id: int
    code: str
    name: str
    currency_code: str
    is_active: bool
    created_at: str
    updated_at: str


class CurrencyMetaOut(msgspec.Struct):
    """What the exchange rate is to, and from when."""

    base_currency: str
    last_updated: str


class CurrencyOut(msgspec.Struct):
    """A currency."""

    id: int
    code: str
    name: str
    symbol: str
    decimal_places: int
    exchange_rate: msgspec.Raw | None
    base_currency: str
    is_active: bool
    supported_denominations: list[msgspec.Raw]
    last_updated: str
    created_at: str
    updated_at: str
    meta: CurrencyMetaOut


class CategoryOut(msgspec.Struct):
    """A category or sub category."""

    id: int
    name: str


class ReferenceData:
    """The routes of reference data."""

    def __init__(self, profile: StarshipProfile, goods: Goods) -> None:
        self._profile = profile
        self._goods = goods

    @property
    def routes(self) -> list[Route]:
        scope = "catalog:read"
        return [
            Route("GET", "/api/v1/categories", self.categories, scope=scope),
            Route("GET", "/api/v1/categories/{id}", self.category, scope=scope),
            Route("GET", "/api/v1/subcategories", self.subcategories, scope=scope),
            Route("GET", "/api/v1/subcategories/{id}", self.subcategory, scope=scope),
            Route("GET", "/api/v1/countries", self.countries, scope=scope),
            Route("GET", "/api/v1/countries/{id}", self.country, scope=scope),
            Route("GET", "/api/v1/currencies", self.currencies, scope=scope),
            Route("GET", "/api/v1/currencies/{id}", self.currency, scope=scope),
        ]

    # --- categories ---------------------------------------------------------------------------------------------------------

    def _shelves(self, *, top: bool) -> list[Category]:
        found = [one for one in self._goods.shelf().categories.values() if (one.parent_id is None) is top]
        return sorted(found, key=lambda one: one.number)

    async def categories(self, call: Call) -> Answer:
        """Shelves that stand on no other."""
        return self._page_of_shelves(call, top=True)

    async def subcategories(self, call: Call) -> Answer:
        """Shelves that stand on another."""
        return self._page_of_shelves(call, top=False)

    async def category(self, call: Call) -> Answer:
        """One of them."""
        return self._one_shelf(call, top=True)

    async def subcategory(self, call: Call) -> Answer:
        """One of them."""
        return self._one_shelf(call, top=False)

    def _page_of_shelves(self, call: Call, *, top: bool) -> Answer:
        fields = query_of(call)
        paging = paging_of(fields, size=SHELF_LIMIT, most=SHELF_LIMIT_MAX, names=("per_page", "limit"))
        fields.check()
        found = self._shelves(top=top)
        return page_answer([CategoryOut(one.number, one.name) for one in paging.cut(found)], paging, len(found))

    def _one_shelf(self, call: Call, *, top: bool) -> Answer:
        number = id_in(call)
        return json_answer(_only([CategoryOut(one.number, one.name) for one in self._shelves(top=top) if one.number == number]))

    # --- countries ----------------------------------------------------------------------------------------------------------

    async def countries(self, call: Call) -> Answer:
        """All countries by name."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        search = (fields.text("search") or "").casefold()
        fields.check()
        found = [one for one in _countries() if search in one[1].casefold() or search == one[0].casefold()]
        return page_answer([self._country(*one) for one in paging.cut(found)], paging, len(found))

    async def country(self, call: Call) -> Answer:
        """One country."""
        number = id_in(call)
        return json_answer(_only([self._country(*one) for one in _countries() if country_id(one[0]) == number]))

    def _country(self, code: str, name: str, currency_code: str) -> CountryOut:
        date = self._profile.reference_data_date
        return CountryOut(country_id(code), code, name, currency_code, is_active=True, created_at=date, updated_at=date)

    # --- currencies ---------------------------------------------------------------------------------------------------------

    async def currencies(self, call: Call) -> Answer:
        """Currencies by code, each with what a unit of the base currency is in it."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        base = self._base(fields.text("base_currency") or "USD", fields)
        active_only = fields.flag("active_only", default=True)
        fields.check()
        found = [one for one in self._currencies(base) if one.is_active or not active_only]
        return page_answer(paging.cut(found), paging, len(found))

    async def currency(self, call: Call) -> Answer:
        """One currency."""
        number = id_in(call)
        fields = query_of(call)
        base = self._base(fields.text("base_currency") or "USD", fields)
        fields.check()
        return json_answer(_only([one for one in self._currencies(base) if one.id == number]))

    @staticmethod
    def _base(code: str, fields: Any) -> str:
        try:
            return currency(code.upper()).code
        except UnknownCurrency:
            raise Refusal(INVALID_INPUT._replace(message="The base currency is not supported.")) from None

    def _currencies(self, base: str) -> Sequence[CurrencyOut]:
        shelf = self._goods.shelf()
        kept: Sequence[CurrencyOut] | None = shelf.kept.get(("currencies", base))
        return kept if kept is not None else shelf.keep(("currencies", base), self._made(shelf.snapshot, base))

    def _made(self, snapshot: CatalogSnapshot, base: str) -> list[CurrencyOut]:
        """A currency is active if something is sold in it, or there is a rate to the base currency."""
        rates = FxRates(snapshot.fx_rates, snapshot.day)
        faces: dict[str, set[int]] = {}
        for product in self._goods.shelf().listed:
            mine = faces.setdefault(product.currency.code, set())
            mine.update([one.face_minor for one in product.sellable if one.face_minor is not None])
        made = []
        for code in _currency_codes():
            rate = rates.find(base, code)
            date = f"{rate.on_date}T00:00:00Z" if rate is not None and rate.on_date else f"{snapshot.day.isoformat()}T00:00:00Z"
            made.append(
                CurrencyOut(
                    id=currency_id(code),
                    code=code,
                    name=get_currency_name(code, locale="en"),
                    symbol=get_currency_symbol(code, locale="en"),
                    decimal_places=currency(code).digits,
                    exchange_rate=msgspec.Raw(b"1.0") if code == base else rate_number(rate.rate_e10) if rate else None,
                    base_currency=base,
                    is_active=code in faces or rate is not None,
                    supported_denominations=[number2(one, code) for one in sorted(faces.get(code, ()))],
                    last_updated=date,
                    created_at=self._profile.reference_data_date,
                    updated_at=self._profile.reference_data_date,
                    meta=CurrencyMetaOut(base, date),
                )
            )
        return made


def _only(found: Sequence[Any]) -> Any:
    """The one that was found. Raises Refusal."""
    if not found:
        raise Refusal(NOT_FOUND)
    return found[0]


@lru_cache(maxsize=1)
def _countries() -> list[tuple[str, str, str]]:
    """(two letters, name, currency in use) of each country, by name."""
    names: dict[str, str] = dict(Locale("en").territories)
    codes = [code for code in names if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES]
    rows = [(code, names[code], next(iter(get_territory_currencies(code)), "")) for code in codes]
    return sorted(rows, key=lambda row: row[1].casefold())


@lru_cache(maxsize=1)
def _currency_codes() -> list[str]:
    """Currencies with a minor unit, by code."""
    return sorted([one.code for one in iso4217.Currency if one.exponent is not None])
