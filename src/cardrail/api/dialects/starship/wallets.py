"""Wallets (specs/starship.md, section 2.8). A wallet's number follows from its name, so it needs no row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.desk import Desk
from cardrail.api.dialects.starship.amounts import number2
from cardrail.api.dialects.starship.errors import NOT_FOUND, Refusal
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.reading import id_in, query_of
from cardrail.api.dialects.starship.reference import currency_id
from cardrail.kernel import Mode, number_of
from cardrail.ledger import Balance, balances, wallet

LIMIT: Final = 50
LIMIT_MAX: Final = 10_000
_SORTS: Final = ("id", "amount", "created_at", "updated_at")
KEPT_MAX: Final = 50_000


FRESH_SECONDS: Final = 1.0
"""How long the absence of a wallet is believed; wallets stay, so what is there needs no second look."""


class _Known(NamedTuple):
    currencies: dict[int, str]
    """Number → currency."""
    read_at: float


class WalletOut(msgspec.Struct):
    """A wallet and what it may still spend."""

    id: int
    currency_id: int
    amount: msgspec.Raw
    type: str


def wallet_number(partner_id: str, code: str, mode: Mode) -> int:
    """A wallet's id."""
    return number_of(wallet(partner_id, code, mode))


class Wallets:
    """The routes of wallets, and which wallet pays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[str, Mode], _Known] = {}

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/v1/wallets", self.browse, scope="balances:read"),
            Route("GET", "/api/v1/wallets/{id}", self.show, scope="balances:read"),
        ]

    async def browse(self, call: Call) -> Answer:
        """The client's wallets."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        by, descending = fields.sort(_SORTS)
        currency = fields.integer("currency_id", maximum=10**6)
        kind = fields.choice("type", ("PREPAID", "POSTPAID"))
        is_active = fields.flag("is_active", default=True)
        fields.check()
        found = await self.of(call.principal) if is_active else []
        rows = [_out(one, call.principal) for one in found]
        rows = [one for one in rows if currency in (None, one.currency_id) and kind in (None, one.type)]
        amounts = {wallet_number(call.principal.partner_id, one.currency, one.mode): one.available_minor for one in found}
        rows.sort(key=lambda one: amounts[one.id] if by == "amount" else one.id, reverse=descending)
        return page_answer(paging.cut(rows), paging, len(rows))

    async def show(self, call: Call) -> Answer:
        """One wallet with its balance."""
        number = id_in(call)
        for one in await self.of(call.principal):
            if wallet_number(call.principal.partner_id, one.currency, one.mode) == number:
                return json_answer(_out(one, call.principal))
        raise Refusal(NOT_FOUND)

    async def of(self, principal: Principal) -> list[Balance]:
        """The client's wallets; his default one too before money came to it."""
        parts = self._desk.parts

        def look() -> list[Balance]:
            with parts.db.read() as tx:
                return balances(tx, principal.partner_id, principal.mode)

        found = await self._desk.read(look)
        if principal.currency not in [one.currency for one in found]:
            found = [*found, Balance(principal.currency, principal.mode, 0, 0, 0, 0)]
        self._keep(principal, found)
        return found

    async def currency_of(self, principal: Principal, number: int) -> str:
        """The currency of a wallet's number. Raises Refusal for one that is not the client's."""
        found = (await self._currencies(principal, lambda known: number in known)).get(number)
        if found is None:
            raise Refusal(NOT_FOUND._replace(message="There is no such wallet."))
        return found

    async def paying(self, principal: Principal, product_currency: str, wallet_id: int | None) -> str:
        """The currency of the wallet that pays: the named one, else the one in the product's currency, else the default one."""
        if wallet_id is not None:
            return await self.currency_of(principal, wallet_id)
        if product_currency == principal.currency:
            return product_currency
        known = await self._currencies(principal, lambda known: product_currency in known.values())
        return product_currency if product_currency in known.values() else principal.currency

    async def _currencies(self, principal: Principal, has_it: Callable[[dict[int, str]], bool]) -> dict[int, str]:
        """The client's wallets from memory, read anew if what is sought is not among them."""
        known = self._known.get((principal.partner_id, principal.mode))
        if known is None or (not has_it(known.currencies) and time.monotonic() - known.read_at > FRESH_SECONDS):
            await self.of(principal)
            known = self._known[principal.partner_id, principal.mode]
        return known.currencies

    def _keep(self, principal: Principal, found: list[Balance]) -> None:
        if len(self._known) >= KEPT_MAX:
            self._known.clear()
        numbers = {wallet_number(principal.partner_id, one.currency, principal.mode): one.currency for one in found}
        self._known[principal.partner_id, principal.mode] = _Known(numbers, time.monotonic())


def _out(one: Balance, principal: Principal) -> WalletOut:
    return WalletOut(
        wallet_number(principal.partner_id, one.currency, principal.mode),
        currency_id(one.currency),
        number2(one.available_minor, one.currency),
        "POSTPAID" if one.credit_limit_minor else "PREPAID",
    )
