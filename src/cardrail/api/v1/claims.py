"""Claim links: what a partner gives to the recipient instead of the codes."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.api.claim import claim_out
from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, order_id_in
from cardrail.api.wire import ClaimOut, ClaimPinOut, ClaimsIn, ListOut
from cardrail.delivery import ClaimNotFound, Wish, list_claims, make_claims, renew_pin, revoke_claim
from cardrail.kernel import is_id


@post(
    "/v1/orders/{order_id:str}/claims",
    status_code=201,
    opt=describe(
        "Make claim links",
        ListOut[ClaimOut],
        tag="Claims",
        scope="codes:read",
        body=ClaimsIn,
        body_is_optional=True,
        errors=("order_not_found", "nothing_to_claim", "invalid_delivery"),
        description="A link for the order or one for each delivered unit; whoever opens it sees the codes. A PIN is shown in this "
        "answer only. Asked again, the same links come back.",
    ),
)
async def create_claims(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """Links to an order's codes."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    asked = await desk.body(request, ClaimsIn, is_optional=True)
    wish = Wish(
        per=asked.per,
        protection=asked.protection,
        pin=asked.pin,
        expires_days=asked.expires_days,
        language=asked.language,
        recipient=asked.recipient,
    )
    parts = desk.parts
    made = await desk.write(lambda: make_claims(parts.db, parts.clock, parts.audit, parts.links, buyer, wanted, wish))
    return answer(ListOut([claim_out(desk, request.scope, one.claim, one.pin) for one in made], None), 201)


@get(
    "/v1/orders/{order_id:str}/claims",
    opt=describe(
        "List an order's claim links",
        ListOut[ClaimOut],
        tag="Claims",
        scope="codes:read",
        errors=("order_not_found",),
        description="With their states, without their PINs.",
    ),
)
async def list_own_claims(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """The links of an order."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    found = await desk.read(lambda: list_claims(desk.parts.db, buyer, wanted))
    return answer(ListOut([claim_out(desk, request.scope, one) for one in found], None))


@post(
    "/v1/claims/{claim_id:str}/revoke",
    status_code=200,
    opt=describe(
        "Withdraw a claim link",
        ClaimOut,
        tag="Claims",
        scope="codes:read",
        errors=("claim_not_found",),
        description="For ever. What was shown was shown; the order stays as it is.",
    ),
)
async def revoke(request: HttpRequest, claim_id: FromPath[str]) -> Response[bytes]:
    """End a link."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), _claim_id(claim_id)
    parts = desk.parts
    claim = await desk.write(lambda: revoke_claim(parts.db, parts.clock, parts.audit, buyer, wanted))
    return answer(claim_out(desk, request.scope, claim))


@post(
    "/v1/claims/{claim_id:str}/pin",
    status_code=200,
    opt=describe(
        "Give a claim link a new PIN",
        ClaimPinOut,
        tag="Claims",
        scope="codes:read",
        errors=("claim_not_found", "invalid_delivery"),
        description="Shown in this answer only. A lock after wrong PINs is lifted.",
    ),
)
async def new_pin(request: HttpRequest, claim_id: FromPath[str]) -> Response[bytes]:
    """A new PIN for a protected link."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), _claim_id(claim_id)
    parts = desk.parts
    pin = await desk.write(lambda: renew_pin(parts.db, parts.clock, parts.audit, parts.links, buyer, wanted))
    return answer(ClaimPinOut(wanted, pin.reveal()))


def _claim_id(text: str) -> str:
    if not is_id("clm", text):
        raise ClaimNotFound
    return text


CLAIM_ROUTES: Final = (create_claims, list_own_claims, revoke, new_pin)
