"""GET /settlements (specs/finperks.md, section 2.8): the client's statements that are closed, newest first."""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.finperks.amounts import amount_text
from cardrail.api.dialects.finperks.render import moment
from cardrail.api.dialects.finperks.wire import SettlementOut
from cardrail.kernel import to_micros
from cardrail.settlement import Statement, list_statements

SETTLEMENTS_MAX: Final = 1_000
"""Of the newest: daily ones of almost three years. The protocol has no pages."""

_PURCHASES: Final = ("sale", "fee", "tax", "refund", "refund_fee", "refund_tax")
"""Kinds of movements that are the price of cards; the rest is what was paid in."""


async def list_settlements(call: Call) -> Answer:
    """What was bought in each period, less what was given back."""
    db, principal = call.desk.parts.db, call.principal
    page = await call.desk.read(lambda: list_statements(db, principal.partner_id, principal.mode, limit=SETTLEMENTS_MAX))
    return json_answer([_out(one) for one in page.items])


def _out(one: Statement) -> SettlementOut:
    spent = -sum([one.totals.get(kind, 0) for kind in _PURCHASES])
    return SettlementOut(
        id=one.id,
        period_start=moment(to_micros(one.period_from)),
        period_end=moment(to_micros(one.period_to)),
        currency=one.currency,
        total_amount=amount_text(spent, one.currency),
        state=one.state,
    )
