"""Registration of webhooks (specs/starship.md, section 2.12); what is sent to them is ``cardrail.webhooks.formats.starship``.

The page names the fields of a registration; reads, changes and deletion are inferred. Deliveries are signed with the signing secret of a
credential: the one that is named, else the caller's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from cardrail.access import ApiKey, list_keys
from cardrail.api.compat import Answer, Call, Route, json_answer
from cardrail.api.dialects.starship.amounts import when
from cardrail.api.dialects.starship.errors import BAD_REQUEST, NOT_FOUND, VALIDATION, Failure, Refusal
from cardrail.api.dialects.starship.paging import page_answer, paging_of
from cardrail.api.dialects.starship.reading import BodyFields, body_of, id_in, query_of
from cardrail.kernel import ApiKeyId, Secret, number_of
from cardrail.webhooks import AddressForbidden, Endpoint, EndpointState, HttpsRequired, InvalidEndpoint, TooManyEndpoints, Who

FORMAT: Final = "starship_g2"
LIMIT: Final = 50
LIMIT_MAX: Final = 100
URL_MAX: Final = 2_000
NAME_MAX: Final = 200

EVENTS: Final = {
    "order.created": ("order.placed",),
    "order.pending": ("order.processing",),
    "order.delivered": ("order.fulfilled",),
    "order.partially_delivered": ("order.partially_fulfilled",),
    "order.cancelled": ("order.cancelled", "order.invalidated"),
    "order.failed": ("order.failed",),
}
"""Their event → our types. ``order.failed`` is a sibling's; an order that failed is told under it."""

_BY_TYPE: Final = {ours: theirs for theirs, types in EVENTS.items() for ours in types}


class WebhookOut(msgspec.Struct):
    """A registration."""

    id: int
    name: str
    url: str
    events: list[str]
    credential_id: int
    is_active: bool
    created_at: str


class Webhooks:
    """The routes of registrations."""

    @property
    def routes(self) -> list[Route]:
        scope = "webhooks:write"
        return [
            Route("POST", "/api/v1/webhooks", self.create, scope=scope),
            Route("GET", "/api/v1/webhooks", self.browse, scope=scope),
            Route("GET", "/api/v1/webhooks/{id}", self.show, scope=scope),
            Route("PUT", "/api/v1/webhooks/{id}", self.change, scope=scope),
            Route("DELETE", "/api/v1/webhooks/{id}", self.delete, scope=scope),
        ]

    async def create(self, call: Call) -> Answer:
        """Register an address for some events."""
        fields = await body_of(call)
        name = fields.text("name", required=True, longest=NAME_MAX)
        url = fields.text("url", required=True, longest=URL_MAX)
        types = _types(fields)
        credential_id = fields.integer("credential_id")
        fields.check()
        assert url is not None
        key_id = await _key_of(call, credential_id)
        secret = await _secret_of(call, key_id)
        book, principal = call.desk.parts.webhooks, call.principal

        def work() -> Endpoint:
            endpoint, _ = book.create(
                principal.partner_id,
                principal.mode,
                url=url,
                who=_who(call),
                format=FORMAT,
                events=types,
                labels={"name": name, "credential": key_id},
                secret=secret,
            )
            return endpoint

        return json_answer(_out(await _written(call, work)))

    async def browse(self, call: Call) -> Answer:
        """The client's registrations, oldest first."""
        fields = query_of(call)
        paging = paging_of(fields, size=LIMIT, most=LIMIT_MAX)
        fields.check()
        found = await _own(call)
        return page_answer([_out(one) for one in paging.cut(found)], paging, len(found))

    async def show(self, call: Call) -> Answer:
        """One registration."""
        return json_answer(_out(await _numbered(call)))

    async def change(self, call: Call) -> Answer:
        """Change what is given of a registration."""
        endpoint = await _numbered(call)
        fields = await body_of(call)
        name = fields.text("name", longest=NAME_MAX)
        url = fields.text("url", longest=URL_MAX)
        types = _types(fields) if fields.has("events") else None
        enabled = fields.flag("is_active", default=endpoint.state is EndpointState.ENABLED)
        credential_id = fields.integer("credential_id")
        fields.check()
        key_id = endpoint.labels["credential"] if credential_id is None else await _key_of(call, credential_id)
        secret = None if key_id == endpoint.labels["credential"] else await _secret_of(call, key_id)
        book, who = call.desk.parts.webhooks, _who(call)

        def work() -> Endpoint:
            if secret is not None:
                book.rotate(endpoint.id, who=who, secret=secret)
            labels = {"name": name or endpoint.labels["name"], "credential": key_id}
            return book.update(endpoint.id, who=who, url=url, events=types, enabled=enabled, labels=labels)

        return json_answer(_out(await _written(call, work)))

    async def delete(self, call: Call) -> Answer:
        """Send nothing more there; the registration as it was."""
        endpoint = await _numbered(call)
        book, who = call.desk.parts.webhooks, _who(call)
        await call.desk.write(lambda: book.delete(endpoint.id, who=who))
        out = _out(endpoint)
        out.is_active = False
        return json_answer(out)


def _types(fields: BodyFields) -> list[str]:
    """Our types of the events that are asked for."""
    events = fields.texts("events")
    if events is None:
        return []
    unknown = [one for one in events if one not in EVENTS]
    if unknown or not events:
        fields.fail("events", "enum", f"events must be some of {', '.join(EVENTS)}")
    return sorted({ours for one in events for ours in EVENTS.get(one, ())})


async def _own(call: Call) -> list[Endpoint]:
    book, principal = call.desk.parts.webhooks, call.principal
    found = await call.desk.read(lambda: book.of_partner(principal.partner_id, principal.mode))
    return [one for one in found if one.format == FORMAT and "credential" in one.labels]


async def _numbered(call: Call) -> Endpoint:
    """The client's registration of the number in the path. Raises Refusal."""
    number = id_in(call)
    for one in await _own(call):
        if number_of(one.id) == number:
            return one
    raise Refusal(NOT_FOUND)


async def _key_of(call: Call, credential_id: int | None) -> ApiKeyId:
    """The credential that a number names, of this client; his own for none. Raises Refusal."""
    principal = call.principal
    if credential_id is None or credential_id == number_of(principal.api_key_id):
        return principal.api_key_id

    def look() -> list[ApiKey]:
        with call.desk.parts.db.read() as tx:
            return list_keys(tx, principal.partner_id)

    for one in await call.desk.read(look):
        if number_of(one.id) == credential_id and one.dialect == principal.dialect and one.mode is principal.mode:
            return one.id
    raise Refusal(NOT_FOUND._replace(message="There is no such credential."))


async def _secret_of(call: Call, key_id: ApiKeyId) -> Secret:
    credential = await call.desk.gate.credential_of(key_id)
    assert credential.signing_secret is not None
    return credential.signing_secret


async def _written(call: Call, work: Callable[[], Endpoint]) -> Endpoint:
    """The endpoint as it was written. Raises Refusal for an address that cannot be used, and for one too many."""
    try:
        return await call.desk.write(work)
    except (HttpsRequired, AddressForbidden, InvalidEndpoint) as refusal:
        raise Refusal(VALIDATION, {"url": [Failure("url", "url", refusal.message)]}) from None
    except TooManyEndpoints:
        raise Refusal(BAD_REQUEST._replace(message="There are too many webhooks.")) from None


def _who(call: Call) -> Who:
    return Who(call.principal.api_key_id, call.origin)


def _out(endpoint: Endpoint) -> WebhookOut:
    labels: dict[str, Any] = endpoint.labels
    return WebhookOut(
        id=number_of(endpoint.id),
        name=labels["name"],
        url=endpoint.url,
        events=sorted({_BY_TYPE[one] for one in endpoint.events or () if one in _BY_TYPE}),
        credential_id=number_of(labels["credential"]),
        is_active=endpoint.state is EndpointState.ENABLED,
        created_at=when(endpoint.created_at),
    )
