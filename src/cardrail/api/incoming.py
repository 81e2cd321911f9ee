"""Where suppliers' webhooks come in: proven, kept, answered at once; what follows is a job's.

Before a signature is proven nothing is written and nothing of the request is logged, and of a proven one the body is kept nowhere: it may
hold codes. An address that sends too much, or too much that is refused, is not heard for a while.
"""

from __future__ import annotations

from typing import Final

import structlog
from litestar import Response, post
from litestar.params import FromPath

from cardrail.access import TooManyRequests, neighbourhood
from cardrail.api.desk import Desk, HttpRequest, answer, describe, desk_of
from cardrail.api.http import header, read_body
from cardrail.api.wire import HealthOut
from cardrail.kernel import CardrailError
from cardrail.orders import take_notice
from cardrail.sourcing import (
    Hook,
    Notice,
    ReceiverNotFound,
    WebhookForged,
    WebhookStale,
    WebhookUnreadable,
    open_receiver,
)

BODY_MAX: Final = 64 * 1024
TOKEN_MAX: Final = 64
PER_MINUTE: Final = 6_000
"""Requests from one address."""
REFUSED_PER_MINUTE: Final = 60
"""Of them, those that may be refused."""
_REFUSALS: Final = (ReceiverNotFound, WebhookForged, WebhookStale, WebhookUnreadable)

log = structlog.get_logger("cardrail.incoming")


@post(
    "/in/{token:str}",
    status_code=200,
    opt=describe("A supplier's webhook", HealthOut, tag="Operating", is_public=True, is_page=True),
)
async def take_webhook(request: HttpRequest, token: FromPath[str]) -> Response[bytes]:
    """Something happened at a supplier."""
    desk = desk_of(request)
    near = neighbourhood(desk.gate.origin_of(request.scope))
    await _heard(desk, near)
    try:
        supplier_id, notice = await _proven(desk, request, token)
    except _REFUSALS as refusal:
        desk.meters.incoming(refusal.code)
        await desk.gate.count("incoming_refused", near, REFUSED_PER_MINUTE, 60)
        log.warning("a supplier's webhook was refused", reason=refusal.code, origin=near)
        raise
    parts = desk.parts
    is_new = await desk.write(lambda: take_notice(parts.jobs, parts.buying, supplier_id, notice))
    desk.meters.incoming("taken" if is_new else "repeated")
    return answer(HealthOut("ok"))


async def _heard(desk: Desk, near: str) -> None:
    """Raises TooManyRequests."""
    wait = await desk.gate.blocked("incoming_refused", near, REFUSED_PER_MINUTE, 60)
    if wait:
        raise TooManyRequests(limit=REFUSED_PER_MINUTE, retry_after=wait)
    rate = await desk.gate.count("incoming", near, PER_MINUTE, 60)
    if rate is not None and not rate.allowed:
        raise TooManyRequests(limit=PER_MINUTE, retry_after=rate.reset_seconds)


async def _proven(desk: Desk, request: HttpRequest, token: str) -> tuple[str, Notice]:
    """Whose webhook it is, and what it says. Raises ReceiverNotFound, WebhookForged, WebhookStale, WebhookUnreadable, BodyTooLarge."""
    body = await read_body(request.receive, BODY_MAX)
    if len(token) > TOKEN_MAX:
        raise ReceiverNotFound
    hook = Hook(_url(desk, request), _headers(request), body)
    return await desk.read(lambda: _read(desk, token, hook))


def _read(desk: Desk, token: str, hook: Hook) -> tuple[str, Notice]:
    parts = desk.parts
    now = parts.clock.now()
    with parts.db.read() as tx:
        found = open_receiver(tx, parts.sealer, token, now)
    try:
        return found.supplier_id, found.reader.read(hook, found.secrets, now)
    except CardrailError:
        raise
    except Exception as error:  # whatever a reader trips over is in what a stranger sent: it proves nothing
        log.warning("a webhook's reader failed", error=type(error).__name__)
        raise WebhookForged from None


def _headers(request: HttpRequest) -> dict[str, str]:
    """By name; of one that comes twice the first."""
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return found


def _url(desk: Desk, request: HttpRequest) -> str:
    """The address that the supplier was given: the setting's, else as this request came."""
    scope = request.scope
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + (f"?{query}" if query else "")
    if desk.parts.settings.public_url:
        return desk.parts.settings.public_url.rstrip("/") + path
    host = header(scope["headers"], b"host") or b"localhost"
    return f"{scope['scheme']}://{host.decode('latin-1')}{path}"


INCOMING: Final = (take_webhook,)
