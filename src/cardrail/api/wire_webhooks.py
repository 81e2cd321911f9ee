"""Wire shapes of events and webhooks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cardrail.api.wire import ANY_TEXT, END, CursorParameter, LimitParameter, ModeName, Moment, MomentParameter, _In, _Query

EventTypeName = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}" + END, examples=["order.fulfilled"])]
Url = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[!-~]*" + END, examples=["https://shop.example/hooks"])]
Description = Annotated[str, Meta(max_length=500, pattern=ANY_TEXT)]


class EventQuery(_Query):
    """What the stream of events is narrowed to."""

    types: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z_.,]{1,1000}" + END,
                description="Types of event, separated by commas.",
                examples=["order.fulfilled,order.failed"],
            ),
        ]
        | None
    ) = None
    since: MomentParameter | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class EventOut(Struct):
    """Something that became true: what a webhook's body is, too."""

    id: Annotated[str, Meta(examples=["evt_01K0ABCDEFGHJKMNPQRSTVWXYZ"])]
    type: EventTypeName
    timestamp: Moment
    mode: ModeName
    data: dict[str, Any]
    """What it is about, and facts of the case; never a code. `step` counts what happened to one subject."""


class EventsOut(Struct):
    """A page of the stream, oldest first. `next_cursor` is never null: at the end, ask again with it later."""

    data: list[EventOut]
    next_cursor: str
    has_more: bool
    """Whether it is worth while to ask for the next page at once. A page under a filter may be short, or empty, and have more behind it."""


class EndpointIn(_In):
    """A webhook endpoint to be made."""

    url: Url
    events: Annotated[list[EventTypeName], Meta(min_length=1, max_length=50)] | None = None
    """Types of event that it is to get; without it, every one."""
    description: Description = ""
    format: Literal["standard"] = "standard"
    """Standard Webhooks 1.0. Endpoints in a dialect's format are registered through that dialect, or by the operator."""


class EndpointChangeIn(_In):
    """What is to be changed; what is left out stays."""

    url: Url | UnsetType = UNSET
    events: Annotated[list[EventTypeName], Meta(min_length=1, max_length=50)] | UnsetType | None = UNSET
    """null: every type."""
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class RotateIn(_In):
    """How long the old secret goes on."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = 24
    """For so long messages carry the signatures of both."""


class RecoverIn(_In):
    """Since when."""

    since: MomentParameter


class EndpointOut(Struct):
    """A webhook endpoint."""

    id: Annotated[str, Meta(examples=["whe_01K0ABCDEFGHJKMNPQRSTVWXYZ"])]
    url: str
    events: list[str] | None
    description: str
    format: str
    mode: ModeName
    state: Literal["enabled", "disabled"]
    reason: str | None
    """Why it is disabled."""
    failing_since: Moment | None
    """The first failed attempt after the last success."""
    created_at: Moment
    updated_at: Moment


class NewEndpointOut(EndpointOut):
    """A webhook endpoint that was just made, with its secret."""

    secret: Annotated[str, Meta(examples=["whsec_…"])]
    """What messages are signed with; not shown again."""


class SecretOut(Struct):
    """A new secret; not shown again."""

    secret: str
    overlap_ends_at: Moment


class TestOut(Struct):
    """A test that was asked for."""

    __test__ = False

    event_id: str


class RecoveredOut(Struct):
    """What is being sent again."""

    count: int


class DeliveryQuery(_Query):
    """What a list of deliveries is narrowed to."""

    state: Literal["pending", "delivered", "failed"] | None = None
    type: EventTypeName | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class DeliveryOut(Struct):
    """An event on its way to an endpoint."""

    event_id: str
    type: EventTypeName
    state: Literal["pending", "delivered", "failed"]
    tries: int
    next_attempt_at: Moment | None
    created_at: Moment
    done_at: Moment | None


class AttemptOut(Struct):
    """One attempt."""

    at: Moment
    status: int | None
    """Of HTTP; null: there was no answer, and `error` says why."""
    milliseconds: int
    error: str | None
    answer: str | None
    """The beginning of what your server answered."""


class DeliveryWithAttemptsOut(DeliveryOut):
    """An event on its way to an endpoint, with every attempt."""

    attempts: list[AttemptOut]
