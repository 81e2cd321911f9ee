"""Every package's tables, gathered on the one metadata: what a migrated database is compared with."""

from importlib import import_module

from cardrail.storage.audit_tables import audit, audit_anchors, audit_heads
from cardrail.storage.events import events
from cardrail.storage.restore_tables import restores
from cardrail.storage.schema import metadata, position_marks, sequences, versions

for _package in (
    "access",
    "catalog",
    "ledger",
    "vault",
    "sourcing",
    "orders",
    "settlement",
    "jobs",
    "webhooks",
    "delivery",
    "alerts",
):
    import_module(f"cardrail.{_package}.tables")

__all__ = ["audit", "audit_anchors", "audit_heads", "events", "metadata", "position_marks", "restores", "sequences", "versions"]
