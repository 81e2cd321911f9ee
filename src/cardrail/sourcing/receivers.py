"""Whose webhooks we take: an address of its own for each supplier, and the secrets that its signatures are checked with.

While a secret is rotated the one before it stays valid for a while. Secrets are sealed; the end of the address is no secret, it only
keeps strangers from finding out who our suppliers are.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from cardrail.access import SecretSealer
from cardrail.kernel import Clock, Secret, new_id, to_micros
from cardrail.sourcing.errors import InvalidReceiver, NoSupplierWebhooks, ReceiverNotFound
from cardrail.sourcing.hooks import STANDARD_HOOKS, HookReader
from cardrail.sourcing.model import Supplier
from cardrail.sourcing.registry import connector_kind
from cardrail.sourcing.suppliers import get_supplier
from cardrail.sourcing.tables import supplier_receiver_secrets, supplier_receivers, suppliers
from cardrail.storage import AuditLog, Database, Tx, audit_entry

OWN: Final = "own"
STANDARD: Final = "standard"
OVERLAP: Final = timedelta(hours=24)
PATH: Final = "/in/"
SECRET_MAX: Final = 500
_PREFIX: Final = "whsec_"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{24}")
"""What ``secrets.token_urlsafe(18)`` makes. Nothing else is asked of the database, which would break over some of it."""

_r, _s = supplier_receivers.c, supplier_receiver_secrets.c


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where one supplier's webhooks come in."""

    supplier_id: str
    token: str
    format: str
    secrets: int
    """How many are valid now."""

    @property
    def path(self) -> str:
        return PATH + self.token


@dataclass(frozen=True, slots=True)
class OpenReceiver:
    """What a request is checked with."""

    supplier_id: str
    supplier: str
    """Its name."""
    reader: HookReader
    secrets: tuple[Secret, ...]


_RECEIVER: Final = sa.select(supplier_receivers).where(_r.supplier_id == sa.bindparam("of"))
_BY_TOKEN: Final = (
    sa.select(_r.supplier_id, _r.format, suppliers.c.name, suppliers.c.kind)
    .join(suppliers, suppliers.c.id == _r.supplier_id)
    .where(_r.token == sa.bindparam("token"))
)
_VALID: Final = (
    sa.select(supplier_receiver_secrets)
    .where(_s.supplier_id == sa.bindparam("of"), sa.or_(_s.ends_at.is_(None), _s.ends_at > sa.bindparam("now")))
    .order_by(_s.id.desc())
)
_END: Final = (
    sa.update(supplier_receiver_secrets)
    .where(_s.supplier_id == sa.bindparam("of"), sa.or_(_s.ends_at.is_(None), _s.ends_at > sa.bindparam("at")))
    .values(ends_at=sa.bindparam("at"))
)
_DELETE_ENDED: Final = sa.delete(supplier_receiver_secrets).where(_s.ends_at <= sa.bindparam("before"))


def set_receiver(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    sealer: SecretSealer,
    name_or_id: str,
    secret: Secret,
    *,
    actor: str,
    form: str = OWN,
    overlap: timedelta = OVERLAP,
) -> Receiver:
    """Take this supplier's webhooks, signed with this secret; a secret from before stays valid for the overlap.

    Raises SupplierNotFound, NoSupplierWebhooks, InvalidReceiver.
    """

    def work(tx: Tx) -> Receiver:
        supplier = get_supplier(tx, name_or_id)
        _check(supplier, form, secret)
        now = clock.now()
        at = to_micros(now)
        known = tx.execute(_RECEIVER.with_for_update(), {"of": supplier.id}).first()
        if known is None:
            values = {"supplier_id": supplier.id, "token": secrets.token_urlsafe(18), "format": form, "created_at": at}
            tx.execute(sa.insert(supplier_receivers).values(values))
        elif known.format != form:
            tx.execute(sa.update(supplier_receivers).where(_r.supplier_id == supplier.id).values(format=form))
        tx.execute(_END, {"of": supplier.id, "at": at + int(overlap.total_seconds() * 1_000_000)})
        secret_id = new_id("shs")
        row = {
            "id": secret_id,
            "supplier_id": supplier.id,
            "sealed": sealer.seal(secret, supplier.id, secret_id),
            "created_at": at,
            "ends_at": None,
        }
        tx.execute(sa.insert(supplier_receiver_secrets).values(row))
        action = "supplier.webhook_added" if known is None else "supplier.webhook_rotated"
        details = {"format": form, "overlap_seconds": int(overlap.total_seconds())}
        audit.append(tx, [audit_entry(now, actor, action, subject=supplier.id, details=details)])
        return find_receiver(tx, supplier.id, now)

    with db.transaction() as tx:
        return work(tx)


def remove_receiver(db: Database, clock: Clock, audit: AuditLog, name_or_id: str, *, actor: str) -> None:
    """Take its webhooks no more; its address and secrets are gone. Raises SupplierNotFound, ReceiverNotFound."""
    with db.transaction() as tx:
        supplier = get_supplier(tx, name_or_id)
        tx.execute(sa.delete(supplier_receiver_secrets).where(_s.supplier_id == supplier.id))
        if not tx.execute(sa.delete(supplier_receivers).where(_r.supplier_id == supplier.id)).rowcount:
            raise ReceiverNotFound(supplier=supplier.name)
        audit.append(tx, [audit_entry(clock.now(), actor, "supplier.webhook_removed", subject=supplier.id)])


def find_receiver(tx: Tx, supplier_id: str, now: datetime) -> Receiver:
    """Raises ReceiverNotFound."""
    row = tx.execute(_RECEIVER, {"of": supplier_id}).first()
    if row is None:
        raise ReceiverNotFound(supplier=supplier_id)
    valid = tx.execute(_VALID, {"of": supplier_id, "now": to_micros(now)}).all()
    return Receiver(supplier_id, row.token, row.format, len(valid))


def open_receiver(tx: Tx, sealer: SecretSealer, token: str, now: datetime) -> OpenReceiver:
    """What a request to this address is checked with. Raises ReceiverNotFound, NoSupplierWebhooks."""
    row = tx.execute(_BY_TOKEN, {"token": token}).first() if _TOKEN.fullmatch(token) else None
    if row is None:
        raise ReceiverNotFound
    valid = tx.execute(_VALID, {"of": row.supplier_id, "now": to_micros(now)})
    opened = tuple([sealer.open(one.sealed, row.supplier_id, one.id) for one in valid])
    return OpenReceiver(row.supplier_id, row.name, _reader(row.kind, row.format), opened)


def delete_ended_secrets(tx: Tx, now: datetime) -> int:
    """Forget the secrets that were rotated out; how many."""
    return tx.execute(_DELETE_ENDED, {"before": to_micros(now)}).rowcount


def _reader(kind: str, form: str) -> HookReader:
    reader = STANDARD_HOOKS if form == STANDARD else connector_kind(kind).hooks
    if reader is None:
        raise NoSupplierWebhooks(kind=kind)
    return reader


def _check(supplier: Supplier, form: str, secret: Secret) -> None:
    if form not in (OWN, STANDARD):
        raise InvalidReceiver(field="format", reason="own or standard")
    _reader(supplier.kind, form)
    text = secret.reveal()
    if not text or len(text) > SECRET_MAX or text != text.strip():
        raise InvalidReceiver(field="secret", reason="it is empty, too long, or has blanks around it")
    if form == STANDARD and not _is_standard(text):
        raise InvalidReceiver(field="secret", reason="whsec_ and base64")


def _is_standard(text: str) -> bool:
    try:
        return bool(base64.b64decode(text.removeprefix(_PREFIX), validate=True))
    except binascii.Error:
        return False
