"""The order object (specs/finperks.md, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from cardrail.api.compat import Call
from cardrail.api.dialects.finperks.amounts import amount_text
from cardrail.api.dialects.finperks.products import product_code_of
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.dialects.finperks.states import COMPLETED, PROCESSING, state_of
from cardrail.api.dialects.finperks.surface import finperks
from cardrail.api.dialects.finperks.wire import CodeOut, MoneyOut, OrderOut, UrlOut
from cardrail.api.render import Codes
from cardrail.kernel import PlainCode, from_micros
from cardrail.orders import Order

_details: Final = msgspec.json.Decoder(dict[str, Any]).decode
_DELIVERY: Final = {"type": "code"}


def order_out(
    call: Call,
    order: Order,
    codes: Sequence[Codes | None] = (),
    *,
    details: dict[str, Any] | None = None,
    code: str | None = None,
    as_processing: bool = False,
) -> OrderOut:
    """The order as it stands; ``as_processing`` as an asynchronous one is acknowledged. Codes show only while it is completed.

    ``details`` are the order's, ``code`` its product's, where the caller has them at hand.
    """
    profile = finperks(call).profile
    if details is None:
        details = _details(order.details) if order.details else {}
    item = order.items[0]
    state = PROCESSING if as_processing else state_of(order, profile)
    spent = order.total_minor if state == PROCESSING else order.charged_minor - order.refunded_minor
    delivery = details.get("delivery_method") or _DELIVERY
    client = details.get("client_partner")
    out = OrderOut(
        id=order.id,
        state=state,
        product_code=code or details.get("product_code") or product_code_of(call.desk.parts.catalog.current(), item.sku),
        country=details.get("country"),
        customer={"id": order.customer_id} if order.customer_id is not None else None,
        face_value=MoneyOut(item.face_currency, amount_text(item.face_minor, item.face_currency)),
        processing_mode=details.get("processing_mode") or "sync",
        delivery_method=delivery,
        quantity=sum([one.quantity for one in order.items]) if len(order.items) > 1 else item.quantity,
        price=MoneyOut(order.currency, amount_text(spent, order.currency)),
        urls=[],
        created_at=moment(order.created_at),
        client_partner={"id": client} if isinstance(client, str) else UNSET,
    )
    if state == COMPLETED:
        _deliver(out, [one for opened in codes if opened for one, _ in opened], profile)
    return out


def moment(micros: int) -> str:
    """RFC 3339 UTC, whole seconds."""
    return _moment(micros // 1_000_000)


@lru_cache(maxsize=4_096)
def _moment(seconds: int) -> str:
    return from_micros(seconds * 1_000_000).strftime("%Y-%m-%dT%H:%M:%SZ")


def _deliver(out: OrderOut, plain: Sequence[PlainCode], profile: FinperksProfile) -> None:
    """The delivery data: by ``url`` the links alone, unless a card cannot be redeemed by its link alone."""
    out.urls = [UrlOut(profile.url_type, one.url) for one in plain if one.url]
    shown = [one for one in plain if not (out.delivery_method.get("type") == "url" and one.url and not one.pin)]
    if shown:
        out.code = _code_out(shown[0])
    if len(plain) > 1:
        out.codes = [_code_out(one) for one in plain]


def _code_out(one: PlainCode) -> CodeOut:
    return CodeOut(one.code or one.url, one.pin, one.serial)
