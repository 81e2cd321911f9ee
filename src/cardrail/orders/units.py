"""The units of an order: what each was charged, which were paid back, and what those that were not are still worth. No I/O.

A refund names the units that it pays back, and each is paid back once: by the operator, or as the end of a claim for its code. An amount
that is no whole number of units is a **rebate**: it belongs to all units that are still paid for, in proportion to what they were charged.
So a unit that is paid back later gets its charge less its share of the rebates, and all refunds together are never more than the charge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cardrail.kernel import share
from cardrail.orders.errors import CodePositionNotFound, InvalidTransition, RefundTooLarge, UnitRefunded
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.states import OrderState

_SETTLED = (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED)


@dataclass(frozen=True, slots=True)
class CodeAt:
    """A unit of an order: its line, and which code of the line, from 1, in the order in which they are shown."""

    line: int
    position: int


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """What a refund pays back: these units, or for none a rebate on the whole order."""

    units: tuple[CodeAt, ...]
    amount_minor: int


def unit_charge(item: OrderItem, position: int) -> int:
    """What this unit of the line was charged, fees and tax included; all units together are the line's charge."""
    return share(item.charged_minor, item.delivered, position - 1, 1) if item.delivered else 0


def unit_parts(item: OrderItem, position: int) -> tuple[int, int, int]:
    """What of this unit's charge is price, fees and tax; of all units together, the line's."""
    charge = unit_charge(item, position)
    line_tax = max(0, item.charged_minor - item.delivered * (item.unit_price_minor + item.unit_fee_minor))
    tax = share(line_tax, item.delivered, position - 1, 1) if item.delivered else 0
    fee = min(item.unit_fee_minor, charge - tax)
    return charge - fee - tax, fee, tax


def standing_units(order: Order) -> list[CodeAt]:
    """The delivered units that were not paid back, by line and position."""
    found = []
    for item in order.items:
        gone = set(item.refunded)
        found += [CodeAt(item.line, one) for one in range(1, item.delivered + 1) if one not in gone]
    return found


def rebate_minor(order: Order) -> int:
    """What was given back of the order without naming units, and rests on those that are still paid for."""
    named = sum([unit_charge(item, one) for item in order.items for one in item.refunded])
    return max(0, order.refunded_minor - named)


def worths(order: Order, units: Sequence[CodeAt]) -> list[int]:
    """What is left to be paid back for each of these standing units. For all standing ones together it is all that is left."""
    items = {item.line: item for item in order.items}
    rebate = rebate_minor(order)
    whole = order.charged_minor - order.refunded_minor + rebate
    found, passed = [], 0
    for one in units:
        charge = unit_charge(items[one.line], one.position)
        given = rebate * (passed + charge) // whole - rebate * passed // whole if whole > 0 else charge
        found.append(charge - given)
        passed += charge
    return found


def worth(order: Order, units: Sequence[CodeAt]) -> int:
    """``worths``, summed up."""
    return sum(worths(order, units))


def is_paid(order: Order, item: OrderItem, position: int) -> bool:
    """Whether the partner still pays for this unit. One that cost nothing counts as paid."""
    if position in item.refunded:
        return False
    return not unit_charge(item, position) or worth(order, [CodeAt(item.line, position)]) > 0


def may_be_refunded(order: Order, item: OrderItem, position: int) -> bool:
    """Whether so much was given back without naming units that this one may have been meant."""
    charge = unit_charge(item, position)
    return charge > 0 and rebate_minor(order) >= charge


# --- which units a refund pays back -----------------------------------------------------------------------------------


def plan_refund(
    order: Order,
    amount_minor: int | None = None,
    *,
    units: Sequence[CodeAt] = (),
    quantity: int | None = None,
    line: int | None = None,
    is_rebate: bool = False,
) -> RefundPlan:
    """What a refund comes to: the units that are named; or the last ``quantity`` that are still paid for, of the line or of the order; or
    the last ones that are worth just the amount, of one line or of the whole order; or all that is left. Any other amount, and one that
    ``is_rebate``, is a rebate; so is whatever is given back while the order is not settled, because its units are not known yet.

    Raises UnitRefunded, CodePositionNotFound, RefundTooLarge; InvalidTransition where units are named of an order that is not settled.
    """
    left = order.charged_minor - order.refunded_minor
    is_settled = order.state in _SETTLED
    if (units or quantity is not None) and not is_settled:
        raise InvalidTransition(current=order.state.value, wanted="refund of units")
    if units:
        chosen = _named(order, units)
    elif quantity is not None:
        chosen = _last(order, quantity, line)
    else:
        amount = left if amount_minor is None else amount_minor
        if not 0 < amount <= left:
            raise RefundTooLarge(asked_minor=amount, left_minor=left)
        chosen = _worth_exactly(order, amount, is_rebate=is_rebate) if is_settled else ()
        return RefundPlan(chosen, amount)
    amount = worth(order, chosen)
    if not 0 < amount <= left:
        raise RefundTooLarge(asked_minor=amount, left_minor=left)
    return RefundPlan(chosen, amount)


def _named(order: Order, units: Sequence[CodeAt]) -> tuple[CodeAt, ...]:
    items = {item.line: item for item in order.items}
    chosen = tuple(sorted(set(units), key=lambda one: (one.line, one.position)))
    for one in chosen:
        item = items.get(one.line)
        if item is None or not 0 < one.position <= item.delivered:
            raise CodePositionNotFound(line=one.line, position=one.position)
        if one.position in item.refunded:
            raise UnitRefunded(line=one.line, position=one.position)
    return chosen


def _last(order: Order, quantity: int, line: int | None) -> tuple[CodeAt, ...]:
    found = [one for one in standing_units(order) if line in (None, one.line)]
    if not 0 < quantity <= len(found):
        raise RefundTooLarge(asked_units=quantity, left_units=len(found))
    return tuple(found[-quantity:])


def _worth_exactly(order: Order, amount: int, *, is_rebate: bool) -> tuple[CodeAt, ...]:
    """The last standing units that are worth just this, of one line or of the whole order; none where it is no whole number of them."""
    every = standing_units(order)
    if amount == order.charged_minor - order.refunded_minor:
        return tuple(every)  # whatever it is called, nothing is left
    if is_rebate:
        return ()
    for group in [*[[one for one in every if one.line == item.line] for item in reversed(order.items)], every]:
        passed = 0
        for count, each in enumerate(worths(order, group[::-1]), 1):
            passed += each
            if passed == amount:
                return tuple(group[-count:])
    return ()


def by_line(units: Iterable[CodeAt]) -> list[dict[str, Any]]:
    """The units as events and audit rows tell of them."""
    lines: dict[int, list[int]] = {}
    for one in units:
        lines.setdefault(one.line, []).append(one.position)
    return [{"line": line, "positions": sorted(positions)} for line, positions in sorted(lines.items())]
