"""Messages to recipients: how they went, and once more."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, order_id_in
from cardrail.api.render import maybe_moment, moment
from cardrail.api.wire import ListOut, MessageOut, ResendIn
from cardrail.delivery import MessageNotFound, own_messages, resend_message
from cardrail.kernel import is_id


@get(
    "/v1/orders/{order_id:str}/messages",
    opt=describe(
        "List an order's messages",
        ListOut[MessageOut],
        tag="Claims",
        scope="orders:read",
        errors=("order_not_found",),
        description="What was sent to its recipient, and how it went; the oldest first.",
    ),
)
async def list_order_messages(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """The messages of an order."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    found = await desk.read(lambda: own_messages(desk.parts.db, buyer, wanted))
    return answer(ListOut([message_out(one) for one in found], None))


@post(
    "/v1/messages/{message_id:str}/resend",
    status_code=201,
    opt=describe(
        "Send a message again",
        MessageOut,
        tag="Claims",
        scope="codes:read",
        body=ResendIn,
        body_is_optional=True,
        errors=("message_not_found", "invalid_delivery", "channel_not_set"),
        description="A new message with the same links, now; to another address of the same channel where one is given. An order has 20 "
        "messages at most.",
    ),
)
async def resend(request: HttpRequest, message_id: FromPath[str]) -> Response[bytes]:
    """Once more."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, ResendIn, is_optional=True)
    if not is_id("msg", message_id):
        raise MessageNotFound
    office = desk.parts.office
    row = await desk.write(
        lambda: resend_message(office, message_id, actor=buyer.actor, buyer=buyer, address=asked.address, origin=buyer.origin)
    )
    return answer(message_out(row), 201)


def message_out(row: Any) -> MessageOut:
    """One message as the API shows it."""
    return MessageOut(
        id=row.id,
        order_id=row.order_id,
        channel=row.channel,
        address=row.address,
        language=row.language,
        state=row.state,
        tries=row.tries,
        error=row.error,
        due_at=moment(row.due_at),
        sent_at=maybe_moment(row.sent_at),
        created_at=moment(row.created_at),
    )


MESSAGE_ROUTES: Final = (list_order_messages, resend)
