"""Wire shapes of replacements and of top-ups' validation: a vocabulary of their own beside ``wire``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cardrail.api.wire import (
    ANY_TEXT,
    END,
    CodeOut,
    CursorParameter,
    FieldName,
    FieldValue,
    LimitParameter,
    ModeName,
    Moment,
    MoneyOut,
    OrderStateName,
    Sku,
)

ReplacementStateName = Literal["REQUESTED", "ASKING_SUPPLIER", "NEEDS_REVIEW", "REPLACED", "REFUNDED", "REFUSED"]
ReplacementReasonName = Literal[
    "already_redeemed",
    "not_recognised",
    "not_activated",
    "expired",
    "wrong_value",
    "wrong_region",
    "incomplete",
    "not_received",
    "other",
]


class _In(Struct, forbid_unknown_fields=True):
    """What comes in."""


class CodeAtIn(_In):
    """One code of the order."""

    line: Annotated[int, Meta(ge=1, le=100)] = 1
    position: Annotated[int, Meta(ge=1, le=2_000)] = 1
    """Which code of the line, from 1, in the order in which they are shown."""


class ReplacementIn(_In, omit_defaults=True):
    """A claim that codes of an order are bad."""

    codes: Annotated[list[CodeAtIn], Meta(min_length=1, max_length=100)]
    reason: ReplacementReasonName
    evidence: Annotated[str, Meta(min_length=1, max_length=4_000, pattern=ANY_TEXT)] | None = None
    """What happened, in words: when the code was tried, what the issuer said. Never the code itself."""
    links: Annotated[list[Annotated[str, Meta(pattern=r"^https?://[!-~]{1,490}" + END)]], Meta(max_length=10)] | None = None
    """Where pictures or logs of it are."""


class ReplacementOut(Struct):
    """A claim for one code, and what came of it. The new code is shown with the order's codes."""

    id: Annotated[str, Meta(examples=["rpl_01K0ABCDEFGHJKMNPQRSTVWXYZ"])]
    order_id: str
    mode: ModeName
    line: int
    position: int
    state: ReplacementStateName
    reason: ReplacementReasonName
    evidence: str | None
    links: list[str]
    refunded: MoneyOut | None
    """What was given back, where it was."""
    because: str | None
    """Why it ended as it did, or waits for a human."""
    created_at: Moment
    updated_at: Moment


class ReplacementsOut(Struct):
    """The claims of one request, in its order."""

    data: list[ReplacementOut]


class ReplacementQuery(Struct, forbid_unknown_fields=True):
    """What a list of replacements is narrowed to."""

    state: ReplacementStateName | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class OrderCodeOut(CodeOut, kw_only=True):
    """One code of an order, in the clear, and how it stands."""

    position: int
    """In its line, from 1; what a claim names. A replaced code and the one that was given for it have the same. It never changes, also
    where a code before it is not shown any more."""
    state: Literal["DELIVERED", "REPLACED", "REFUNDED"]
    replacement_id: str | None
    """Of the claim that it was replaced or refunded by; null also where the operator refunded it without one."""


class OrderLineCodesOut(Struct):
    """The codes of one line, by position; where one was replaced, the newest is the last of its position."""

    line: int
    sku: str
    codes: list[OrderCodeOut]


class OrderAllCodesOut(Struct):
    """The codes of an order."""

    order_id: str
    state: OrderStateName
    items: list[OrderLineCodesOut]


class TopupIn(_In):
    """A top-up that is to be checked before it is ordered."""

    sku: Sku
    fields: Annotated[dict[FieldName, FieldValue], Meta(max_length=20)]


class TopupVerdictOut(Struct):
    """Whether an order with these fields would be taken."""

    is_valid: bool
    """False only where somebody says so: a pattern, or the supplier. Not asking the supplier makes nothing invalid."""
    field: str | None
    """Which field is wrong, where that is known."""
    reason: str | None
    pattern: str | None
    """What the field must look like, where it does not."""
    supplier_check: Literal["valid", "invalid", "not_offered", "unavailable"]
    """`not_offered`: no supplier of this sku can be asked, so only the patterns were looked at. `unavailable`: one could, and did not
    answer in time; ask again, or order at your own risk."""
    account_name: str | None
    """Whose account it is, where the supplier tells, for the buyer to compare."""
