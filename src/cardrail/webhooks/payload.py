"""What a partner reads of an event, in a webhook and in `GET /v1/events` alike: thin, and in the words of the native API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from cardrail.kernel import EventId, Mode, Money, currency, from_micros, rfc3339
from cardrail.storage import Event
from cardrail.webhooks.types import EVENT_TYPES

_MINOR: Final = "_minor"
encode_body: Final = msgspec.json.Encoder().encode


def payload(event: Event) -> dict[str, Any]:
    """The event's members: `id`, `type`, `timestamp`, `mode`, `data`."""
    return {
        "id": event.id,
        "type": event.type,
        "timestamp": rfc3339(event.at),
        "mode": event.mode.value,
        "data": _data(event),
    }


def example(name: str) -> Event:
    """A made-up event of this type, as the reference shows it."""
    known = EVENT_TYPES[name]
    before, after = known.states or (None, None)
    return Event(
        id=EventId("evt_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
        type=name,
        partner_id=None,
        mode=Mode.LIVE,
        subject_id=f"{PREFIX_OF.get(known.about, 'xxx')}_01K0ABCDEFGHJKMNPQRSTVWXYZ",
        subject_seq=1,
        from_state=before,
        to_state=after,
        reason=known.reason,
        actor="system",
        at=from_micros(1_767_268_800_000_000),
        data=dict(known.example),
        position=1,
    )


PREFIX_OF: Final = {
    "order": "ord",
    "product": "prd",
    "hold": "hld",
    "endpoint": "whe",
    "denomination": "den",
    "claim": "clm",
    "message": "msg",
    "statement": "stm",
}
"""Of the ids of what events are about."""


def _data(event: Event) -> dict[str, Any]:
    """The subject, its states, and further facts; `step` counts what happened to one subject, so that late ones can be told."""
    known = EVENT_TYPES.get(event.type)
    about = known.about if known is not None else event.type.partition(".")[0]
    data: dict[str, Any] = {} if about == "wallet" else {f"{about}_id": event.subject_id}
    data["step"] = event.subject_seq
    if event.to_state is not None:
        data["state"] = event.to_state
        data["previous_state"] = event.from_state
    if event.reason is not None:
        data["reason"] = event.reason
    return data | _with_money(event.data)


def _with_money(facts: dict[str, Any]) -> dict[str, Any]:
    """Amounts in minor units as the API writes amounts."""
    code = facts.get("currency")
    if not isinstance(code, str):
        return facts
    unit = currency(code)
    return {
        name.removesuffix(_MINOR): _amount(value, unit) if name.endswith(_MINOR) and isinstance(value, int) else value
        for name, value in facts.items()
    }


def _amount(minor: int, unit: Any) -> dict[str, str]:
    return {"amount": Money(minor, unit).amount, "currency": unit.code}
