"""POST /v1/orders/{order_id}/replacement (specs/foxreload.md, sections 2.2 and 3.5): another code for one that failed.

A claim is ``under_review`` until whoever sold us the code, or the operator, decides; then it is ``approved`` with the new code in
``codes``, ``denied`` with its reason, or ``refunded``. The sheet has no call that shows a claim: the same request again shows how its claim
stands, and so does GET on the same path, which is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from cardrail.api.compat import Answer, Call, decimal_text, json_answer
from cardrail.api.dialects.foxreload.orders import readable_order
from cardrail.api.dialects.foxreload.v1.orders import V1Orders, key_of
from cardrail.api.dialects.foxreload.v1.profile import V1Profile
from cardrail.api.dialects.foxreload.v1.wire import CodeOut, ReplacementIn, ReplacementOut, ReplacementsOut
from cardrail.api.render import Codes
from cardrail.orders import (
    CodeAt,
    CodePositionNotFound,
    Order,
    Replacement,
    ReplacementOpen,
    ReplacementReason,
    ReplacementState,
    RequestReplacement,
    get_replacement,
    list_replacements,
    request_replacements,
)

STATUS: Final = {
    ReplacementState.REQUESTED: "under_review",
    ReplacementState.ASKING_SUPPLIER: "under_review",
    ReplacementState.NEEDS_REVIEW: "under_review",
    ReplacementState.REPLACED: "approved",
    ReplacementState.REFUNDED: "refunded",
    ReplacementState.REFUSED: "denied",
}
"""2.2: ``under_review``; later ``approved``, ``denied`` or ``refunded``."""

LISTED_MAX: Final = 200

_REASONS: Final = {one.value: one for one in ReplacementReason}


class V1Replacements:
    """Another code for one that failed."""

    def __init__(self, orders: V1Orders, profile: V1Profile) -> None:
        self._orders = orders
        self._profile = profile

    async def create(self, call: Call) -> Answer:
        """Claim a code: 201. The same request again, or another one while a claim for the code is open, shows that claim."""
        wanted = await call.body(ReplacementIn)
        order = await self._orders.find(call, call.params["order_id"])
        parts, buyer = call.desk.parts, call.buyer()
        command = RequestReplacement(
            order.id,
            buyer,
            (code_at(order, wanted.code_index),),
            *_said(wanted),
            key=f"{order.id}\0{key_of(call, None) or _payload(wanted)}",
            window=timedelta(days=self._profile.replacement_days),
        )
        try:
            made, _ = await call.desk.write(lambda: request_replacements(parts.replacements, command))
            one = made[0]
        except ReplacementOpen as error:
            open_id = str(error.facts["replacement_id"])
            one = await call.desk.read(lambda: get_replacement(parts.db, buyer, open_id))
        return json_answer(await self._shown(call, order, one), 201)

    async def show(self, call: Call) -> Answer:
        """The claims for an order's codes, newest first."""
        order = await self._orders.find(call, call.params["order_id"])
        parts, buyer = call.desk.parts, call.buyer()
        found = await call.desk.read(lambda: list_replacements(parts.db, buyer, order_id=order.id, limit=LISTED_MAX))
        codes: Sequence[Codes | None] = ()
        if any(one.state is ReplacementState.REPLACED for one in found):
            order, codes = await readable_order(call, order)
        return json_answer(ReplacementsOut([self._out(order, codes, one, found) for one in found[:LISTED_MAX]]))

    async def _shown(self, call: Call, order: Order, one: Replacement) -> ReplacementOut:
        parts, buyer = call.desk.parts, call.buyer()
        if one.state is not ReplacementState.REPLACED:
            return self._out(order, (), one, [one])
        later = await call.desk.read(lambda: list_replacements(parts.db, buyer, order_id=order.id, limit=LISTED_MAX))
        order, codes = await readable_order(call, order)
        return self._out(order, codes, one, later)

    def _out(self, order: Order, codes: Sequence[Codes | None], one: Replacement, every: Sequence[Replacement]) -> ReplacementOut:
        """A claim. The code that was given for it is shown while it is the order's: until it is replaced in its turn."""
        is_current = not any(
            (later.lot_id, later.seq) == (one.new_lot_id, one.new_seq) and _is_replaced(later) for later in every
        )
        given: list[CodeOut] = []
        for item, opened in zip(order.items, codes, strict=False):
            if item.line == one.line and opened is not None and _is_replaced(one) and is_current:
                found = [plain for unit, (plain, _) in zip(item.units, opened, strict=True) if unit.position == one.position]
                given += [CodeOut(self._profile.code_type, plain.code or plain.url, plain.pin) for plain in found]
        return ReplacementOut(
            replacement_id=one.id,
            order_id=order.id,
            status=STATUS[one.state],
            code_index=index_of(order, one),
            evidence=one.evidence,
            reason=one.because if one.state is ReplacementState.REFUSED else None,
            amount_usd=decimal_text(one.refunded_minor, order.currency) if one.state is ReplacementState.REFUNDED else None,
            codes=given,
        )


def _is_replaced(one: Replacement) -> bool:
    return one.state is ReplacementState.REPLACED


def code_at(order: Order, index: int) -> CodeAt:
    """Which of our order's codes stands in this place of the dialect's one list. Raises CodePositionNotFound once there are codes.

    The list leaves out what a restored database withholds, and which codes that is cannot be told here without showing them: of such an
    order an index may mean the code before. Its claims wait for a human, whoever was meant.
    """
    passed = 0
    for item in order.items:
        if index < passed + item.delivered:
            return CodeAt(item.line, index - passed + 1)
        passed += item.delivered
    if passed:
        raise CodePositionNotFound(position=index)
    return CodeAt(1, 1)  # nothing was delivered: the order itself refuses it


def index_of(order: Order, one: Replacement) -> int:
    """The other way round."""
    return sum([item.delivered for item in order.items if item.line < one.line]) + one.position - 1


def _said(wanted: ReplacementIn) -> tuple[ReplacementReason, str | None]:
    """The vendor's reason is free text: one that we know is itself, any other is kept with the evidence."""
    word = "_".join(wanted.reason.strip().lower().replace("-", " ").split())
    known = _REASONS.get(word.replace("not_recognized", "not_recognised"))
    if known is not None:
        return known, wanted.evidence or None
    return ReplacementReason.OTHER, "\n".join([wanted.reason, *([wanted.evidence] if wanted.evidence else [])])[:4_000]


def _payload(wanted: ReplacementIn) -> str:
    """What names a request without a key: its content, so that sending it again asks how it stands."""
    return msgspec.json.encode([wanted.reason, wanted.code_index, wanted.evidence]).decode()
