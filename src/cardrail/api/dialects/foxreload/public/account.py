"""Whose key it is, what is in the wallets, and exchange rates (specs/foxreload.md, section 2.3)."""

from __future__ import annotations

from cardrail.access import Partner, PartnerState, get_partner
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.public.texts import money
from cardrail.api.dialects.foxreload.public.wire import BalanceOut, MeOut, RateOut, RatesOut
from cardrail.api.errors import RouteNotFound
from cardrail.catalog import CatalogSnapshot, show_rate
from cardrail.kernel import UnknownCurrency, currency
from cardrail.ledger import Balance, balances
from cardrail.orders import Buyer


class Account:
    """The routes of the key's owner and his money."""

    def __init__(self, profile: PublicProfile) -> None:
        self._profile = profile

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/access/me", self.show_me),
            Route("GET", "/access/me/balances", self.show_balances, "balances:read"),
            Route("GET", "/topups/rates/{currency}", self.show_rates, "catalog:read"),
        )

    async def show_me(self, call: Call) -> Answer:
        """The partner."""
        partner_id = call.principal.partner_id

        def look() -> Partner:
            with call.desk.parts.db.read() as tx:
                return get_partner(tx, partner_id)

        partner = await call.desk.read(look)
        email = self._profile.email.replace("{partner_id}", partner.id)
        return json_answer(MeOut(partner.id, partner.name, email, partner.state is PartnerState.ACTIVE))

    async def show_balances(self, call: Call) -> Answer:
        """Every wallet of the key's mode; the partner's own one also before it was ever used."""
        buyer = call.buyer()
        found = await call.desk.read(lambda: _wallets(call, buyer))
        if not any(one.currency == buyer.currency for one in found):
            found.append(Balance(buyer.currency, buyer.mode, 0, 0, 0, 0))
        return json_answer(
            [
                BalanceOut(
                    currency=one.currency.lower(),
                    available=money(max(one.available_minor, 0), one.currency),
                    reserved=money(one.held_minor, one.currency),
                    pending=money(0, one.currency),
                )
                for one in found
            ]
        )

    async def show_rates(self, call: Call) -> Answer:
        """What one unit of the currency is in each other one that a rate leads to."""
        try:
            base = currency(call.params["currency"].upper()).code
        except UnknownCurrency:
            raise RouteNotFound(said="There is no such currency.") from None
        snapshot = call.desk.parts.catalog.current()
        return json_answer(RatesOut(await call.desk.read(lambda: _rates(snapshot, base))))


def _wallets(call: Call, buyer: Buyer) -> list[Balance]:
    with call.desk.parts.db.read() as tx:
        return balances(tx, buyer.partner_id, buyer.mode)


def _rates(snapshot: CatalogSnapshot, base: str) -> list[RateOut]:
    others = sorted({code for one in snapshot.fx_rates for code in (one.base, one.quote)} - {base})
    ways = [(code, snapshot.exchange(base, code)) for code in others]
    return [RateOut(base.lower(), code.lower(), show_rate(way.rate_e10)) for code, way in ways if way is not None]
