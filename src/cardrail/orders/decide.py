"""The rule book of placing and paying orders: facts in, outcomes out. No I/O, no clock, no randomness.

``decide`` goes through the requests in the order given, over working copies of what was loaded: each sees what the ones before it in
the batch took. What it returns is complete; saving it is dull on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cardrail.access import LimitsBook, OrderFigures
from cardrail.catalog import CatalogSnapshot, Offer, Quote, QuoteMismatch, UnitPrice, UnknownSku, line_total
from cardrail.kernel import CardrailError, Currency, DenominationId, Mode, Money, OrderId, QuoteId, apply_bps
from cardrail.ledger import AccountName, InsufficientFunds, Wallet, wallet
from cardrail.orders.errors import (
    AmountTooLarge,
    CredentialChanged,
    IdempotencyConflict,
    NotPayable,
    OrderNotFound,
    OutOfStock,
    PriceChanged,
    ReferenceUsed,
    SuppliersBusy,
    TooManyUnits,
    WrongCurrency,
)
from cardrail.orders.model import (
    TOTAL_MAX,
    UNITS_MAX,
    Buyer,
    ItemRequest,
    Order,
    OrderItem,
    Outcome,
    PayOrder,
    Placed,
    PlaceOrder,
    Refused,
    Repeated,
)
from cardrail.orders.sandbox import SUPPLIED, Behaviour, behaviour_of, sandbox_offer, sandbox_price
from cardrail.orders.states import OrderState, advance, outcome_of, state_of
from cardrail.vault import Stock

S: Final = OrderState

LATE_RETRY_SECONDS: Final = 10
"""When to ask again while too much waits for suppliers."""

_PAID: Final = frozenset({S.PLACED, S.PROCESSING, S.NEEDS_REVIEW, S.FULFILLED, S.PARTIALLY_FULFILLED})
"""States of an order that was paid; one that is PLACED and waits for no payment was paid with a hold."""


@dataclass(frozen=True, slots=True)
class Known:
    """An order that a key or reference is bound to."""

    order_id: OrderId
    fingerprint: bytes


@dataclass(slots=True)
class Facts:
    """Everything that the decision may look at. ``decide`` uses up the working copies: stock, funds, known, quotes, limits."""

    now: int
    access_version: int
    snapshot: CatalogSnapshot
    wallets: Mapping[AccountName, Wallet]
    stock: Mapping[Mode, Stock]
    known_keys: dict[bytes, Known] = field(default_factory=dict)
    known_references: dict[bytes, Known] = field(default_factory=dict)
    quotes: dict[QuoteId, Quote] = field(default_factory=dict)
    unpaid: Mapping[OrderId, Order] = field(default_factory=dict)
    limits: LimitsBook = field(default_factory=LimitsBook)
    pay_until: int = 0
    supplied: frozenset[str] = frozenset()
    """Denominations that a supplier sells; loaded where something on demand is asked for."""
    suppliers_are_late: bool = False
    """Whether so much waits for suppliers that nothing more is taken."""


@dataclass(slots=True)
class Sale:
    """One order to be written: new, or an unpaid one that is now paid."""

    order: Order
    request: PlaceOrder | PayOrder
    wallet_name: AccountName
    sale_minor: int = 0
    fee_minor: int = 0
    tax_minor: int = 0
    hold_minor: int = 0
    """Taken as holds instead of a charge: the order waits for something."""
    holds: list[tuple[OrderItem, int]] = field(default_factory=list)
    """What of it is for which item."""
    sourced: list[tuple[OrderItem, int, bool]] = field(default_factory=list)
    """Items that wait for suppliers: how many units, and whether only all of them will do."""
    void_hold: bool = False
    wallet_after: int = 0
    """The wallet's posted balance after this order."""
    generate: list[tuple[OrderItem, int]] = field(default_factory=list)
    """Test units that no stock covers: codes are generated while saving."""
    reveals: bool = False


@dataclass(slots=True)
class Plan:
    """What is to be answered, and what is to be written first."""

    facts: Facts
    """As the decision left them: the working copies say what was taken."""
    outcomes: list[Outcome] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    quotes_used: list[tuple[QuoteId, OrderId]] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    """One priced line of a request, before anything is taken for it."""

    item: OrderItem
    offer: Offer | None
    price: UnitPrice
    behaviour: Behaviour
    count: int = 0
    """Units that are delivered at once."""
    sourced: int = 0
    """Units that suppliers are to bring."""


def decide(requests: Sequence[PlaceOrder | PayOrder], facts: Facts) -> Plan:
    """An outcome for each request, in order, and the orders to write. A refusal is an outcome, not an exception."""
    plan = Plan(facts)
    funds = _Funds(facts.wallets)
    for request in requests:
        try:
            outcome = _outcome(request, facts, funds, plan)
        except CardrailError as refusal:
            outcome = Refused(refusal)
        plan.outcomes.append(outcome)
    return plan


def _outcome(request: PlaceOrder | PayOrder, facts: Facts, funds: _Funds, plan: Plan) -> Outcome:
    if isinstance(request, PayOrder):
        return _pay(request, facts, funds, plan)
    return _place(request, facts, funds, plan)


def _place(request: PlaceOrder, facts: Facts, funds: _Funds, plan: Plan) -> Outcome:
    _check_credential(request.buyer, facts)
    repeated = _bound_to(request, facts)
    if repeated is not None:
        return Repeated(repeated)
    lines = _price_lines(request, facts)
    total = sum([line.item.total_minor for line in lines])
    if total > TOTAL_MAX:
        raise AmountTooLarge(max_minor=TOTAL_MAX)
    if request.max_total is not None and _beyond(request.max_total, total, request.buyer.currency):
        raise PriceChanged(total_minor=total, max_minor=request.max_total.minor)
    order = _new_order(request, [line.item for line in lines], total, facts)
    if request.pay_later:
        _check_limits(request, order, facts)
        order.pay_until = facts.pay_until
        sale = Sale(order, request, funds.name_of(order))
    else:
        sale = _fulfil(order, request, lines, facts, funds, allow_partial=request.allow_partial)
    plan.sales.append(sale)
    _bind(request, facts, plan)
    return Placed(order)


def _pay(request: PayOrder, facts: Facts, funds: _Funds, plan: Plan) -> Outcome:
    _check_credential(request.buyer, facts)
    order = facts.unpaid.get(request.order_id)
    if order is None or (order.partner_id, order.mode) != (request.buyer.partner_id, request.buyer.mode):
        raise OrderNotFound(order_id=request.order_id)
    if order.state is not S.PLACED or order.pay_until is None:
        if order.state in _PAID:
            return Repeated(order.id)
        raise NotPayable(state=order.state.value)
    if order.pay_until <= facts.now:
        raise NotPayable(state=order.state.value, expired=True)
    lines = [_Line(item, None, _price_of(item, order), behaviour_of(item.sku, order.mode)) for item in order.items]
    sale = _fulfil(order, request, lines, facts, funds, allow_partial=request.allow_partial)
    order.pay_until = None
    order.updated_at = facts.now
    order.version += 1
    plan.sales.append(sale)
    return Placed(order)


# --- who asks, and whether it was asked before ------------------------------------------------------------------------


def _check_credential(buyer: Buyer, facts: Facts) -> None:
    if buyer.access_version is not None and buyer.access_version != facts.access_version:
        raise CredentialChanged


def _bound_to(request: PlaceOrder, facts: Facts) -> OrderId | None:
    """The order that this key or reference is bound to. Raises IdempotencyConflict, ReferenceUsed."""
    by_key = facts.known_keys.get(request.key_hash) if request.key_hash else None
    by_reference = facts.known_references.get(request.reference_hash) if request.reference_hash else None
    known = by_key or (by_reference if request.key_hash is None else None)
    if known is not None:
        if known.fingerprint != request.fingerprint:
            raise IdempotencyConflict(order_id=known.order_id)
        return known.order_id
    if by_reference is not None:
        raise ReferenceUsed(order_id=by_reference.order_id)
    return None


def _bind(request: PlaceOrder, facts: Facts, plan: Plan) -> None:
    """Let the later requests of this batch know that the key, the reference and the quote are taken."""
    known = Known(request.order_id, request.fingerprint)
    if request.key_hash:
        facts.known_keys[request.key_hash] = known
    if request.reference_hash:
        facts.known_references[request.reference_hash] = known
    if request.quote_id is not None:
        quote_id = QuoteId(request.quote_id)
        plan.quotes_used.append((quote_id, request.order_id))
        facts.quotes[quote_id] = facts.quotes[quote_id].used_by(request.order_id)


# --- what it costs ----------------------------------------------------------------------------------------------------


def _price_lines(request: PlaceOrder, facts: Facts) -> list[_Line]:
    if request.units > UNITS_MAX:
        raise TooManyUnits(units=request.units, max=UNITS_MAX)
    quoted = _quoted(request, facts) if request.quote_id is not None else None
    return [_price_line(number, one, request, facts, quoted) for number, one in enumerate(request.items, 1)]


def _price_line(number: int, one: ItemRequest, request: PlaceOrder, facts: Facts, quoted: Sequence[UnitPrice] | None) -> _Line:
    buyer = request.buyer
    behaviour = behaviour_of(one.sku, buyer.mode)
    if behaviour is Behaviour.REAL:
        offer = facts.snapshot.offer(one.sku)
        if offer is None or not offer.is_sellable:
            raise UnknownSku(sku=one.sku, line=number)
        face = facts.snapshot.face_of(offer, _face_minor(one.face, offer.currency, number))
        facts.snapshot.check_fields(offer, one.fields)
        price = quoted[number - 1] if quoted else None
        if price is None:
            price = facts.snapshot.unit_price(
                offer, face, partner_id=buyer.partner_id, price_list_id=buyer.price_list_id, currency=buyer.currency
            )
    else:
        offer = sandbox_offer(one.sku, buyer.currency)
        face = facts.snapshot.face_of(offer, _face_minor(one.face, offer.currency, number))
        price = sandbox_price(offer, is_free=request.is_free)
        if behaviour is Behaviour.PRICE_CHANGED:
            raise PriceChanged(sku=one.sku, line=number)
    return _Line(_new_item(number, one, offer, face, price), offer, price, behaviour)


def _face_minor(face: Money | None, currency: Currency, line: int) -> int | None:
    if face is None:
        return None
    if face.currency != currency:
        raise WrongCurrency(line=line, given=face.currency.code, expected=currency.code)
    return face.minor


def _quoted(request: PlaceOrder, facts: Facts) -> list[UnitPrice]:
    """The prices that the quote fixed. Raises the quote's own refusals, and QuoteMismatch if the order is not what was quoted."""
    quote = facts.quotes.get(QuoteId(request.quote_id or ""))
    buyer = request.buyer
    quote = Quote.checked(quote, buyer.partner_id, buyer.mode, facts.now)
    asked = [(one.sku, one.quantity, one.face.minor if one.face else None) for one in request.items]
    if quote.currency.code != buyer.currency or not quote.covers(asked):
        raise QuoteMismatch(quote_id=quote.id)
    return [line.price for line in quote.lines]


def _beyond(ceiling: Money, total_minor: int, currency: str) -> bool:
    if ceiling.currency.code != currency:
        raise WrongCurrency(given=ceiling.currency.code, expected=currency)
    return total_minor > ceiling.minor


def _check_limits(request: PlaceOrder | PayOrder, order: Order, facts: Facts) -> None:
    """Count the order against its partner's limits; an unpaid one was counted when it was placed. Raises LimitExceeded."""
    buyer = request.buyer
    if buyer.limits is not None and isinstance(request, PlaceOrder):
        skus = [(item.sku, item.quantity) for item in order.items]
        figures = OrderFigures(order.currency, order.total_minor, tuple(skus), order.customer_id)
        facts.limits.take(buyer.partner_id, buyer.mode, buyer.limits, figures)


# --- what there is, and who pays --------------------------------------------------------------------------------------


def _fulfil(
    order: Order,
    request: PlaceOrder | PayOrder,
    lines: list[_Line],
    facts: Facts,
    funds: _Funds,
    *,
    allow_partial: bool,
) -> Sale:
    """Give the order what there is and charge for just that; everything is checked before anything is taken."""
    sale = Sale(order, request, funds.name_of(order))
    _count(order, lines, facts, allow_partial=allow_partial, is_payment=isinstance(request, PayOrder))
    if any(line.behaviour in (Behaviour.PENDING, Behaviour.REFUND) for line in lines):
        return _hold(sale, lines, facts, funds)
    for line in lines:
        _add_charge(sale, line)
    if isinstance(request, PlaceOrder) and request.holds_short and not sale.holds:
        _hold_short(sale, lines)
    charge = sale.sale_minor + sale.fee_minor + sale.tax_minor
    funds.check(sale.wallet_name, charge + sale.hold_minor)
    _check_limits(request, order, facts)
    sale.wallet_after = funds.charge(sale.wallet_name, charge)
    for line in lines:
        _take(line, facts, sale, all_or_nothing=not allow_partial and isinstance(request, PlaceOrder))
    order.charged_minor = charge
    order.state = _begun(order.state, state_of([item.state for item in order.items]))
    if sale.hold_minor:
        funds.hold(sale.wallet_name, sale.hold_minor)
    sale.reveals = request.buyer.may_reveal and any(item.delivered for item in order.items)
    if sale.reveals:
        order.revealed_at = facts.now
    return sale


def _count(order: Order, lines: Sequence[_Line], facts: Facts, *, allow_partial: bool, is_payment: bool) -> None:
    """Set how many units each line gets at once, and how many suppliers are to bring.

    Raises OutOfStock: for nothing at all, or for anything short where partial is refused. Who refuses parts may wait for a supplier
    with one item only, because what one supplier has delivered cannot be given back when the next one fails. Raises SuppliersBusy.
    """
    spoken_for: dict[tuple[DenominationId, int], int] = {}
    found = 0
    for line in lines:
        item = line.item
        line.count = _available(line, order.mode, facts, spoken_for)
        if line.count < item.quantity and _is_supplied(line, order.mode, facts):
            line.sourced = item.quantity - line.count
            if not allow_partial and not is_payment:
                if len(lines) > 1:
                    raise OutOfStock(sku=item.sku, line=item.line, available=line.count)
                line.count, line.sourced = 0, item.quantity
        if line.count + line.sourced < item.quantity and not allow_partial:
            raise OutOfStock(sku=item.sku, line=item.line, available=line.count)
        found += line.count + line.sourced
    if facts.suppliers_are_late and any(line.sourced for line in lines):
        raise SuppliersBusy(retry_after=LATE_RETRY_SECONDS)
    if not found:
        raise OutOfStock(skus=" ".join(sorted({line.item.sku for line in lines})))


def _is_supplied(line: _Line, mode: Mode, facts: Facts) -> bool:
    """Whether what is missing of this line can be bought. In test mode the simulated supplier sells all that is not from stock only."""
    if line.behaviour is not Behaviour.REAL:
        return line.behaviour in SUPPLIED
    return not _from_stock(line, facts) and (mode is Mode.TEST or line.item.denomination_id in facts.supplied)


def _from_stock(line: _Line, facts: Facts) -> bool:
    """Whether it is sold from stock only: then no supplier is asked, and test orders get generated codes at once."""
    offer = line.offer or facts.snapshot.denomination(line.item.denomination_id)
    return offer is None or offer.sourcing == "stock"


def _available(line: _Line, mode: Mode, facts: Facts, spoken_for: dict[tuple[DenominationId, int], int]) -> int:
    item, stock = line.item, facts.stock[mode]
    if line.behaviour is Behaviour.OUT_OF_STOCK or line.behaviour in SUPPLIED:
        return 0
    if line.behaviour is Behaviour.PARTIAL:
        return item.quantity // 2
    if line.behaviour is not Behaviour.REAL or (mode is Mode.TEST and _from_stock(line, facts)):
        return item.quantity
    key = (item.denomination_id, item.face_minor)
    taken = spoken_for.get(key, 0)
    count = min(item.quantity, stock.available(item.denomination_id, item.face_minor) - taken)
    if count < item.quantity:
        stock.was_short = True
    spoken_for[key] = taken + count
    return count


def _add_charge(sale: Sale, line: _Line) -> None:
    item, price, count = line.item, line.price, line.count
    sold, fees = price.price_minor * count, price.fee_minor * count
    tax = apply_bps(sold + fees, price.tax_bps) if price.tax_bps else 0
    sale.sale_minor += sold
    sale.fee_minor += fees
    sale.tax_minor += tax
    item.charged_minor = sold + fees + tax
    if line.sourced:
        held = charge_of(item, count + line.sourced) - item.charged_minor
        if held:
            sale.holds.append((item, held))
            sale.hold_minor += held


def _hold_short(sale: Sale, lines: Sequence[_Line]) -> None:
    """Set aside what the missing units would have cost, to be given back as the order is written."""
    for line in lines:
        short = line.item.total_minor - line.item.charged_minor
        if short:
            sale.holds.append((line.item, short))
            sale.hold_minor += short
            sale.void_hold = True


def charge_of(item: OrderItem, count: int) -> int:
    """What ``count`` units of an item cost together, fees and tax included."""
    net = count * (item.unit_price_minor + item.unit_fee_minor)
    return net + apply_bps(net, item.tax_bps)


def _take(line: _Line, facts: Facts, sale: Sale, *, all_or_nothing: bool) -> None:
    item, count = line.item, line.count
    if count and line.behaviour is Behaviour.REAL:
        item.allocations = facts.stock[sale.order.mode].take(item.denomination_id, item.face_minor, count)
        count -= sum([allocation.count for allocation in item.allocations])
    if count:
        sale.generate.append((item, count))
    item.delivered = line.count
    if line.sourced:
        sale.sourced.append((item, line.sourced, all_or_nothing))
        item.state = advance(item.state, S.PROCESSING)
    else:
        item.state = _advanced(item.state, outcome_of(item.quantity, line.count))


def _hold(sale: Sale, lines: list[_Line], facts: Facts, funds: _Funds) -> Sale:
    """The sandbox's waiting orders: money is held, and either stays held (pending) or is given back at once (refund)."""
    order = sale.order
    total = order.total_minor
    funds.check(sale.wallet_name, total)
    _check_limits(sale.request, order, facts)
    sale.hold_minor = total
    sale.holds = [(item, item.total_minor) for item in order.items]
    sale.wallet_after = funds.balance(sale.wallet_name)
    if any(line.behaviour is Behaviour.PENDING for line in lines):
        funds.hold(sale.wallet_name, total)
        return sale
    sale.void_hold = True
    for line in lines:
        line.item.state = _advanced(line.item.state, S.FAILED)
    order.state = _advanced(order.state, S.FAILED)
    return sale


def _begun(current: OrderState, then: OrderState) -> OrderState:
    """The order's state after its payment: PROCESSING, unless what came of it is known already."""
    return advance(current, S.PROCESSING) if then is S.PROCESSING else _advanced(current, then)


def _advanced(current: OrderState, final: OrderState) -> OrderState:
    return advance(current, S.PROCESSING, final)


class _Funds:
    """Working copy of the wallets: what each may still spend, and its posted balance, as the batch goes on."""

    def __init__(self, wallets: Mapping[AccountName, Wallet]) -> None:
        self._spendable = {name: one.spendable for name, one in wallets.items()}
        self._balance = {name: one.balance for name, one in wallets.items()}
        self._names: dict[tuple[str, Mode, str], AccountName] = {}

    def name_of(self, order: Order) -> AccountName:
        key = (order.partner_id, order.mode, order.currency)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = wallet(order.partner_id, order.currency, order.mode)
        return name

    def balance(self, name: AccountName) -> int:
        return self._balance.get(name, 0)

    def check(self, name: AccountName, amount: int) -> None:
        """Raises InsufficientFunds."""
        if amount > self._spendable.get(name, 0):
            raise InsufficientFunds(needed_minor=amount, available_minor=self._spendable.get(name, 0))

    def charge(self, name: AccountName, amount: int) -> int:
        """Take the amount; the posted balance after it."""
        if amount:
            self._spendable[name] -= amount
            self._balance[name] -= amount
        return self._balance.get(name, 0)

    def hold(self, name: AccountName, amount: int) -> None:
        self._spendable[name] -= amount


# --- new rows ---------------------------------------------------------------------------------------------------------


def _new_item(number: int, one: ItemRequest, offer: Offer, face: int, price: UnitPrice) -> OrderItem:
    return OrderItem(
        line=number,
        sku=one.sku,
        denomination_id=offer.denomination_id,
        name=offer.name,
        state=S.PLACED,
        quantity=one.quantity,
        delivered=0,
        face_minor=face,
        face_currency=offer.currency.code,
        unit_price_minor=price.price_minor,
        unit_fee_minor=price.fee_minor,
        tax_bps=price.tax_bps,
        total_minor=line_total(price, one.quantity),
        charged_minor=0,
        fx_rate_e10=price.fx_rate_e10,
        fields=one.fields,
    )


def _new_order(request: PlaceOrder, items: list[OrderItem], total: int, facts: Facts) -> Order:
    buyer = request.buyer
    return Order(
        id=request.order_id,
        partner_id=buyer.partner_id,
        mode=buyer.mode,
        state=S.PLACED,
        currency=buyer.currency,
        total_minor=total,
        charged_minor=0,
        refunded_minor=0,
        reference=request.reference,
        customer_id=request.customer_id,
        quote_id=request.quote_id,
        pay_until=None,
        details=request.details,
        created_at=facts.now,
        updated_at=facts.now,
        revealed_at=None,
        version=1,
        items=items,
        number=request.number,
    )


def _price_of(item: OrderItem, order: Order) -> UnitPrice:
    """The price that was fixed when the unpaid order was placed."""
    return UnitPrice.fixed(item.unit_price_minor, item.unit_fee_minor, item.tax_bps, order.currency, None)
