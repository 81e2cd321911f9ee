"""How many codes of a partner the operator's policy replaces or refunds by itself: a share of what the partner bought of late.

A partner's word is all that such a decision rests on. Whoever claims more than his share is not refused: a human looks at it. What a
supplier confirmed is not counted, and what an operator decided is not either.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from cardrail.kernel import first_body
from cardrail.orders.replacements.model import CallState, Replacement, ReplacementPolicy, ReplacementState
from cardrail.orders.replacements.tables import replacements
from cardrail.orders.states import OrderState
from cardrail.orders.tables import order_items, orders
from cardrail.storage import Tx

_r, _o, _i = replacements.c, orders.c, order_items.c
_UNASKED: Final = sa.select(sa.func.count()).where(
    _r.partner_id == sa.bindparam("partner"),
    _r.mode == sa.bindparam("mode"),
    _r.id >= sa.bindparam("first"),
    _r.created_at >= sa.bindparam("since", type_=sa.BigInteger),
    _r.decided_by == "system",
    sa.or_(
        sa.and_(_r.state == ReplacementState.REPLACED.value, _r.source == "stock"),
        _r.state == ReplacementState.REFUNDED.value,
    ),
    sa.or_(_r.call.is_(None), _r.call != CallState.CREDITED.value),
)
_some: Final = (
    sa.select(_i.delivered)
    .select_from(orders.join(order_items, _i.order_id == _o.id))
    .where(
        _o.partner_id == sa.bindparam("partner"),
        _o.mode == sa.bindparam("mode"),
        _o.id >= sa.bindparam("first"),
        _o.created_at >= sa.bindparam("since", type_=sa.BigInteger),
        _o.state != OrderState.INVALIDATED.value,
        _i.delivered > 0,
    )
    .limit(sa.bindparam("most"))
    .subquery()
)
_SOLD: Final = sa.select(sa.func.coalesce(sa.func.sum(_some.c.delivered), 0))


def is_allowed(tx: Tx, policy: ReplacementPolicy, one: Replacement, now: int) -> bool:
    """Whether one more of this partner's codes may be replaced or refunded unasked. The wallet that paid is locked by the caller, so claims
    of several orders are counted one after the other; only two wallets' claims at the same moment may not see each other."""
    late = policy.unasked_span + policy.patience  # a claim is decided some time after it was made
    given = int(tx.execute(_UNASKED, _within(one, "rpl", now, late)).scalar_one())
    if given < policy.unasked_least:
        return True
    if not policy.unasked_bps:
        return False
    enough = -(-(given + 1) * 10_000 // policy.unasked_bps)  # units; a line has at least one, so no more lines are looked at
    sold = int(tx.execute(_SOLD, {**_within(one, "ord", now, policy.unasked_span), "most": enough}).scalar_one())
    return sold >= enough


def _within(one: Replacement, prefix: str, now: int, span: timedelta) -> dict[str, Any]:
    """Whose, and since when. The ids are made by this machine's clock and bound what is looked through, with a day to spare."""
    first = int(time.time() - (span + timedelta(days=1)).total_seconds()) * 1_000
    return {
        "partner": one.partner_id,
        "mode": one.mode.value,
        "first": f"{prefix}_{first_body(max(0, first))}",
        "since": now - span // timedelta(microseconds=1),
    }
