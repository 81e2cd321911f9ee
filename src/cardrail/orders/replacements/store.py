"""Every statement of replacements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cardrail.kernel import Mode, OrderId
from cardrail.orders.replacements.model import CallState, Replacement, ReplacementReason, ReplacementState, Story
from cardrail.orders.replacements.tables import replacements as table
from cardrail.orders.replacements.tables import unjournalled as waiting
from cardrail.storage import Tx

_links: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_story: Final = msgspec.json.Decoder(tuple[tuple[int, str], ...]).decode
_encode: Final = msgspec.json.Encoder().encode

_INSERT: Final = sa.insert(table)
_ONE: Final = sa.select(table).where(table.c.id == sa.bindparam("of"))
_LOCK: Final = _ONE.with_for_update()
_OF_ORDERS: Final = (
    sa.select(table).where(table.c.order_id.in_(sa.bindparam("ids", expanding=True))).order_by(table.c.order_id, table.c.id)
)
_LOCK_OF_ORDERS: Final = _OF_ORDERS.with_for_update()
_REPLACED: Final = _OF_ORDERS.where(table.c.state == ReplacementState.REPLACED.value)
_OF_KEY: Final = sa.select(table).where(table.c.key_hash == sa.bindparam("hash")).order_by(table.c.part)
_DUE: Final = (
    sa.select(table.c.id).where(table.c.wake_at <= sa.bindparam("before")).order_by(table.c.wake_at).limit(sa.bindparam("count"))
)
_ERASE: Final = (
    sa.update(table).where(table.c.order_id.in_(sa.bindparam("ids", expanding=True))).values(evidence=None, links="[]")
)

_MARK: Final = sa.insert(waiting)
_UNJOURNALLED: Final = (
    sa.select(table.c.order_id)
    .join(waiting, waiting.c.replacement_id == table.c.id)
    .where(waiting.c.since <= sa.bindparam("before", type_=sa.BigInteger))
    .group_by(table.c.order_id)
    .limit(200)
)
_UNJOURNALLED_OF: Final = (
    sa.select(table.c.id)
    .join(waiting, waiting.c.replacement_id == table.c.id)
    .where(table.c.order_id == sa.bindparam("of"), table.c.new_lot_id.is_not(None))
)
_JOURNALLED: Final = sa.delete(waiting).where(waiting.c.replacement_id.in_(sa.bindparam("ids", expanding=True)))


def insert_replacements(tx: Tx, rows: Sequence[Replacement]) -> None:
    tx.execute(_INSERT, [_values(one) for one in rows])


def save_replacement(tx: Tx, one: Replacement) -> None:
    """Write the row as it now stands; the caller has locked it."""
    values = _values(one)
    del values["id"]
    tx.execute(sa.update(table).where(table.c.id == one.id).values(values))


def load_replacement(
    tx: Tx, replacement_id: str, *, partner_id: str | None = None, mode: Mode | None = None, lock: bool = False
) -> Replacement | None:
    query = _LOCK if lock else _ONE
    if partner_id is not None:
        query = query.where(table.c.partner_id == partner_id)
    if mode is not None:
        query = query.where(table.c.mode == mode.value)
    row = tx.execute(query, {"of": replacement_id}).first()
    return _replacement(row) if row is not None else None


def load_of_orders(tx: Tx, order_ids: Iterable[str], *, lock: bool = False) -> list[Replacement]:
    """Every replacement of these orders, in the order of their making."""
    found = tx.execute(_LOCK_OF_ORDERS if lock else _OF_ORDERS, {"ids": list(order_ids)})
    return [_replacement(row) for row in found]


def load_replaced(tx: Tx, order_ids: Iterable[str]) -> dict[str, list[Replacement]]:
    """By order, the replacements that gave a new code; an order without one is not in it."""
    found: dict[str, list[Replacement]] = {}
    for row in tx.execute(_REPLACED, {"ids": list(order_ids)}):
        found.setdefault(row.order_id, []).append(_replacement(row))
    return found


def load_of_key(tx: Tx, key_hash: bytes) -> list[Replacement]:
    """What the request under this key made."""
    return [_replacement(row) for row in tx.execute(_OF_KEY, {"hash": key_hash})]


def load_page(
    tx: Tx,
    *,
    partner_id: str | None = None,
    mode: Mode | None = None,
    order_id: str | None = None,
    states: Sequence[str] = (),
    before: str | None = None,
    limit: int,
) -> list[Replacement]:
    """Replacements, newest first."""
    query = sa.select(table)
    if partner_id is not None:
        query = query.where(table.c.partner_id == partner_id)
    if mode is not None:
        query = query.where(table.c.mode == mode.value)
    if order_id is not None:
        query = query.where(table.c.order_id == order_id)
    if states:
        query = query.where(table.c.state.in_(states))
    if before is not None:
        query = query.where(table.c.id < before)
    return [_replacement(row) for row in tx.execute(query.order_by(table.c.id.desc()).limit(limit))]


def due(tx: Tx, before: int, count: int) -> list[str]:
    """Replacements that somebody should have looked at by that moment, the most overdue first."""
    return list(tx.execute(_DUE, {"before": before, "count": count}).scalars())


def mark_unjournalled(tx: Tx, replacement_id: str, now: int) -> None:
    """The journal does not know the code that was given in this transaction."""
    tx.execute(_MARK, {"replacement_id": replacement_id, "since": now})


def mark_journalled(tx: Tx, ids: Sequence[str]) -> None:
    """The journal has the codes that these replacements gave."""
    tx.execute(_JOURNALLED, {"ids": list(ids)})


def unjournalled(tx: Tx, before: int) -> list[OrderId]:
    """Orders with codes that were given until that moment and are not known to be in the journal."""
    return [OrderId(one) for one in tx.execute(_UNJOURNALLED, {"before": before}).scalars()]


def unjournalled_of(tx: Tx, order_id: str) -> list[str]:
    """Replacements of this order whose new codes are not known to be in the journal."""
    return list(tx.execute(_UNJOURNALLED_OF, {"of": order_id}).scalars())


def erase_evidence(tx: Tx, order_ids: Sequence[str]) -> None:
    """Take out what partners wrote about these orders' codes: it may name their customers."""
    tx.execute(_ERASE, {"ids": list(order_ids)})


def _values(one: Replacement) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(one, name) for name in one.__slots__}
    values["mode"], values["state"], values["reason"] = one.mode.value, one.state.value, one.reason.value
    values["call"] = None if one.call is None else one.call.value
    values["links"] = _encode(one.links).decode()
    values["story"] = _encode(one.story).decode()
    return values


def _replacement(row: Any) -> Replacement:
    values = dict(row._mapping)  # noqa: SLF001  # its public name for it
    story: Story = _story(row.story)
    values |= {
        "order_id": OrderId(row.order_id),
        "mode": Mode(row.mode),
        "state": ReplacementState(row.state),
        "reason": ReplacementReason(row.reason),
        "call": None if row.call is None else CallState(row.call),
        "links": _links(row.links),
        "story": story,
        "key_hash": None if row.key_hash is None else bytes(row.key_hash),
        "fingerprint": bytes(row.fingerprint),
    }
    return Replacement(**values)
