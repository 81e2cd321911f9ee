"""POST /v1/webhooks and /v1/webhooks/{id}/replay (specs/foxreload.md, sections 2.2, 4.2 and 4.5).

An endpoint that is made here gets the vendor's events in the vendor's body and signature; what sends them is in ``cardrail.webhooks``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import EndpointIn, EndpointOut, ReplayIn, ReplayOut
from cardrail.api.errors import InvalidBody, MissingMember
from cardrail.api.readers import RECOVERIES
from cardrail.kernel import Secret, id_of_uuid
from cardrail.webhooks import DeliveryNotFound, Endpoint, EndpointNotFound, Who

FORMAT: Final = "foxreload_v1"

ENDPOINTS_MAX: Final = 10
"""Of an account (4.2)."""

SECRET_CHARACTERS_OF: Final = 48
"""Random bytes, which are 64 characters as they are shown, and the key is what is shown (4.2, 4.4)."""

DEAD_LETTER_DAYS: Final = 30
"""4.5."""

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "order.created": ("order.placed",),
    "order.reserved": ("order.placed",),
    "order.processing": ("order.processing",),
    "order.delivered": ("order.fulfilled", "order.partially_fulfilled"),
    "order.fulfilled": ("order.fulfilled", "order.partially_fulfilled"),
    "order.failed": ("order.failed", "order.cancelled"),
    "order.refunded": ("order.refunded", "order.invalidated"),
    "balance.low": ("balance.low",),
}
"""The vendor's event → ours (4.1): the union of his two pages (7, A4), and the generic surface's name of a delivery (A3)."""

DEFAULT_EVENTS: Final = tuple([name for name in EVENTS if name != "order.fulfilled"])


class V1Webhooks:
    """Registering, rotating and replaying."""

    def __init__(self, profile: V1Profile) -> None:
        self._profile = profile

    async def register(self, call: Call) -> Answer:
        """A new endpoint, or a new secret for one; the secret is shown only here."""
        wanted = await call.body(EndpointIn)
        if wanted.rotate:
            return json_answer(await self._rotate(call, wanted), 201)
        if wanted.id is not None:
            raise InvalidBody(detail="id is for rotate.", pointer="/id")
        if wanted.url is None:
            raise MissingMember(detail="url is missing.", pointer="/url")
        url, names = wanted.url, _known(wanted.events)
        buyer, parts = call.buyer(), call.desk.parts
        shows_codes = (self._profile.webhook_codes or wanted.include_codes) and buyer.may_reveal
        of_key = (await call.desk.gate.credential_of(call.principal.api_key_id)).secret
        own = await call.desk.read(lambda: parts.webhooks.of_partner(buyer.partner_id, buyer.mode))
        is_first = not any(one.format == FORMAT for one in own)
        endpoint, secret = await call.desk.write(
            lambda: parts.webhooks.create(
                buyer.partner_id,
                buyer.mode,
                url=url,
                who=Who(buyer.actor, buyer.origin),
                format=FORMAT,
                events={ours for name in names for ours in EVENTS[name]},
                with_codes=shows_codes,
                labels={"events": list(names)},
                secret=of_key if is_first and of_key is not None else _new_secret(),
                endpoints_max=ENDPOINTS_MAX,
            )
        )
        return json_answer(_endpoint_out(endpoint, secret), 201)

    async def _rotate(self, call: Call, wanted: EndpointIn) -> EndpointOut:
        """The new secret signs at once, and the old one no more (4.2)."""
        if wanted.id is None:
            raise MissingMember(detail="id is missing.", pointer="/id")
        endpoint = await _find(call, wanted.id)
        buyer, book = call.buyer(), call.desk.parts.webhooks
        secret = await call.desk.write(
            lambda: book.rotate(
                endpoint.id,
                buyer.partner_id,
                buyer.mode,
                who=Who(buyer.actor, buyer.origin),
                overlap=timedelta(0),
                secret=_new_secret(),
            )
        )
        return _endpoint_out(endpoint, secret)

    async def replay(self, call: Call) -> Answer:
        """Send again what did not arrive: one event (``event_id``), or all dead letters of the last 30 days."""
        wanted = await call.body(ReplayIn) if await call.body_bytes() else ReplayIn()
        endpoint = await _find(call, call.params["id"])
        buyer, book = call.buyer(), call.desk.parts.webhooks
        who = Who(buyer.actor, buyer.origin)
        if wanted.event_id is not None:
            event_id = id_of_uuid("evt", wanted.event_id)
            if event_id is None:
                raise DeliveryNotFound(event_id=wanted.event_id[:64])
            await call.desk.write(lambda: book.resend(endpoint.id, event_id, buyer.partner_id, buyer.mode, who=who))
            return json_answer(ReplayOut(call.params["id"], 1))
        since = max(endpoint.created_at, call.desk.parts.clock.now() - timedelta(days=DEAD_LETTER_DAYS))
        count = await RECOVERIES.run(lambda: book.recover(endpoint.id, since, buyer.partner_id, buyer.mode, who=who))
        return json_answer(ReplayOut(call.params["id"], count))


async def _find(call: Call, webhook_id: str) -> Endpoint:
    """The caller's endpoint of this surface. Raises EndpointNotFound."""
    buyer, book = call.buyer(), call.desk.parts.webhooks
    own_id = "whe" + webhook_id.removeprefix("wh")
    found = await call.desk.read(lambda: book.get(own_id, buyer.partner_id, buyer.mode))
    if found.format != FORMAT or not webhook_id.startswith("wh_"):
        raise EndpointNotFound
    return found


def _known(events: list[str] | None) -> tuple[str, ...]:
    """The events that are wanted, all of them where none is named. Raises InvalidBody."""
    unknown = [name for name in events or () if name not in EVENTS]
    if unknown or events == []:
        raise InvalidBody(detail="events are some of " + ", ".join(EVENTS) + ".", pointer="/events")
    return tuple(dict.fromkeys(events)) if events is not None else DEFAULT_EVENTS


def _new_secret() -> Secret:
    return Secret(secrets.token_urlsafe(SECRET_CHARACTERS_OF))


def _endpoint_out(endpoint: Endpoint, secret: Secret) -> EndpointOut:
    names = endpoint.labels.get("events") or list(DEFAULT_EVENTS)
    return EndpointOut("wh" + endpoint.id.removeprefix("whe"), endpoint.url, names, secret.reveal())
