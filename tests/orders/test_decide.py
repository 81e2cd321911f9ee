"""``decide`` against a model that is slow and obvious: one request at a time, each code an object in a list, money in a dict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cardrail.access import Limits, LimitsBook
from cardrail.catalog import Brand, CatalogSnapshot, Offer, PriceRule, Product, Quote, QuoteLine, UnitPrice
from cardrail.kernel import (
    BrandId,
    DenominationId,
    Mode,
    Money,
    OrderId,
    PartnerId,
    PriceRuleId,
    ProductId,
    QuoteId,
    Reference,
    currency,
    from_micros,
)
from cardrail.ledger import AccountName, Wallet, wallet
from cardrail.orders import (
    Buyer,
    ItemRequest,
    Order,
    OrderRequest,
    OrderState,
    Outcome,
    PayOrder,
    Placed,
    PlaceOrder,
    Refused,
    Repeated,
    place_order_command,
)
from cardrail.orders.decide import Facts, Known, Plan, decide
from cardrail.vault import NEVER, OpenSlice, Stock

NOW = 1_767_268_800_000_000
INR = currency("INR")
S = OrderState

# --- what is sold ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ware:
    """A sku and its price, as the model knows them: percent off, fee a unit, tax percent; a face value of None is a range 10 to 50."""

    sku: str
    face: int | None
    off: Fraction
    fee: int = 0
    tax: Fraction = Fraction(0)
    is_retired: bool = False


WARES = {
    one.sku: one
    for one in (
        Ware("TEA", 10_000, Fraction(5, 100)),
        Ware("BOOKS", 3_333, Fraction(35, 1000), fee=7, tax=Fraction(19, 100)),
        Ware("SHOES", None, Fraction(35, 1000)),
        Ware("OLD", 10_000, Fraction(0), is_retired=True),
    )
}


def offer(ware: Ware) -> Offer:
    return Offer(
        sku=ware.sku,
        denomination_id=DenominationId(f"den_{ware.sku}"),
        product_id=ProductId(f"prd_{ware.sku}"),
        brand_id=BrandId("brd_1"),
        product_code=ware.sku,
        name=ware.sku,
        kind="code",
        type="range" if ware.face is None else "fixed",
        face_minor=ware.face,
        min_minor=None if ware.face else 1_000,
        max_minor=None if ware.face else 5_000,
        step_minor=None if ware.face else 1_000,
        currency=INR,
        sourcing="stock",
        input_fields=(),
        cost_minor=None,
        cost_bps=None,
        cost_currency=None,
        is_sellable=not ware.is_retired,
    )


def product(ware: Ware) -> Product:
    return Product(
        id=ProductId(f"prd_{ware.sku}"),
        number=1,
        code=ware.sku,
        name=ware.sku,
        brand=Brand(BrandId("brd_1"), 1, "b", "B"),
        category=None,
        kind="code",
        classification="CLOSED_LOOP",
        delivery_mode="ONLINE",
        sourcing="stock",
        currency=INR,
        countries=("IN",),
        image_url=None,
        validity_days=None,
        input_fields=(),
        translations={},
        created_at=from_micros(NOW),
        updated_at=from_micros(NOW),
        retired_at=None,
        offers=(offer(ware),),
    )


def price_rule(ware: Ware) -> PriceRule:
    return PriceRule(
        PriceRuleId(f"prc_{ware.sku}"),
        None,
        None,
        None,
        DenominationId(f"den_{ware.sku}"),
        "discount",
        int(ware.off * 10_000),
        fee_minor=ware.fee,
        tax_bps=int(ware.tax * 10_000),
    )


SNAPSHOT = CatalogSnapshot(
    version=1,
    day=date(2026, 1, 1),
    products=[product(one) for one in WARES.values()],
    brands=[],
    categories=[],
    rules=[price_rule(one) for one in WARES.values()],
    rates=[],
)


def half_up(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


# --- the model ---------------------------------------------------------------------------------------------------------


@dataclass
class Code:
    """One code: where it lies, until when it is good, and who has it."""

    sku: str
    face: int
    mode: Mode
    lot: str
    seq: int
    expires_at: int
    owner: str | None = None

    @property
    def rank(self) -> tuple[int, str, int]:
        return (self.expires_at, self.lot, self.seq)


@dataclass
class Line:
    """One line of an order in the model."""

    sku: str
    face: int
    quantity: int
    unit: int
    fee: int
    tax: Fraction

    def cost(self, count: int) -> int:
        """Of ``count`` units."""
        net = count * (self.unit + self.fee)
        return net + half_up(net * self.tax)


@dataclass
class Answer:
    """What the model says to a request: a refusal's code, an old order's id, or what was placed."""

    refused: str | None = None
    repeated: str | None = None
    state: str = ""
    charged: list[int] = field(default_factory=list)
    codes: list[list[tuple[str, int] | None]] = field(default_factory=list)
    """(lot, seq) of each unit of each line in the order of giving; None is a generated one."""


class No(Exception):
    """The model refuses."""


@dataclass
class Model:
    """The whole shop, with nothing clever in it."""

    codes: list[Code]
    money: dict[str, int]
    """Wallet → what may be spent."""
    posted: dict[str, int]
    """Wallet → balance."""
    quotes: dict[str, Quote]
    quote_used_by: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[Any, ...], tuple[str, Any]] = field(default_factory=dict)
    """(partner, mode, kind, text) → (order, what was asked)."""
    unpaid: dict[str, tuple[Buyer, list[Line], str]] = field(default_factory=dict)
    """Order → whose, its lines, its state."""
    new_unpaid: dict[str, tuple[Buyer, list[Line], str]] = field(default_factory=dict)
    """Of this batch: nobody knows their ids before it is answered."""
    used: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(partner, mode, what) → how much of it today."""

    def answers(self, batch: Sequence[OrderRequest]) -> list[Answer]:
        found = [self.answer(request) for request in batch]
        self.unpaid |= self.new_unpaid
        self.new_unpaid = {}
        return found

    def answer(self, request: OrderRequest) -> Answer:
        try:
            return self.pay(request) if isinstance(request, PayOrder) else self.place(request)
        except No as refusal:
            return Answer(refused=str(refusal))

    def place(self, request: PlaceOrder) -> Answer:
        asked = request.fingerprint
        known = {kind: self.keys.get((request.buyer.partner_id, request.buyer.mode, mark)) for kind, mark in marks(request)}
        first = known.get("key") or (known.get("reference") if request.key_hash is None else None)
        if first is not None:
            if first[1] != asked:
                raise No("idempotency_conflict")
            return Answer(repeated=first[0])
        if known.get("reference"):
            raise No("reference_used")
        lines = self.price(request)
        total = sum(line.cost(line.quantity) for line in lines)
        if request.max_total is not None and total > request.max_total.minor:
            raise No("price_changed")
        if request.pay_later:
            self.count(request, total)
            self.new_unpaid[request.order_id] = (request.buyer, lines, "PLACED")
            answer = Answer(state="PLACED", charged=[0 for _ in lines], codes=[[] for _ in lines])
        else:
            answer = self.deliver(request.order_id, request.buyer, lines, part=request.allow_partial, request=request)
        for _, mark in marks(request):
            self.keys[(request.buyer.partner_id, request.buyer.mode, mark)] = (request.order_id, asked)
        if request.quote_id is not None:
            self.quote_used_by[request.quote_id] = request.order_id
        return answer

    def pay(self, request: PayOrder) -> Answer:
        buyer, lines, state = self.unpaid.get(request.order_id, (None, [], ""))
        if buyer is None or (buyer.partner_id, buyer.mode) != (request.buyer.partner_id, request.buyer.mode):
            raise No("order_not_found")
        if state not in {"PLACED", "FAILED"}:  # paid, whatever it waits for
            return Answer(repeated=request.order_id)
        if state != "PLACED":
            raise No("not_payable")
        answer = self.deliver(request.order_id, buyer, lines, part=False, request=None)
        self.unpaid[request.order_id] = (buyer, lines, answer.state if answer.state != "PLACED" else "WAITING")
        return answer

    def price(self, request: PlaceOrder) -> list[Line]:
        quote = self.check_quote(request) if request.quote_id is not None else None
        lines = []
        for number, one in enumerate(request.items):
            ware = WARES.get(one.sku)
            if one.sku.startswith("TEST_") and request.buyer.mode is Mode.TEST:
                lines.append(Line(one.sku, 1_000, one.quantity, 1_000, 0, Fraction(0)))
                continue
            if ware is None or ware.is_retired:
                raise No("unknown_sku")
            face = self.face(ware, one.face.minor if one.face else None)
            unit = half_up(face * (1 - ware.off))
            line = Line(one.sku, face, one.quantity, unit, ware.fee, ware.tax)
            if quote is not None:
                line.unit, line.fee, line.tax = quote.lines[number].price.price_minor, 0, Fraction(0)
            lines.append(line)
        return lines

    @staticmethod
    def face(ware: Ware, asked: int | None) -> int:
        if ware.face is not None:
            if asked not in (None, ware.face):
                raise No("invalid_face_value")
            return ware.face
        if asked is None:
            raise No("face_value_required")
        if asked not in (1_000, 2_000, 3_000, 4_000, 5_000):
            raise No("invalid_face_value")
        return asked

    def check_quote(self, request: PlaceOrder) -> Quote:
        quote = self.quotes.get(request.quote_id or "")
        if quote is None or (quote.partner_id, quote.mode) != (request.buyer.partner_id, request.buyer.mode):
            raise No("quote_not_found")
        if quote.id in self.quote_used_by:
            raise No("quote_used")
        if quote.expires_at <= from_micros(NOW):
            raise No("quote_expired")
        asked = [(one.sku, one.quantity) for one in request.items]
        if asked != [(line.sku, line.quantity) for line in quote.lines]:
            raise No("quote_mismatch")
        return quote

    def deliver(self, order_id: str, buyer: Buyer, lines: list[Line], *, part: bool, request: PlaceOrder | None) -> Answer:
        found = [self.find(buyer.mode, line, lines[:number]) for number, line in enumerate(lines)]
        counts = [len(one) for one in found]
        short = any(count < line.quantity for count, line in zip(counts, lines, strict=True))
        if not any(counts) or (short and not part):
            raise No("out_of_stock")
        waits = {"TEST_PENDING", "TEST_REFUND"} & {line.sku for line in lines}
        charges = [line.cost(line.quantity if waits else count) for line, count in zip(lines, counts, strict=True)]
        purse = wallet(buyer.partner_id, "INR", buyer.mode)
        if sum(charges) > self.money[purse]:
            raise No("insufficient_funds")
        if request is not None:
            self.count(request, sum(line.cost(line.quantity) for line in lines))
        if waits:
            if "TEST_PENDING" in waits:
                self.money[purse] -= sum(charges)
            return Answer(
                state="PLACED" if "TEST_PENDING" in waits else "FAILED", charged=[0 for _ in lines], codes=[[] for _ in lines]
            )
        self.money[purse] -= sum(charges)
        self.posted[purse] -= sum(charges)
        for one in found:
            for code in one:
                if code is not None:
                    code.owner = order_id
        state = "PARTIALLY_FULFILLED" if short else "FULFILLED"
        return Answer(state=state, charged=charges, codes=[[(c.lot, c.seq) if c else None for c in one] for one in found])

    def find(self, mode: Mode, line: Line, before: list[Line]) -> list[Code | None]:
        """The codes that the line gets, soonest expiry first; what the lines before it get is theirs."""
        if line.sku.startswith("TEST_"):
            came = {"TEST_PARTIAL": line.quantity // 2, "TEST_OUT_OF_STOCK": 0}.get(line.sku, line.quantity)
            return [None] * came
        free = sorted(
            [one for one in self.codes if (one.sku, one.face, one.mode, one.owner) == (line.sku, line.face, mode, None)],
            key=lambda one: one.rank,
        )
        free = [one for one in free if one.expires_at > NOW]
        spoken_for = sum(one.quantity for one in before if (one.sku, one.face) == (line.sku, line.face))
        mine: list[Code | None] = [*free[spoken_for : spoken_for + line.quantity]]
        return mine + [None] * (line.quantity - len(mine)) if mode is Mode.TEST else mine

    def count(self, request: PlaceOrder, total: int) -> None:
        limits, who = request.buyer.limits, (request.buyer.partner_id, request.buyer.mode.value)
        if limits is None:
            return
        added = Counter({(*who, "orders"): 1, (*who, "amount"): total})
        for one in request.items:
            added[*who, one.sku] += one.quantity
        after = self.used + added
        if (
            total > limits.order_amount_minor_max["INR"]
            or after[*who, "orders"] > (limits.orders_per_day_max or 0)
            or after[*who, "amount"] > limits.amount_minor_per_day_max["INR"]
            or any(after[*who, one.sku] > (limits.quantity_per_sku_per_day_max or 0) for one in request.items)
        ):
            raise No("limit_exceeded")
        self.used = after


def marks(request: PlaceOrder) -> list[tuple[str, bytes]]:
    given_ = (("key", request.key_hash), ("reference", request.reference_hash))
    return [(kind, mark) for kind, mark in given_ if mark is not None]


# --- the same shop as facts ---------------------------------------------------------------------------------------------


@dataclass
class Shelf:
    """What ``decide`` is given between batches, built from nothing but what it answered before."""

    slices: list[OpenSlice]
    wallets: dict[str, Wallet]
    quotes: dict[QuoteId, Quote]
    known_keys: dict[bytes, Known] = field(default_factory=dict)
    known_references: dict[bytes, Known] = field(default_factory=dict)
    unpaid: dict[OrderId, Order] = field(default_factory=dict)
    limits: LimitsBook = field(default_factory=LimitsBook)

    def decide(self, requests: Sequence[OrderRequest]) -> Plan:
        facts = Facts(
            now=NOW,
            access_version=1,
            snapshot=SNAPSHOT,
            wallets=self.wallets,  # type: ignore[arg-type]  # names are texts here
            stock={mode: Stock([one for one in self.slices if one.mode is mode], NOW) for mode in Mode},
            known_keys=self.known_keys,
            known_references=self.known_references,
            quotes=self.quotes,
            unpaid=self.unpaid,
            limits=self.limits,
            pay_until=NOW + 1,
        )
        plan = decide(requests, facts)
        self.keep(plan)
        return plan

    def keep(self, plan: Plan) -> None:
        """What saving would do."""
        heads = {slice_id: head for stock in plan.facts.stock.values() for head, slice_id, _ in stock.moved()}
        for one in self.slices:
            one.head = heads.get(one.id, one.head)
        for sale in plan.sales:
            purse = self.wallets[sale.wallet_name]
            purse.debits_posted += sale.sale_minor + sale.fee_minor + sale.tax_minor
            assert sale.hold_minor == 0 or purse.balance == sale.wallet_after
            purse.debits_pending += 0 if sale.void_hold else sale.hold_minor
            if sale.order.pay_until is not None:
                self.unpaid[sale.order.id] = sale.order


# --- what is asked ------------------------------------------------------------------------------------------------------

LIMITS = Limits({"INR": 50_000}, {"INR": 90_000}, orders_per_day_max=4, quantity_per_sku_per_day_max=6)
QUOTED = {
    "quo_1": [("TEA", 2, 9_000)],
    "quo_2": [("TEA", 1, 9_999), ("BOOKS", 1, 1)],
    "quo_late": [("TEA", 2, 9_000)],
    "quo_none": [("TEA", 2, 9_000)],
}
"""Quotes of the first partner's live key: sku, quantity, unit price. One is too late, and one does not exist."""
BUYERS = [
    Buyer(PartnerId(partner), mode, "INR", "key_1", limits=limits)
    for partner, limits in (("par_1", None), ("par_2", LIMITS))
    for mode in Mode
]
QUANTITIES = st.integers(1, 4)


def rarely(draw: st.DrawFn, usual: Any, *others: Any) -> Any:
    """Mostly the usual, now and then something else: refusals are easily had, and orders that go through are what is worth checking."""
    return draw(st.sampled_from([usual] * 6 + list(others)))


def money(minor: int | None) -> Money | None:
    return Money(minor, INR) if minor is not None else None


@st.composite
def items(draw: st.DrawFn) -> ItemRequest:
    sku = rarely(draw, draw(st.sampled_from(["TEA", "BOOKS", "SHOES"])), "OLD", "NONE", "TEST_OK", "TEST_PARTIAL")
    sku = rarely(draw, sku, draw(st.sampled_from(["TEST_REFUND", "TEST_PENDING"])))
    face = rarely(draw, 1_000, 2_000, 2_500, 6_000, None) if sku == "SHOES" else None
    return ItemRequest(sku, draw(QUANTITIES), money(face if sku != "TEA" else rarely(draw, None, 10_000, 9_999)))


@st.composite
def placings(draw: st.DrawFn, order_id: OrderId) -> PlaceOrder:
    quote_id = rarely(draw, None, *QUOTED)
    lines = tuple(draw(st.lists(items(), min_size=1, max_size=3)))
    buyer = draw(st.sampled_from(BUYERS))
    if quote_id is not None and rarely(draw, True, False):
        lines = tuple(ItemRequest(sku, quantity) for sku, quantity, _ in QUOTED[quote_id])
        buyer = rarely(draw, BUYERS[0], BUYERS[1], BUYERS[2])
    return place_order_command(
        order_id,
        buyer,
        lines,
        key=draw(st.sampled_from([None, None, "k1", "k2", "k3"])),
        reference=draw(st.sampled_from([None, None, None, Reference("r1"), Reference("r2")])),
        allow_partial=draw(st.booleans()),
        max_total=money(rarely(draw, None, 15_000, 40_000)),
        quote_id=quote_id,
        pay_later=rarely(draw, False, True),
    )


@st.composite
def batches(draw: st.DrawFn) -> list[list[OrderRequest]]:
    """A few batches; a request may be an earlier one again, and orders are paid by whoever likes."""
    earlier: list[PlaceOrder] = []
    made: list[list[OrderRequest]] = []
    for _ in range(draw(st.integers(1, 3))):
        batch: list[OrderRequest] = []
        for _ in range(draw(st.integers(1, 9))):
            kind = draw(st.sampled_from("pppppppry"))
            if kind == "p" or not earlier:
                earlier.append(draw(placings(OrderId(f"ord_{len(earlier):02}"))))
                batch.append(earlier[-1])
            elif kind == "r" and any(marks(one) for one in earlier):
                batch.append(draw(st.sampled_from([one for one in earlier if marks(one)])))
            else:
                owner = draw(st.sampled_from([one for one in earlier if one.pay_later] or earlier))
                batch.append(PayOrder(owner.order_id, rarely(draw, owner.buyer, *BUYERS)))
        made.append(batch)
    return made


@st.composite
def shops(draw: st.DrawFn) -> tuple[Model, Shelf]:
    """Stock in several slices, wallets from poor to rich, three quotes: for the model and for ``decide``."""
    codes: list[Code] = []
    slices: list[OpenSlice] = []
    for number in range(draw(st.integers(0, 9))):
        sku = draw(st.sampled_from(["TEA", "TEA", "TEA", "BOOKS", "SHOES"]))
        face = WARES[sku].face or draw(st.sampled_from([1_000, 1_000, 2_000]))
        mode = draw(st.sampled_from([Mode.LIVE, Mode.LIVE, Mode.TEST]))
        expires_at = draw(st.sampled_from([NEVER, NEVER, NOW + 1, NOW + 1_000, NOW]))
        head, count, lot = draw(st.integers(0, 3)), draw(st.integers(0, 6)), f"lot_{number * 7 % 10}"
        codes += [Code(sku, face, mode, lot, seq, expires_at) for seq in range(head, head + count)]
        shelf = (f"slc_{9 - number}", lot, f"den_{sku}", face, mode, expires_at, head, head + count)
        slices.append(OpenSlice(*shelf, False, b"", 1, 0, 100, None))
    funds: dict[str, int] = {
        wallet(buyer.partner_id, "INR", buyer.mode): rarely(draw, 10**7, 0, 9_500, 30_000, 60_000) for buyer in BUYERS
    }
    quotes = [quote(name, lines, NOW if name == "quo_late" else NOW + 1) for name, lines in QUOTED.items() if name != "quo_none"]
    model = Model(codes, dict(funds), dict(funds), {one.id: one for one in quotes})
    wallets = {name: Wallet(AccountName(name), "INR", 0, 0, amount, 0, 0) for name, amount in funds.items()}
    return model, Shelf(slices, wallets, {one.id: one for one in quotes})


def quote(quote_id: str, lines: list[tuple[str, int, int]], expires_at: int) -> Quote:
    """A quote of the first partner's live key, at made-up prices."""
    priced = tuple(
        QuoteLine(sku, quantity, WARES[sku].face or 0, INR, UnitPrice.fixed(unit, 0, 0, "INR", None))
        for sku, quantity, unit in lines
    )
    total = sum(line.total_minor for line in priced)
    made = from_micros(NOW - 1_000)
    return Quote(QuoteId(quote_id), PartnerId("par_1"), Mode.LIVE, INR, total, priced, made, from_micros(expires_at))


# --- the comparison -----------------------------------------------------------------------------------------------------


def told(outcome: Outcome) -> Answer:
    """The outcome in the model's words."""
    if isinstance(outcome, Refused):
        return Answer(refused=getattr(outcome.error, "code", repr(outcome.error)))
    if isinstance(outcome, Repeated):
        return Answer(repeated=outcome.order_id)
    assert isinstance(outcome, Placed)
    order = outcome.order
    codes: list[list[tuple[str, int] | None]] = []
    for item in order.items:
        seqs: list[tuple[str, int] | None] = [
            (one.lot_id, seq) for one in item.allocations for seq in range(one.first_seq, one.first_seq + one.count)
        ]
        codes.append(seqs + [None] * (item.delivered - len(seqs)))
    return Answer(state=order.state.value, charged=[item.charged_minor for item in order.items], codes=codes)


@settings(max_examples=3 * settings.default.max_examples)  # type: ignore[union-attr]  # there is a default
@given(shops(), batches())
def test_decide_does_what_the_obvious_model_does(shop: tuple[Model, Shelf], asked: list[list[OrderRequest]]) -> None:
    model, shelf = shop
    for batch in asked:
        expected, plan = model.answers(batch), shelf.decide(batch)
        for request, answer, outcome in zip(batch, expected, plan.outcomes, strict=True):
            assert told(outcome) == answer, request
        assert {name: one.spendable for name, one in shelf.wallets.items()} == model.money
        assert {name: one.balance for name, one in shelf.wallets.items()} == model.posted
        unsold = {(one.lot_id, seq) for one in shelf.slices for seq in range(one.head, one.tail)}
        assert unsold == {(one.lot, one.seq) for one in model.codes if one.owner is None}
        for sale in plan.sales:
            order = sale.order
            assert (
                sale.sale_minor + sale.fee_minor + sale.tax_minor
                == order.charged_minor
                == sum(i.charged_minor for i in order.items)
            )
