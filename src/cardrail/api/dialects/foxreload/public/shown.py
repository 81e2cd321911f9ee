"""An order as the public surface shows it (specs/foxreload.md, sections 2.3, 3.3 and 7, A13 and A14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cardrail.api.dialects.foxreload.public.states import CANCELLED, status_of
from cardrail.api.dialects.foxreload.public.texts import moment, money, product_id
from cardrail.api.dialects.foxreload.public.view import View
from cardrail.api.dialects.foxreload.public.wire import ItemOut, OrderOut, PaymentOut
from cardrail.api.render import Codes
from cardrail.catalog import Offer
from cardrail.kernel import PlainCode, currency, uuid_of
from cardrail.orders import Order, OrderItem, OrderState

S: Final = OrderState

_MINUTE: Final = 60_000_000
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

EXPIRED: Final = "payment_expiration"
BY_USER: Final = "user_request"
BY_PAYMENT: Final = "payment_failure"


def remembered(order: Order) -> dict[str, Any]:
    """What the order remembers of a request of this surface (``asked.details_of``)."""
    found = _decode(order.details).get("foxreload") if order.details else None
    return found if isinstance(found, dict) else {}


def is_mock(order: Order) -> bool:
    """Whether it was created as a test order."""
    return bool(remembered(order).get("mock"))


def order_out(
    view: View,
    order: Order,
    codes: Sequence[Codes | None] | None,
    *,
    now: int,
    minutes: int,
    cancel_reason: str | None,
) -> OrderOut:
    """The order as it stands; without ``codes`` its external data is null. ``minutes`` is how long an order waits for its payment."""
    own = remembered(order)
    asked = own.get("asked") or [None] * len(order.items)
    status = status_of(order, now)
    code = order.currency
    return OrderOut(
        id=uuid_of(order.id),
        status=status,
        price=money(order.total_minor, code),
        currency=code.lower(),
        is_mock=bool(own.get("mock")),
        payment_expires_at=moment(order.pay_until or order.created_at + minutes * _MINUTE),
        cancel_reason=cancel_reason if status == CANCELLED else None,
        created_at=moment(order.created_at),
        updated_at=moment(order.updated_at),
        items=[
            _item_out(view, order, item, asked[n] if n < len(asked) else None, codes[n] if codes is not None else None)
            for n, item in enumerate(order.items)
        ],
    )


def _item_out(view: View, order: Order, item: OrderItem, asked: Any, codes: Codes | None) -> ItemOut:
    offer = view.shelf.snapshot.denomination(item.denomination_id)
    named, quantity, note = asked or (product_id(item.denomination_id), _quantity(item, offer), item.fields)
    guide = view.texts(offer).instructions if offer is not None else None
    return ItemOut(
        item_id=named,
        quantity=quantity,
        total_price=money(item.total_minor, order.currency),
        note=note,
        external_data=None if codes is None else [text_of(one) for one, _ in codes],
        error=_error(order, item),
        user_guide=guide if item.delivered else None,
    )


def _quantity(item: OrderItem, offer: Offer | None) -> int:
    """Units; or of a range the amount, as far as it is whole."""
    if offer is None or offer.type == "fixed":
        return item.quantity
    return max(1, item.face_minor * item.quantity // int(10 ** currency(item.face_currency).digits))


def text_of(code: PlainCode) -> str:
    """One unit: the code or the link, with the PIN after a semicolon."""
    text = code.code or code.url or code.serial or ""
    return f"{text};{code.pin}" if code.pin else text


def _error(order: Order, item: OrderItem) -> str | None:
    """Why an item, or part of it, was not delivered."""
    if order.state is S.INVALIDATED:
        return "The codes were taken back, and their price was credited."
    if item.state is S.FAILED:
        return "Nothing could be delivered; nothing of it is charged."
    if item.state is S.PARTIALLY_FULFILLED:
        return f"{item.quantity - item.delivered} of {item.quantity} could not be delivered; they are not charged."
    return None


def payment_out(order: Order) -> PaymentOut:
    """The payment of an order: it has one, so that its id is the order's."""
    body = uuid_of(order.id)
    return PaymentOut(
        id=f"pay_{body.replace('-', '')}",
        order_id=body,
        status="paid",
        payment_provider=None,
        amount=money(order.total_minor, order.currency),
        currency=order.currency.lower(),
        payment_url=None,
    )
