"""What an operator's key is shown and no partner's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from cardrail.api.wire import MoneyOut

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
