"""What an order asks for (specs/starship.md, section 2.5). Most orders are well-formed, so they are read at one go; only where a rule is
broken are the fields looked at one by one, to name each that fails.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from cardrail.api.compat import Call
from cardrail.api.dialects.starship.reading import BodyFields, body_of, is_email, plain_number
from cardrail.kernel import NUMBER_MAX

DENOMINATION_MAX: Final = Decimal(1_000_000_000)


class _Body(msgspec.Struct):
    product_id: int
    denomination: msgspec.Raw
    quantity: int
    wallet_id: int | None = None
    ref: str | None = None
    email: str | None = None
    input_data: msgspec.Raw | None = None


class OrderIn(msgspec.Struct):
    """A well-formed order."""

    product_id: int
    denomination: Decimal
    quantity: int
    wallet_id: int | None = None
    ref: str | None = None
    email: str | None = None
    input_data: dict[str, str] | None = None


_decoder: Final = msgspec.json.Decoder(_Body)


async def order_in(call: Call, reference_max: int) -> OrderIn:
    """The order that the body asks for. Raises Refusal, BodyTooLarge, UnsupportedMediaType."""
    found = _at_one_go(await call.body_bytes(), reference_max)
    return _field_by_field(await body_of(call, loose=("denomination",)), reference_max) if found is None else found


def _at_one_go(body: bytes, reference_max: int) -> OrderIn | None:
    """The order; None where anything of it needs a closer look."""
    try:
        given = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    denomination = plain_number(bytes(given.denomination))
    if denomination is None or not 0 <= denomination <= DENOMINATION_MAX or given.input_data is not None:
        return None
    if not 1 <= given.product_id <= NUMBER_MAX or not 1 <= given.quantity <= NUMBER_MAX:
        return None
    if given.wallet_id is not None and not 1 <= given.wallet_id <= NUMBER_MAX:
        return None
    ref = given.ref
    if ref is not None and not (0 < len(ref) <= reference_max and ref.isascii() and ref.isprintable()):
        return None
    if given.email is not None and not is_email(given.email):
        return None
    return OrderIn(given.product_id, denomination, given.quantity, given.wallet_id, ref, given.email)


def _field_by_field(fields: BodyFields, reference_max: int) -> OrderIn:
    product_id = fields.integer("product_id", required=True)
    denomination = fields.number("denomination", required=True, minimum=0, maximum=DENOMINATION_MAX)
    quantity = fields.integer("quantity", required=True)
    wallet_id = fields.integer("wallet_id")
    ref = fields.text("ref", longest=reference_max, is_ascii=True)
    email = fields.email("email")
    input_data = fields.object("input_data")
    fields.check()
    assert product_id is not None
    assert denomination is not None
    assert quantity is not None
    return OrderIn(product_id, denomination, quantity, wallet_id, ref, email, input_data)
