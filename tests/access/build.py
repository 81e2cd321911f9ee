"""Partners and keys, for tests that care about little of them."""

from __future__ import annotations

from typing import Any

from cardrail.access import ALL_SCOPES, ApiKey, Partner, create_key, create_partner
from cardrail.kernel import Clock, Mode
from cardrail.storage import AuditLog, Database

AUDIT = AuditLog(b"k" * 32, "cli")


def a_partner(db: Database, clock: Clock, **facts: Any) -> Partner:
    """A partner in INR, unless told otherwise."""
    return create_partner(db, clock, AUDIT, **{"name": "Diwali Gifts", "currency": "INR", "actor": "cli"} | facts)


def a_key(db: Database, clock: Clock, partner: Partner, mode: Mode = Mode.LIVE, **facts: Any) -> tuple[ApiKey, str]:
    """A key with all scopes, unless told otherwise, and its token's text."""
    facts = {"name": "shop", "scopes": ALL_SCOPES, "actor": "cli"} | facts
    key, token = create_key(db, clock, AUDIT, partner.id, mode, **facts)
    return key, token.reveal()
