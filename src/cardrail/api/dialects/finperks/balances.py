"""GET /balances and GET /balances/{currency} (specs/finperks.md, section 2.7): what can be spent, by wallet."""

from __future__ import annotations

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.finperks.amounts import amount_text
from cardrail.api.dialects.finperks.wire import BalanceOut
from cardrail.ledger import WalletNotFound, balances


async def list_balances(call: Call) -> Answer:
    """Every wallet of the client."""
    return json_answer(await _balances(call))


async def show_balance(call: Call) -> Answer:
    """One wallet. Raises WalletNotFound."""
    wanted = call.params["currency"]
    for one in await _balances(call):
        if one.currency == wanted:
            return json_answer(one)
    raise WalletNotFound


async def _balances(call: Call) -> list[BalanceOut]:
    """The wallets; the default one is there also before its first transfer."""
    principal, db = call.principal, call.desk.parts.db

    def look() -> list[BalanceOut]:
        with db.read() as tx:
            found = balances(tx, principal.partner_id, principal.mode)
        return [BalanceOut(one.currency, amount_text(one.available_minor, one.currency)) for one in found]

    wallets = await call.desk.read(look)
    if all(one.currency != principal.currency for one in wallets):
        wallets.append(BalanceOut(principal.currency, amount_text(0, principal.currency)))
    return wallets
