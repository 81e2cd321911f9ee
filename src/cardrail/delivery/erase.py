"""What deliveries know of a recipient, erased with him."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from cardrail.delivery.tables import claims, messages
from cardrail.storage import Tx


def erase_recipients(tx: Tx, order_ids: Sequence[str]) -> None:
    """Take names and addresses out of these orders' claim links and messages; a message that still waits is not sent any more."""
    tx.execute(sa.update(claims).where(claims.c.order_id.in_(order_ids)).values(recipient=None))
    of_orders = messages.c.order_id.in_(order_ids)
    tx.execute(sa.update(messages).where(of_orders, messages.c.state == "waiting").values(state="cancelled"))
    tx.execute(sa.update(messages).where(of_orders).values(address=None))
