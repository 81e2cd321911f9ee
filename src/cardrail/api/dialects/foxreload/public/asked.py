"""From a request's items to what is ordered: products found, notes checked, prices guarded (specs/foxreload.md, sections 2.3, 3.4, 6).

A range is ordered by its amount: ``quantity`` 250 of a range in INR is one unit of 250.00 (section 6, money-denominated top-ups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cardrail.api.dialects.foxreload.public.notes import MOCK_OUTCOME, input_of
from cardrail.api.dialects.foxreload.public.texts import sane
from cardrail.api.dialects.foxreload.public.view import View, amounts_of, unit_of
from cardrail.api.dialects.foxreload.public.wire import ItemIn
from cardrail.api.errors import InvalidBody, InvalidQuantity
from cardrail.catalog import InvalidFaceValue, InvalidField, MissingField, Offer, UnknownSku, line_total
from cardrail.kernel import Money, currency
from cardrail.orders import QUANTITY_MAX, Behaviour, ItemRequest, OutOfStock, PriceChanged, sandbox_offer

CANCELLED: Final = "cancelled"

MOCK_SKUS: Final = {
    "failed": Behaviour.REFUND.value,
    "slow": Behaviour.SLOW.value,
    "partial": Behaviour.PARTIAL.value,
}
"""``note.mock_outcome`` → the reserved sku that behaves so; what is cancelled needs none, because it is never paid."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item as it will be ordered."""

    offer: Offer
    request: ItemRequest
    total_minor: int
    asked: ItemIn
    outcome: str | None
    """What a mock order's note wants to happen."""

    @property
    def is_plain(self) -> bool:
        """Whether the order's own items tell all that was asked."""
        return self.outcome is None and (self.asked.note or {}) == (self.request.fields or {})


def lines_of(view: View, items: Sequence[ItemIn], *, is_mock: bool) -> list[Line]:
    """Raises UnknownSku, InvalidBody or one of its kinds, MissingField, InvalidField, InvalidFaceValue, PriceChanged, and no price."""
    return [_line(view, one, f"items[{number}]", is_mock=is_mock) for number, one in enumerate(items)]


def _line(view: View, one: ItemIn, where: str, *, is_mock: bool) -> Line:
    wallet = view.wallet if is_mock else view.test_wallet
    offer = view.shelf.by_id(one.item_id, wallet=wallet)
    if offer is None:
        raise UnknownSku(where=f"{where}.itemId", said="There is no such product.")
    outcome = _outcome(one, f"{where}.note") if is_mock else None
    fields = _fields(view, offer, one, f"{where}.note")
    face, units = _face_and_units(view, offer, one.quantity, f"{where}.quantity")
    if outcome in MOCK_SKUS:
        offer = sandbox_offer(MOCK_SKUS[outcome], view.wallet)
        face, units, fields = None, units if units > 1 else 2, None
    face_minor = offer.face_minor or 0 if face is None else face.minor
    total = line_total(view.unit_price(offer, face_minor), units)
    if outcome is None and one.total_price is not None:
        _check_price(view, offer, one, total, where)
    return Line(offer, ItemRequest(offer.sku, units, face, fields), total, one, outcome)


def _outcome(one: ItemIn, where: str) -> str | None:
    wanted = (one.note or {}).get(MOCK_OUTCOME)
    if wanted is None:
        return None
    if not isinstance(wanted, str) or (wanted != CANCELLED and wanted not in MOCK_SKUS):
        known = ", ".join([*MOCK_SKUS, CANCELLED])
        raise InvalidBody(where=f"{where}.{MOCK_OUTCOME}", said=f"It is one of {known}.")
    return wanted


def _fields(view: View, offer: Offer, one: ItemIn, where: str) -> dict[str, str] | None:
    fields = input_of(one.note, offer.input_fields, where)
    try:
        view.shelf.snapshot.check_fields(offer, fields)
    except MissingField as missing:
        raise MissingField(where=f"{where}.{missing.facts['field']}", said="The product needs it.") from None
    except InvalidField as wrong:
        raise InvalidField(
            where=f"{where}.{wrong.facts['field']}", said="It is not of the form that the product takes."
        ) from None
    return fields


def _face_and_units(view: View, offer: Offer, quantity: int, where: str) -> tuple[Money | None, int]:
    """What a quantity means: so many units, or one of that amount. Raises InvalidQuantity."""
    if offer.type == "fixed":
        if quantity > QUANTITY_MAX:
            raise InvalidQuantity(where=where, said=f"It is at most {QUANTITY_MAX}.")
        return None, quantity
    least, most = amounts_of(offer)
    if not least <= quantity <= most:
        raise InvalidQuantity(where=where, said=f"It is the amount, from {least} to {most} {offer.currency.code}.")
    face_minor = quantity * unit_of(offer)
    try:
        view.shelf.snapshot.face_of(offer, face_minor)
    except InvalidFaceValue:
        raise InvalidQuantity(where=where, said="It is the amount, and this one is between two steps.") from None
    return Money(face_minor, offer.currency), 1


def _check_price(view: View, offer: Offer, one: ItemIn, total: int, where: str) -> None:
    """The guard (7, A12): the line's total, or the price that was shown times the quantity. Raises PriceChanged, InvalidBody.

    The price of a range is one unit's of its currency, with more decimals than can be paid, so that either way of rounding its
    product is the same price.
    """
    sent = one.total_price
    assert sent is not None
    if not sane(sent):
        raise InvalidBody(where=f"{where}.totalPrice", said="It is no amount.")
    ours = Decimal(total).scaleb(-currency(view.wallet).digits)
    shown = view.price(offer)
    apart = None if shown is None else abs(sent - Decimal(shown) * one.quantity)
    rounding = Decimal(5).scaleb(-currency(view.wallet).digits - 1) if offer.type == "range" else 0
    if sent == ours or (apart is not None and apart <= rounding):
        return
    raise PriceChanged(where=f"{where}.totalPrice", said=f"The price is {ours} {view.wallet.lower()}.")


def shelf_key(line: Line) -> tuple[str, int]:
    """What a line takes from: denomination and face value."""
    face = line.request.face.minor if line.request.face is not None else line.offer.face_minor or 0
    return line.offer.denomination_id, face


def check_stock(view: View, lines: Sequence[Line]) -> dict[tuple[str, int], int]:
    """Refuse what is more than there is now; what suppliers bring is not counted. Gives what there is. Raises OutOfStock."""
    present = view.present([one.offer for one in lines])
    wanted: dict[tuple[str, int], int] = {}
    there: dict[tuple[str, int], int] = {}
    for number, line in enumerate(lines):
        if present.can_buy(line.offer):
            continue
        key = shelf_key(line)
        wanted[key] = wanted.get(key, 0) + line.request.quantity
        count = there[key] = present.count(line.offer, key[1])
        if wanted[key] > count:
            raise OutOfStock(where=f"items[{number}]", said=f"There are {count} in stock.")
    return there


def details_of(lines: Sequence[Line], *, is_mock: bool) -> dict[str, Any] | None:
    """What an order must remember of the request, because its own items do not tell."""
    found: dict[str, Any] = {"mock": True} if is_mock else {}
    if any(line.outcome == CANCELLED for line in lines):
        found["cancelled"] = True
    if not all(line.is_plain for line in lines):
        found["asked"] = [[one.asked.item_id.lower(), one.asked.quantity, one.asked.note] for one in lines]
    return {"foxreload": found} if found else None
