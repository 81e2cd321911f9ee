"""Events: one row for each thing that became true, written in the transaction that made it true.

An order's history is its events. Payloads are thin: ids and states, never a code. Who follows events follows their ``position``
(storage.sequence): ids are made before the commit, and a reader that followed them would miss what commits late.
"""

from __future__ import annotations

import sqlalchemy as sa

from cardrail.storage.schema import CLUSTERED, instant, key, metadata, number, text, unsequenced_index
from cardrail.storage.sequence import SequencedInsert, Series

events = sa.Table(
    "events",
    metadata,
    key(),
    text("type"),  # dotted: order.fulfilled, balance.credited
    text("partner_id", null=True),  # whose it is; null for the operator's own
    text("mode"),
    text("subject_id"),  # the order, product, wallet it is about
    number("subject_seq"),  # 1, 2, 3 … within the subject: the order of its history
    text("from_state", null=True),
    text("to_state", null=True),
    text("reason", null=True),
    text("actor"),  # a key, an operator, "system"
    instant("at"),
    text("data", null=True),  # JSON object
    number("position", null=True),  # storage.sequence: 1, 2, 3 … in the order in which readers may follow
    sa.Index(None, "subject_id", "subject_seq", unique=True),  # a history has no two steps at one place
    unsequenced_index("events"),
    sa.Index(
        "uq_events_position",
        "position",
        unique=True,
        sqlite_where=sa.text("position IS NOT NULL"),
        postgresql_where=sa.text("position IS NOT NULL"),
    ),
    sa.Index(
        "ix_events_followed",
        "partner_id",
        "mode",
        "position",  # a partner's own events, or those that name none, however many others have
        sqlite_where=sa.text("position IS NOT NULL"),
        postgresql_where=sa.text("position IS NOT NULL"),
    ),
    **CLUSTERED,
)

EVENT_COLUMNS = (
    "id",
    "type",
    "partner_id",
    "mode",
    "subject_id",
    "subject_seq",
    "from_state",
    "to_state",
    "reason",
    "actor",
    "at",
    "data",
)

EVENT_SERIES = Series(events, "evt", subject="subject_id", step="subject_seq")

insert_events = SequencedInsert(events, EVENT_COLUMNS, EVENT_SERIES)
"""Append events: one tuple each, in the order of EVENT_COLUMNS."""
