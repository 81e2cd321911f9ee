"""Engines, transactions, the writer and its lanes, events and the audit log: what every package that keeps something stands on."""

from cardrail.storage.audit import (
    Anchor,
    AuditBreak,
    AuditEntry,
    AuditFilter,
    AuditLog,
    AuditRow,
    anchor_heads,
    audit_entry,
    list_audit,
    verify_audit,
)
from cardrail.storage.bulk import Bulk, bulk_insert, driver_executemany, driver_select
from cardrail.storage.checks import Check, Finding
from cardrail.storage.database import Database, FairLock, Tx, in_tx, retrying
from cardrail.storage.engines import make_engine, sqlite_module
from cardrail.storage.events import EVENT_COLUMNS, events, insert_events
from cardrail.storage.faults import Fault, fault_of, is_unique_violation
from cardrail.storage.lane import Lane
from cardrail.storage.schema import metadata
from cardrail.storage.versions import bump_version, read_version

__all__ = [
    "EVENT_COLUMNS",
    "Anchor",
    "AuditBreak",
    "AuditEntry",
    "AuditFilter",
    "AuditLog",
    "AuditRow",
    "Bulk",
    "Check",
    "Database",
    "FairLock",
    "Fault",
    "Finding",
    "Lane",
    "Tx",
    "anchor_heads",
    "audit_entry",
    "bulk_insert",
    "bump_version",
    "driver_executemany",
    "driver_select",
    "events",
    "fault_of",
    "in_tx",
    "insert_events",
    "is_unique_violation",
    "list_audit",
    "make_engine",
    "metadata",
    "read_version",
    "retrying",
    "sqlite_module",
    "verify_audit",
]
