"""Who the caller is to us, and short-lived tokens for callers that should not hold the key itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from litestar import Response, get, post

from cardrail.access import InvalidAccessToken, Limits, Principal, get_partner
from cardrail.access import list_keys as keys_of
from cardrail.api.desk import HttpRequest, answer, describe, desk_of, principal_of
from cardrail.api.gate import is_signed, token_of
from cardrail.api.render import money
from cardrail.api.wire import MeOut, TokenIn, TokenOut
from cardrail.kernel import rfc3339


@get(
    "/v1/me",
    opt=describe(
        "See who you are to us",
        MeOut,
        tag="Access",
        description="Your partner account, the key you used, its scopes, and your limits.",
    ),
)
async def show_me(request: HttpRequest) -> Response[bytes]:
    """The partner and the key."""
    desk, principal = desk_of(request), principal_of(request)

    def look() -> MeOut:
        with desk.parts.db.read() as tx:
            partner = get_partner(tx, principal.partner_id)
            names = {one.id: one.name for one in keys_of(tx, principal.partner_id)}
        return MeOut(
            partner_id=partner.id,
            name=partner.name,
            currency=partner.currency,
            mode=principal.mode.value,
            key_id=principal.api_key_id,
            key_name=names.get(principal.api_key_id, ""),
            scopes=sorted(principal.scopes),
            networks=[str(one) for one in principal.networks] or None,
            expires_at=rfc3339(principal.expires_at) if principal.expires_at else None,
            limits=_limits_out(principal),
        )

    return answer(await desk.read(look))


def _limits_out(principal: Principal) -> dict[str, Any] | None:
    """The partner's limits by name; amounts as money."""
    limits: Limits | None = principal.limits
    if limits is None:
        return None
    shown: dict[str, Any] = {
        "orders_per_day": limits.orders_per_day_max,
        "quantity_per_sku_per_day": limits.quantity_per_sku_per_day_max,
        "quantity_per_customer_per_day": limits.quantity_per_customer_per_day_max,
        "requests_per_minute": limits.requests_per_minute,
        "order_amount": [money(minor, code) for code, minor in sorted(limits.order_amount_minor_max.items())] or None,
        "amount_per_day": [money(minor, code) for code, minor in sorted(limits.amount_minor_per_day_max.items())] or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


@post(
    "/v1/tokens",
    status_code=201,
    opt=describe(
        "Get a short-lived token",
        TokenOut,
        tag="Access",
        body=TokenIn,
        body_is_optional=True,
        errors=("scope_missing", "invalid_key_request", "invalid_access_token"),
        description="A token for up to an hour, for callers that should not hold the key. It ends with its key.",
    ),
)
async def create_token(request: HttpRequest) -> Response[bytes]:
    """A signed token with the key's scopes, or some of them."""
    desk, principal = desk_of(request), principal_of(request)
    if is_signed(token_of(request.scope["headers"])):
        raise InvalidAccessToken  # a token must not prolong itself
    asked = await desk.body(request, TokenIn, is_optional=True)
    token = desk.parts.tokens.issue_jwt(principal, timedelta(seconds=asked.expires_in), asked.scopes)
    return answer(TokenOut(token.reveal(), "Bearer", asked.expires_in), 201)


ACCOUNT_ROUTES: Final = (show_me, create_token)
