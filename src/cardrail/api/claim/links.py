"""Claim links as the API shows them."""

from __future__ import annotations

from typing import Any

from cardrail.api.desk import Desk
from cardrail.api.http import header
from cardrail.api.render import maybe_moment, moment
from cardrail.api.wire import ClaimOut
from cardrail.delivery import Claim
from cardrail.kernel import Secret, to_micros


def claim_out(desk: Desk, scope: Any, claim: Claim, pin: Secret | None = None) -> ClaimOut:
    """One link; its PIN only in the answer that made it."""
    parts = desk.parts
    return ClaimOut(
        id=claim.id,
        order_id=claim.order_id,
        line=claim.line or None,
        unit=claim.unit or None,
        state=claim.state(to_micros(parts.clock.now())),
        protection=claim.protection.value,
        url=f"{_base(desk, scope)}/c/{parts.links.token(claim.id)}",
        pin=pin.reveal() if pin is not None else None,
        created_at=moment(claim.created_at),
        expires_at=maybe_moment(claim.expires_at),
        claimed_at=maybe_moment(claim.claimed_at),
    )


def _base(desk: Desk, scope: Any) -> str:
    """Where recipients reach us: the operator's setting, else as this caller did."""
    if desk.parts.settings.public_url:
        return desk.parts.settings.public_url.rstrip("/")
    host = header(scope["headers"], b"host") or b"localhost"
    return f"{scope['scheme']}://{host.decode('latin-1')}"
