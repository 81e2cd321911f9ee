"""Reading replacements: scoped by partner and mode in the query itself."""

from __future__ import annotations

from collections.abc import Sequence

from cardrail.kernel import OrderId
from cardrail.orders import store as orders_store
from cardrail.orders.errors import OrderNotFound, ReplacementNotFound
from cardrail.orders.model import Buyer
from cardrail.orders.replacements import store
from cardrail.orders.replacements.model import Replacement, ReplacementState
from cardrail.storage import Database


def get_replacement(db: Database, buyer: Buyer, replacement_id: str) -> Replacement:
    """The partner's replacement. Raises ReplacementNotFound."""
    with db.read() as tx:
        found = store.load_replacement(tx, replacement_id, partner_id=buyer.partner_id, mode=buyer.mode)
    if found is None:
        raise ReplacementNotFound(replacement_id=replacement_id)
    return found


def list_replacements(
    db: Database,
    buyer: Buyer,
    *,
    order_id: OrderId | None = None,
    state: ReplacementState | None = None,
    before: str | None = None,
    limit: int,
) -> list[Replacement]:
    """The partner's replacements, newest first; one more than ``limit`` if there are more. Raises OrderNotFound for another's order."""
    with db.read() as tx:
        if order_id is not None and not orders_store.load_orders(tx, [order_id], partner_id=buyer.partner_id, mode=buyer.mode):
            raise OrderNotFound(order_id=order_id)
        return store.load_page(
            tx,
            partner_id=buyer.partner_id,
            mode=buyer.mode,
            order_id=order_id,
            states=[state.value] if state is not None else (),
            before=before,
            limit=limit + 1,
        )


def find_replacements(
    db: Database,
    *,
    ids: Sequence[str] | None = None,
    states: Sequence[ReplacementState] = (),
    partner_id: str | None = None,
    order_id: str | None = None,
    limit: int = 50,
) -> list[Replacement]:
    """The operator's look: these replacements, or the newest of any partner."""
    with db.read() as tx:
        if ids is not None:
            return [one for one in (store.load_replacement(tx, wanted) for wanted in ids) if one is not None]
        return store.load_page(tx, partner_id=partner_id, order_id=order_id, states=[one.value for one in states], limit=limit)
