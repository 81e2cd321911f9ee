"""Claim links: what a partner gives to the recipient instead of the codes."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.api.desk import Desk, HttpRequest, answer, buyer_in, describe, desk_of
from cardrail.api.http import header
from cardrail.api.render import maybe_moment, moment
from cardrail.api.wire import ClaimOut, ClaimPinOut, ClaimsIn, ListOut
from cardrail.delivery import Claim, ClaimNotFound, Wish, list_claims, make_claims, renew_pin, revoke_claim
from cardrail.kernel import OrderId, Secret, is_id, to_micros
from cardrail.orders import OrderNotFound


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
    desk, buyer, wanted = desk_of(request), buyer_in(request), _order_id(order_id)
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
    return answer(ListOut([_out(desk, request, one.claim, one.pin) for one in made], None), 201)


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
    desk, buyer, wanted = desk_of(request), buyer_in(request), _order_id(order_id)
    found = await desk.read(lambda: list_claims(desk.parts.db, buyer, wanted))
    return answer(ListOut([_out(desk, request, one) for one in found], None))


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
    return answer(_out(desk, request, claim))


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


def _out(desk: Desk, request: HttpRequest, claim: Claim, pin: Secret | None = None) -> ClaimOut:
    parts = desk.parts
    return ClaimOut(
        id=claim.id,
        order_id=claim.order_id,
        line=claim.line or None,
        unit=claim.unit or None,
        state=claim.state(to_micros(parts.clock.now())),
        protection=claim.protection.value,
        url=f"{_base(desk, request)}/c/{parts.links.token(claim.id)}",
        pin=pin.reveal() if pin is not None else None,
        created_at=moment(claim.created_at),
        expires_at=maybe_moment(claim.expires_at),
        claimed_at=maybe_moment(claim.claimed_at),
    )


def _base(desk: Desk, request: HttpRequest) -> str:
    """Where recipients reach us: the operator's setting, else as this caller did."""
    if desk.parts.settings.public_url:
        return desk.parts.settings.public_url.rstrip("/")
    host = header(request.scope["headers"], b"host") or b"localhost"
    return f"{request.scope['scheme']}://{host.decode('latin-1')}"


def _order_id(text: str) -> OrderId:
    if not is_id("ord", text):
        raise OrderNotFound(order_id=text[:64])
    return OrderId(text)


def _claim_id(text: str) -> str:
    if not is_id("clm", text):
        raise ClaimNotFound
    return text


CLAIM_ROUTES: Final = (create_claims, list_own_claims, revoke, new_pin)
