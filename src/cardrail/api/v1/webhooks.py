"""Webhook endpoints: where events are sent, what came of it, and asking again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, principal_of, query_of
from cardrail.api.http import parse_moment
from cardrail.api.readers import RECOVERIES
from cardrail.api.render import encode, moment
from cardrail.api.wire import ListOut
from cardrail.api.wire_webhooks import (
    AttemptOut,
    DeliveryOut,
    DeliveryQuery,
    DeliveryWithAttemptsOut,
    EndpointChangeIn,
    EndpointIn,
    EndpointOut,
    NewEndpointOut,
    RecoveredOut,
    RecoverIn,
    RotateIn,
    SecretOut,
    TestOut,
)
from cardrail.kernel import from_micros, to_micros
from cardrail.orders import Buyer
from cardrail.webhooks import Attempt, Delivery, Endpoint, Who, list_deliveries, load_delivery

_TAG: Final = "Webhooks"
_SCOPE: Final = "webhooks:write"
_URL_ERRORS: Final = ("invalid_endpoint", "https_required", "address_forbidden", "unknown_event_type")
_MISSING: Final = "endpoint_not_found"


def _who(buyer: Buyer) -> Who:
    return Who(buyer.actor, buyer.origin)


@post(
    "/v1/webhook-endpoints",
    status_code=201,
    opt=describe(
        "Add a webhook endpoint",
        NewEndpointOut,
        tag=_TAG,
        scope=_SCOPE,
        body=EndpointIn,
        errors=(*_URL_ERRORS, "unknown_webhook_format", "too_many_endpoints"),
        description="It gets the events of the key's mode from now on. The answer shows its secret, once.",
    ),
)
async def create_endpoint(request: HttpRequest) -> Response[bytes]:
    """Make an endpoint."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, EndpointIn)
    endpoint, secret = await desk.write(
        lambda: desk.parts.webhooks.create(
            buyer.partner_id,
            buyer.mode,
            url=asked.url,
            events=asked.events,
            description=asked.description,
            format=asked.format,
            who=_who(buyer),
        )
    )
    return answer(NewEndpointOut(**_endpoint(endpoint), secret=secret.reveal()), 201)


@get(
    "/v1/webhook-endpoints",
    opt=describe("List webhook endpoints", ListOut[EndpointOut], tag=_TAG, scope=_SCOPE, description="All of the key's mode."),
)
async def list_endpoints(request: HttpRequest) -> Response[bytes]:
    """The partner's endpoints."""
    desk, buyer = desk_of(request), buyer_in(request)
    found = await desk.read(lambda: desk.parts.webhooks.of_partner(buyer.partner_id, buyer.mode))
    return answer(ListOut([EndpointOut(**_endpoint(one)) for one in found], None))


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    opt=describe("See a webhook endpoint", EndpointOut, tag=_TAG, scope=_SCOPE, errors=(_MISSING,)),
)
async def show_endpoint(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """One endpoint of the partner."""
    desk, buyer = desk_of(request), buyer_in(request)
    found = await desk.read(lambda: desk.parts.webhooks.get(endpoint_id, buyer.partner_id, buyer.mode))
    return answer(EndpointOut(**_endpoint(found)))


@patch(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    opt=describe(
        "Change a webhook endpoint",
        EndpointOut,
        tag=_TAG,
        scope=_SCOPE,
        body=EndpointChangeIn,
        errors=(_MISSING, *_URL_ERRORS),
        description="Enabled again, it is sent what waited and gets new events; what came between is for `recover`.",
    ),
)
async def update_endpoint(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """Change an endpoint."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, EndpointChangeIn)
    changes: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET and name != "events"
    }
    if asked.events is not msgspec.UNSET:
        changes |= {"all_events": True} if asked.events is None else {"events": asked.events}
    if "url" in changes and not buyer.may_reveal:
        present = await desk.read(lambda: desk.parts.webhooks.get(endpoint_id, buyer.partner_id, buyer.mode))
        if present.with_codes:  # whoever says where codes go, has them
            principal_of(request).require("codes:read")
    changed = await desk.write(
        lambda: desk.parts.webhooks.update(endpoint_id, buyer.partner_id, buyer.mode, who=_who(buyer), **changes)
    )
    return answer(EndpointOut(**_endpoint(changed)))


@delete(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    status_code=204,
    opt=describe("Delete a webhook endpoint", None, tag=_TAG, scope=_SCOPE, errors=(_MISSING,)),
)
async def delete_endpoint(request: HttpRequest, endpoint_id: FromPath[str]) -> None:
    """Forget an endpoint."""
    desk, buyer = desk_of(request), buyer_in(request)
    await desk.write(lambda: desk.parts.webhooks.delete(endpoint_id, buyer.partner_id, buyer.mode, who=_who(buyer)))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/rotate",
    status_code=200,
    opt=describe(
        "Rotate the secret of a webhook endpoint",
        SecretOut,
        tag=_TAG,
        scope=_SCOPE,
        body=RotateIn,
        body_is_optional=True,
        errors=(_MISSING,),
        description="Messages carry a signature of the new secret at once, and of the old one too until its overlap ends.",
    ),
)
async def rotate_secret(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """Give an endpoint a new secret."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, RotateIn, is_optional=True)
    overlap = timedelta(hours=asked.overlap_hours)
    secret = await desk.write(
        lambda: desk.parts.webhooks.rotate(endpoint_id, buyer.partner_id, buyer.mode, who=_who(buyer), overlap=overlap)
    )
    return answer(SecretOut(secret.reveal(), moment(to_micros(desk.parts.clock.now() + overlap))))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/test",
    status_code=202,
    opt=describe(
        "Test a webhook endpoint",
        TestOut,
        tag=_TAG,
        scope=_SCOPE,
        errors=(_MISSING, "endpoint_disabled"),
        description="Sends it an `endpoint.test`, signed like any other event. Its delivery shows what came of it.",
    ),
)
async def test_endpoint(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """Send a test event."""
    desk, buyer = desk_of(request), buyer_in(request)
    event_id = await desk.write(lambda: desk.parts.webhooks.test(endpoint_id, buyer.partner_id, buyer.mode, who=_who(buyer)))
    return answer(TestOut(event_id), 202)


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}/deliveries",
    opt=describe(
        "List deliveries",
        ListOut[DeliveryOut],
        tag=_TAG,
        scope=_SCOPE,
        query=DeliveryQuery,
        errors=(_MISSING, "invalid_cursor"),
        description="Newest event first.",
    ),
)
async def list_endpoint_deliveries(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """A page of an endpoint's deliveries."""
    query = query_of(request, DeliveryQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    filters = encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()
    scope = f"deliveries|{buyer.partner_id}|{buyer.mode.value}|{endpoint_id}|{filters}"
    before = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None

    def look() -> list[Delivery]:
        with desk.parts.db.read() as tx:
            endpoint = desk.parts.webhooks.find(tx, endpoint_id, buyer.partner_id, buyer.mode)
            return list_deliveries(
                tx, endpoint.id, before=before, state=query.state, event_type=query.type, limit=query.limit + 1
            )

    found = await desk.read(look)
    page = found[: query.limit]
    following = desk.parts.cursors.seal(scope, page[-1].event_id) if len(found) > query.limit else None
    return answer(ListOut([DeliveryOut(**_delivery(one)) for one in page], following))


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}/deliveries/{event_id:str}",
    opt=describe("See a delivery", DeliveryWithAttemptsOut, tag=_TAG, scope=_SCOPE, errors=(_MISSING, "delivery_not_found")),
)
async def show_delivery(request: HttpRequest, endpoint_id: FromPath[str], event_id: FromPath[str]) -> Response[bytes]:
    """One delivery with its attempts."""
    desk, buyer = desk_of(request), buyer_in(request)

    def look() -> tuple[Delivery, list[Attempt]]:
        with desk.parts.db.read() as tx:
            endpoint = desk.parts.webhooks.find(tx, endpoint_id, buyer.partner_id, buyer.mode)
            return load_delivery(tx, endpoint.id, event_id)

    delivery, attempts = await desk.read(look)
    return answer(DeliveryWithAttemptsOut(**_delivery(delivery), attempts=[_attempt(one) for one in attempts]))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/deliveries/{event_id:str}/resend",
    status_code=202,
    opt=describe(
        "Send an event again",
        DeliveryOut,
        tag=_TAG,
        scope=_SCOPE,
        errors=(_MISSING, "delivery_not_found"),
        description="Whatever came of it: it is sent now, and its retries begin anew. Its id stays.",
    ),
)
async def resend_delivery(request: HttpRequest, endpoint_id: FromPath[str], event_id: FromPath[str]) -> Response[bytes]:
    """Ask for one delivery again."""
    desk, buyer = desk_of(request), buyer_in(request)
    book = desk.parts.webhooks
    delivery = await desk.write(lambda: book.resend(endpoint_id, event_id, buyer.partner_id, buyer.mode, who=_who(buyer)))
    return answer(DeliveryOut(**_delivery(delivery)), 202)


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/recover",
    status_code=202,
    opt=describe(
        "Send what was missed",
        RecoveredOut,
        tag=_TAG,
        scope=_SCOPE,
        body=RecoverIn,
        errors=(_MISSING, "endpoint_disabled"),
        description="Every event since then that has not arrived here, also what came while the endpoint was disabled.",
    ),
)
async def recover_endpoint(request: HttpRequest, endpoint_id: FromPath[str]) -> Response[bytes]:
    """Ask for everything since a time."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, RecoverIn)
    since = from_micros(parse_moment(asked.since, "since"))
    book = desk.parts.webhooks
    count = await RECOVERIES.run(lambda: book.recover(endpoint_id, since, buyer.partner_id, buyer.mode, who=_who(buyer)))
    return answer(RecoveredOut(count), 202)


def _endpoint(one: Endpoint) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": one.url,
        "events": None if one.events is None else sorted(one.events),
        "description": one.description,
        "format": one.format,
        "mode": one.mode.value,
        "state": one.state.value,
        "reason": one.reason,
        "failing_since": None if one.failing_since is None else moment(to_micros(one.failing_since)),
        "created_at": moment(to_micros(one.created_at)),
        "updated_at": moment(to_micros(one.updated_at)),
    }


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "event_id": one.event_id,
        "type": one.type,
        "state": one.state.value,
        "tries": one.tries,
        "next_attempt_at": None if one.due_at is None else moment(to_micros(one.due_at)),
        "created_at": moment(to_micros(one.created_at)),
        "done_at": None if one.done_at is None else moment(to_micros(one.done_at)),
    }


def _attempt(one: Attempt) -> AttemptOut:
    return AttemptOut(moment(to_micros(one.at)), one.status, one.milliseconds, one.error, one.answer)


WEBHOOK_ROUTES: Final = (
    create_endpoint,
    list_endpoints,
    show_endpoint,
    update_endpoint,
    delete_endpoint,
    rotate_secret,
    test_endpoint,
    list_endpoint_deliveries,
    show_delivery,
    resend_delivery,
    recover_endpoint,
)
