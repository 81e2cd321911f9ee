"""Replacement of bad codes: a claim, and what came of it."""

from __future__ import annotations

from typing import Any, Final, cast

from litestar import Response, get, post
from litestar.params import FromPath

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, order_id_in, query_of
from cardrail.api.errors import InvalidHeader
from cardrail.api.http import header
from cardrail.api.render import encode, maybe_moment, moment, money
from cardrail.api.wire import ListOut
from cardrail.api.wire_replacements import ReplacementIn, ReplacementOut, ReplacementQuery, ReplacementsOut
from cardrail.kernel import OrderId, is_id
from cardrail.orders import (
    Buyer,
    CodeAt,
    Replacement,
    ReplacementNotFound,
    ReplacementReason,
    ReplacementState,
    RequestReplacement,
    get_order,
    get_replacement,
    list_replacements,
    request_replacements,
)

KEY_MAX: Final = 255
_REPLAYED: Final = {"cache-control": "no-store", "idempotency-replayed": "true"}


@post(
    "/v1/orders/{order_id:str}/replacements",
    status_code=201,
    opt=describe(
        "Claim that codes are bad",
        ReplacementsOut,
        tag="Orders",
        scope="orders:write",
        body=ReplacementIn,
        takes_key=True,
        errors=(
            "order_not_found",
            "code_position_not_found",
            "invalid_replacement",
            "replacement_refused",
            "replacement_open",
            "unit_refunded",
            "idempotency_conflict",
            "invalid_header",
        ),
        description="Each code gets a claim of its own, all or none of them. It is decided later: by whoever sold us the code, or by the "
        "operator; look at the claim, or wait for `code.replaced`, `replacement.refunded` or `replacement.refused`. Send an "
        "`Idempotency-Key`: the same request sent again under it gets the first claims as they stand.",
        examples={
            "one_code": {
                "codes": [{"line": 1, "position": 2}],
                "reason": "already_redeemed",
                "evidence": "Tried on 2 January at 14:10; the shop said it was used on 1 January.",
                "links": ["https://shop.example/tickets/4711"],
            }
        },
    ),
)
async def claim_codes(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """Take a claim."""
    desk, buyer, wanted = desk_of(request), buyer_in(request), order_id_in(order_id)
    asked = await desk.body(request, ReplacementIn)
    command = RequestReplacement(
        wanted,
        buyer,
        tuple([CodeAt(one.line, one.position) for one in asked.codes]),
        ReplacementReason(asked.reason),
        asked.evidence,
        tuple(asked.links or ()),
        _key(request),
    )
    parts = desk.parts
    made, is_new = await desk.write(lambda: request_replacements(parts.replacements, command))
    order = await desk.read(lambda: get_order(parts.db, buyer, wanted))
    shown = ReplacementsOut([replacement_out(one, order.currency) for one in made])
    return answer(shown, 201) if is_new else answer(shown, 200, _REPLAYED)


@get(
    "/v1/orders/{order_id:str}/replacements",
    opt=describe(
        "List an order's replacements",
        ListOut[ReplacementOut],
        tag="Orders",
        scope="orders:read",
        query=ReplacementQuery,
        errors=("order_not_found", "invalid_cursor"),
        description="Newest first.",
    ),
)
async def list_of_order(request: HttpRequest, order_id: FromPath[str]) -> Response[bytes]:
    """A page of the claims for one order's codes."""
    return await _page(request, order_id_in(order_id))


@get(
    "/v1/replacements",
    opt=describe(
        "List replacements",
        ListOut[ReplacementOut],
        tag="Orders",
        scope="orders:read",
        query=ReplacementQuery,
        errors=("invalid_cursor",),
        description="Of all orders, newest first.",
    ),
)
async def list_own_replacements(request: HttpRequest) -> Response[bytes]:
    """A page of the partner's claims."""
    return await _page(request, None)


@get(
    "/v1/replacements/{replacement_id:str}",
    opt=describe(
        "See a replacement", ReplacementOut, tag="Orders", scope="orders:read", errors=("replacement_not_found",), description=""
    ),
)
async def show_replacement(request: HttpRequest, replacement_id: FromPath[str]) -> Response[bytes]:
    """One claim of the partner."""
    desk, buyer = desk_of(request), buyer_in(request)
    if not is_id("rpl", replacement_id):
        raise ReplacementNotFound(replacement_id=replacement_id[:64])
    db = desk.parts.db

    def look() -> ReplacementOut:
        one = get_replacement(db, buyer, replacement_id)
        return replacement_out(one, get_order(db, buyer, one.order_id).currency)

    return answer(await desk.read(look))


async def _page(request: HttpRequest, order_id: OrderId | None) -> Response[bytes]:
    query = query_of(request, ReplacementQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    scope = _scope(buyer, order_id, query)
    before = desk.parts.cursors.open(scope, query.cursor) if query.cursor is not None else None
    state = ReplacementState(query.state) if query.state else None
    db = desk.parts.db

    def look() -> list[ReplacementOut]:
        found = list_replacements(db, buyer, order_id=order_id, state=state, before=before, limit=query.limit)
        currencies = {one: get_order(db, buyer, one).currency for one in {one.order_id for one in found}}
        return [replacement_out(one, currencies[one.order_id]) for one in found]

    rows = await desk.read(look)
    page = rows[: query.limit]
    following = desk.parts.cursors.seal(scope, page[-1].id) if len(rows) > query.limit else None
    return answer(ListOut(page, following))


def _scope(buyer: Buyer, order_id: OrderId | None, query: ReplacementQuery) -> str:
    """What a cursor must not survive a change of."""
    return f"replacements|{buyer.partner_id}|{buyer.mode.value}|{order_id}|{encode(query.state).decode()}"


def replacement_out(one: Replacement, currency: str) -> ReplacementOut:
    """A claim as its partner sees it: who our suppliers are is not in it."""
    return ReplacementOut(
        id=one.id,
        order_id=one.order_id,
        mode=one.mode.value,
        line=one.line,
        position=one.position,
        state=one.state.value,
        reason=one.reason.value,
        evidence=one.evidence,
        links=list(one.links),
        refunded=money(one.refunded_minor, currency) if one.state is ReplacementState.REFUNDED else None,
        because=one.because,
        created_at=moment(one.created_at),
        updated_at=cast("str", maybe_moment(one.updated_at)),
    )


def _key(request: HttpRequest) -> str | None:
    """The Idempotency-Key: 1 to 255 printable ASCII characters. Raises InvalidHeader."""
    given: Any = header(request.scope["headers"], b"idempotency-key")
    if given is None:
        return None
    key = str(given.decode("latin-1"))
    if not 0 < len(key) <= KEY_MAX or not key.isascii() or not key.isprintable():
        raise InvalidHeader(parameter="Idempotency-Key")
    return key


REPLACEMENT_ROUTES: Final = (claim_codes, list_of_order, list_own_replacements, show_replacement)
