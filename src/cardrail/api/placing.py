"""Placing an order and waiting for its outcome: what the native endpoint and the dialects share, so that there is one way to sell.

The order's own transaction checks that the credential still holds; one that changed meanwhile is read again and the order put on the
lane once more. A client that hangs up does not cancel its order: the lane has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from cardrail.access import Principal
from cardrail.api.desk import Desk
from cardrail.api.render import Codes
from cardrail.orders import (
    Buyer,
    CredentialChanged,
    Order,
    OrderRequest,
    OrderState,
    Placed,
    Refused,
    Repeated,
    get_order,
    open_codes,
    reveal_order,
)

TRIES_MAX: Final = 3
"""How often an order whose credential changed under it is put on the lane again."""

CODES_ON_LOOP_MAX: Final = 20
"""More codes than this are opened on a thread, so that one large order does not keep the others waiting."""


WAIT_SECONDS_MIN: Final = 0.05
WAIT_SECONDS_MAX: Final = 1.0
"""How often an order that waits for suppliers is looked at for a client who waits for it: soon at first, then less often."""


class Placing:
    """Puts orders on the lane and opens what came. One per server, used on its event loop only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parts = desk.parts

    async def place(
        self,
        principal: Principal,
        request_of: Callable[[Principal], OrderRequest],
        again: Callable[[], Awaitable[Principal]],
        *,
        reveal_repeated: bool = True,
    ) -> tuple[Order, bool]:
        """The order with its sealed codes, and whether it is new (or an unpaid one, newly paid). Raises whatever refuses it.

        ``request_of`` makes the command for a principal, the same order each time; ``again`` authenticates the request anew.
        A repeat shows the codes too, unless ``reveal_repeated`` is false or the credential may not see codes.
        """
        loop = asyncio.get_running_loop()
        for _ in range(TRIES_MAX):
            request = request_of(principal)
            outcome = await self._parts.lane.submit(request, loop)
            if isinstance(outcome, Placed):
                self._desk.meters.order(outcome.order.state.value)
                return outcome.order, True
            if isinstance(outcome, Repeated):
                return await self._repeated(request, outcome, reveal=reveal_repeated), False
            assert isinstance(outcome, Refused)
            if not isinstance(outcome.error, CredentialChanged):
                raise outcome.error
            await self._desk.gate.refresh()
            principal = await again()
        raise CredentialChanged

    async def settled(self, order: Order, buyer: Buyer, seconds: float) -> Order:
        """The order once nothing of it waits for suppliers any more, or as it stands after so many seconds; with its sealed codes."""
        until, pause = time.monotonic() + seconds, WAIT_SECONDS_MIN
        parts, seen = self._parts, order
        while seen.state is OrderState.PROCESSING and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, WAIT_SECONDS_MAX)
            seen = await self._desk.read(lambda: get_order(parts.db, buyer, order.id))
        if seen.version == order.version or not buyer.may_reveal:
            return order if seen.version == order.version else seen
        return await self._desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, order.id))

    async def opened(self, order: Order) -> list[Codes | None]:
        """The opened codes of each line; None where it has none."""
        if sum([len(item.units) for item in order.items]) > CODES_ON_LOOP_MAX:
            return await self._desk.on_thread(lambda: self._open(order))
        return self._open(order)

    async def _repeated(self, request: OrderRequest, outcome: Repeated, *, reveal: bool) -> Order:
        parts, buyer = self._parts, request.buyer
        if reveal and buyer.may_reveal:
            return await self._desk.write(lambda: reveal_order(parts.db, parts.clock, parts.audit, buyer, outcome.order_id))
        return await self._desk.read(lambda: get_order(parts.db, buyer, outcome.order_id))

    def _open(self, order: Order) -> list[Codes | None]:
        opener = self._parts.opener
        return [open_codes(opener, item) if item.units else None for item in order.items]
