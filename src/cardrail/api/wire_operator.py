"""What an operator's key is shown and no partner's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cardrail.api.wire import END, CursorParameter, LimitParameter, MoneyOut, _Query

Timestamp = Annotated[str, Meta(examples=["2026-05-04T10:31:07.123456Z"])]


class TraceStepOut(Struct):
    """One sentence of an order's route."""

    at: Timestamp
    text: str


class AttemptTraceOut(Struct):
    """One purchase at a supplier, and what it came to."""

    id: str
    n: int
    supplier_id: str
    supplier: str
    supplier_sku: str
    supplier_order_id: str | None
    state: str
    quantity: int
    delivered: int
    expected_cost: MoneyOut
    cost: MoneyOut | None
    asked_at: Timestamp
    answered_at: Timestamp | None


class LineTraceOut(Struct):
    """An item that stock could not fill: how many units suppliers had to bring, and the route in words."""

    line: int
    state: str
    quantity: int
    delivered: int
    steps: list[TraceStepOut]
    attempts: list[AttemptTraceOut]


class OrderTraceOut(Struct):
    """How an order came by its codes. Never a code. No lines: all of it came from stock."""

    order_id: str
    partner_id: str
    mode: str
    state: str
    lines: list[LineTraceOut]


class AlertQuery(_Query):
    """Which alerts."""

    limit: LimitParameter = 50
    cursor: CursorParameter | None = None
    state: Annotated[Literal["open", "all"], Meta(description="`all`: those that are over, too.")] = "open"
    kind: Annotated[str, Meta(pattern=r"^[a-z_.]{1,40}" + END)] | None = None


class AlertOut(Struct):
    """One thing that the operator should know."""

    id: str
    kind: Annotated[str, Meta(examples=["supplier.down"])]
    subject: str
    state: Annotated[str, Meta(examples=["notified"])]
    text: str
    count: int
    opened_at: Timestamp
    last_at: Timestamp
    told_at: Timestamp | None
    acknowledged_at: Timestamp | None
    acknowledged_by: str | None
    cleared_at: Timestamp | None


class NoticeQuery(_Query):
    """Which of suppliers' webhooks."""

    limit: LimitParameter = 50
    cursor: CursorParameter | None = None
    state: Literal["waiting", "done", "review", "dismissed"] | None = None
    supplier_id: Annotated[str, Meta(pattern=r"^sup_[0-9A-Z]{26}" + END)] | None = None


class NoticeOut(Struct):
    """What a supplier's webhook said, and what came of it. Its body is kept nowhere."""

    id: str
    supplier_id: str
    supplier: str
    event: str
    event_id: str | None
    supplier_order_id: str | None
    state: str
    result: str | None
    attempt_id: str | None
    received_at: Timestamp
    done_at: Timestamp | None
