"""Every statement of delivery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from cardrail.delivery.model import Claim, Protection
from cardrail.delivery.tables import claims, messages
from cardrail.kernel import Mode, OrderId, PartnerId
from cardrail.storage import Tx, bulk_insert

insert_claims = bulk_insert(claims, *[column.name for column in claims.c])
"""One tuple each, in the order of the table's columns."""

_CLAIM: Final = sa.select(*claims.c).where(claims.c.id == sa.bindparam("of"))
_OF_ORDER: Final = sa.select(*claims.c).where(claims.c.order_id == sa.bindparam("of")).order_by(claims.c.line, claims.c.unit)
_TRIED: Final = (
    sa.update(claims)
    .where(claims.c.id == sa.bindparam("of"))
    .values(tries=sa.bindparam("to_tries"), locked_until=sa.bindparam("to_locked"), claimed_at=sa.bindparam("to_claimed"))
)
_REVOKE: Final = (
    sa.update(claims)
    .where(claims.c.id == sa.bindparam("of"), claims.c.revoked_at.is_(None))
    .values(revoked_at=sa.bindparam("at"))
)
_NEW_PIN: Final = (
    sa.update(claims)
    .where(claims.c.id == sa.bindparam("of"))
    .values(pin_hash=sa.bindparam("to_hash"), tries=0, locked_until=None)
)


_WAITING: Final = sa.select(sa.func.count(), sa.func.min(messages.c.due_at)).where(
    sa.literal_column("messages.state = 'waiting'"), messages.c.due_at <= sa.bindparam("now")
)


def message_backlog(tx: Tx, now: int) -> tuple[int, int | None]:
    """Messages that should have gone out by now and wait, and since when the oldest of them does."""
    count, oldest = tx.execute(_WAITING, {"now": now}).one()
    return int(count), oldest


def load_claim(tx: Tx, claim_id: str, *, lock: bool = False) -> Claim | None:
    query = _CLAIM.with_for_update() if lock else _CLAIM
    row = tx.execute(query, {"of": claim_id}).one_or_none()
    return None if row is None else _claim(row)


def load_claims(tx: Tx, order_id: str) -> list[Claim]:
    """An order's links, by line and unit."""
    return [_claim(row) for row in tx.execute(_OF_ORDER, {"of": order_id})]


def set_tried(tx: Tx, claim: Claim, tries: int, locked_until: int | None, claimed_at: int | None) -> None:
    tx.execute(_TRIED, {"of": claim.id, "to_tries": tries, "to_locked": locked_until, "to_claimed": claimed_at})


def revoke_claim(tx: Tx, claim_id: str, at: int) -> bool:
    """Whether it was not revoked before."""
    return tx.execute(_REVOKE, {"of": claim_id, "at": at}).rowcount == 1


def set_pin(tx: Tx, claim_id: str, pin_hash: bytes) -> None:
    """A new PIN, and all its tries."""
    tx.execute(_NEW_PIN, {"of": claim_id, "to_hash": pin_hash})


def _claim(row: Any) -> Claim:
    return Claim(
        id=row.id,
        order_id=OrderId(row.order_id),
        line=row.line,
        unit=row.unit,
        partner_id=PartnerId(row.partner_id),
        mode=Mode(row.mode),
        protection=Protection(row.protection),
        pin_hash=None if row.pin_hash is None else bytes(row.pin_hash),
        tries=row.tries,
        locked_until=row.locked_until,
        language=row.language,
        recipient=row.recipient,
        created_at=row.created_at,
        expires_at=row.expires_at,
        claimed_at=row.claimed_at,
        revoked_at=row.revoked_at,
    )


# --- messages ---------------------------------------------------------------------------------------------------------

insert_messages = bulk_insert(messages, *[column.name for column in messages.c])
"""One tuple each, in the order of the table's columns."""

_MESSAGE: Final = sa.select(*messages.c).where(messages.c.id == sa.bindparam("of"))
_MESSAGES_OF: Final = sa.select(*messages.c).where(messages.c.order_id == sa.bindparam("of")).order_by(messages.c.id)
_BY_PROVIDER: Final = sa.select(messages.c.id).where(messages.c.provider_id == sa.bindparam("of"))
_OUTCOME: Final = (
    sa.update(messages)
    .where(messages.c.id == sa.bindparam("of"))
    .values(
        state=sa.bindparam("to_state"),
        tries=sa.bindparam("to_tries"),
        error=sa.bindparam("to_error"),
        provider_id=sa.func.coalesce(sa.bindparam("to_provider"), messages.c.provider_id),
        sent_at=sa.func.coalesce(sa.bindparam("to_sent"), messages.c.sent_at),
    )
)


def load_message(tx: Tx, message_id: str, *, lock: bool = False) -> Any:
    """The row, or None."""
    return tx.execute(_MESSAGE.with_for_update() if lock else _MESSAGE, {"of": message_id}).one_or_none()


def load_messages(tx: Tx, order_id: str) -> Sequence[Any]:
    """An order's messages, the oldest first."""
    return tx.execute(_MESSAGES_OF, {"of": order_id}).all()


def find_by_provider(tx: Tx, provider_id: str) -> str | None:
    found: str | None = tx.execute(_BY_PROVIDER, {"of": provider_id}).scalars().first()
    return found


def set_outcome(
    tx: Tx,
    message_id: str,
    state: str,
    tries: int,
    *,
    error: str | None = None,
    provider_id: str | None = None,
    sent_at: int | None = None,
) -> None:
    tx.execute(
        _OUTCOME,
        {
            "of": message_id,
            "to_state": state,
            "to_tries": tries,
            "to_error": error,
            "to_provider": provider_id,
            "to_sent": sent_at,
        },
    )
