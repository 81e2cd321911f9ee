"""The wallet of surface V1, and GET /v1/balance (specs/foxreload.md, section 2.2)."""

from __future__ import annotations

from cardrail.api.compat import Answer, Call, decimal_text, json_answer
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import BalanceOut, BalancesOut
from cardrail.ledger import Balance, balances


def wallet_of(call: Call, profile: V1Profile) -> str:
    """The currency that the caller pays in here."""
    return profile.currency or call.principal.currency


async def balance(call: Call) -> Answer:
    """All wallets: what can be spent, and what is held for orders that are not delivered yet."""
    buyer = call.buyer()

    def look() -> list[Balance]:
        with call.desk.parts.db.read() as tx:
            return balances(tx, buyer.partner_id, buyer.mode)

    found = await call.desk.read(look)
    return json_answer(
        BalancesOut(
            [
                BalanceOut(
                    one.currency, decimal_text(one.available_minor, one.currency), decimal_text(one.held_minor, one.currency)
                )
                for one in found
            ]
        )
    )
