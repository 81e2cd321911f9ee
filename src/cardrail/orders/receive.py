"""Writing down what a supplier answered: one transaction for the attempt, the codes, the money, the order's state and its event.

A code becomes readable in the transaction that posts its price. Codes for which nobody waits any more become stock. The order of locks
is everybody's: the wallet, the order, then what waits for suppliers and its attempts, lots, and last the supplier's health.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import structlog

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import HoldId, Mode, OrderId, PlainCode, from_micros, share, to_micros
from cardrail.ledger import Postings, Purpose, TransferPurpose, load_wallets, platform, supplier_account, void_hold, wallet
from cardrail.orders import store
from cardrail.orders.buying import SIMULATED, Buying
from cardrail.orders.decide import charge_of
from cardrail.orders.history import Change, write_changes
from cardrail.orders.journal import journal_entry
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.save import TEST_BRAND, Books
from cardrail.orders.states import OrderState, advance, outcome_of, state_of
from cardrail.sourcing import (
    OPEN_MICROS,
    Accepted,
    Answered,
    Attempt,
    AttemptState,
    Delivered,
    LookupOutcome,
    Procurement,
    ProcurementState,
    RefusalKind,
    Unknown,
    after_call,
    after_late_answer,
    after_purchase,
    after_strange_codes,
    is_order_of_another,
    is_overdue,
    load_attempts,
    load_procurements,
    lock_attempts,
    lock_healths,
    lock_procurements,
    note_cost,
    save_attempts,
    save_healths,
    save_procurement,
    save_procurements,
    take_stock,
    tell_supplier,
    told,
)
from cardrail.storage import Tx, is_unique_violation
from cardrail.vault import NEVER, Allocation, BoundCodes, ExceptionKind, append_bound_codes, mark_exceptions, stock_late_codes

log = structlog.get_logger("cardrail.procure")

S: Final = OrderState
ACTOR: Final = "system"
NO_MORE: Final = 2**53
"""What is taken off the stock of a supplier that says it has none."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a call came to, and what it makes of the attempt."""

    outcome: LookupOutcome | None
    change: Callable[[Attempt, int], Attempt]
    answered: Answered | None
    wait_seconds: float | None = None
    latency_us: int | None = None
    open_us: int = OPEN_MICROS
    """How long the supplier's circuit breaker stays open, if this opens it."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call came to, and of what."""

    snapshot: CatalogSnapshot
    seen: Order
    asked: Attempt
    call: Call
    now: datetime


def receive(buying: Buying, snapshot: CatalogSnapshot, seen: Order, asked: Attempt, call: Call) -> bool:
    """Write down what came of a call; whether nothing of the order waits any more. What comes at the same time is written together.

    Where somebody else has asked about the attempt or ended it meanwhile, what came is out of date: no answer but codes counts then. Codes
    are kept whatever the attempt has come to, unless they are there.
    """
    answer = _Answer(snapshot, seen, asked, call, buying.clock.now())
    changed, is_done = _receive_together(buying, answer)
    if changed is not None:
        buying.write_journal([journal_entry(changed, to_micros(answer.now))])
    return is_done


def _receive_together(buying: Buying, answer: _Answer) -> tuple[Order | None, bool]:
    """``_receive``, again where somebody else stored one of its codes at the same moment: now it is seen that the vault has it."""

    def write() -> tuple[Order | None, bool]:
        return buying.write_together(answer.seen.id, answer, lambda tx, answers: _receive(tx, buying, answers))

    try:
        return write()
    except Exception as error:
        if not is_unique_violation(error):
            raise
    return write()


def _receive(tx: Tx, buying: Buying, answers: Sequence[_Answer]) -> list[tuple[Order | None, bool]]:
    """For each answer the order, if codes were given to it, and whether all is done. Each answer is of another order.

    They are gone through in the order in which everybody takes the lots' locks.
    """
    sheet = _Sheet.open(tx, buying, answers)
    found = {}
    for one in sorted(
        answers, key=lambda one: (one.asked.supplier_id, one.asked.denomination_id, one.asked.face_minor, one.seen.id)
    ):
        found[one.seen.id] = sheet.take(one)
    sheet.write()
    return [found[one.seen.id] for one in answers]


_Ended = tuple[Attempt, Attempt, Call, int, bool]
"""(the attempt as it was asked about, as it stands, what was called, when it ended, whether it counted), for the suppliers' health."""


@dataclass(slots=True)
class _Sheet:
    """What several answers change, read at once, and written at once at the end."""

    tx: Tx
    buying: Buying
    orders: dict[str, Order]
    procurements: dict[str, list[Procurement]]
    attempts: dict[str, list[Attempt]]
    postings: Postings
    bound: BoundCodes
    saved_attempts: list[tuple[Attempt, AttemptState]] = field(default_factory=list)
    saved_procurements: list[Procurement] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    calls: list[_Ended] = field(default_factory=list)

    @classmethod
    def open(cls, tx: Tx, buying: Buying, answers: Sequence[_Answer]) -> _Sheet:
        """Lock and load all that the answers are about."""
        ids = sorted({one.seen.id for one in answers})
        wallets = load_wallets(tx, {wallet(one.seen.partner_id, one.seen.currency, one.seen.mode) for one in answers})
        orders: dict[str, Order] = {one.id: one for one in store.load_orders(tx, ids, lock=True)}
        procurements = lock_procurements(tx, ids)
        attempts = lock_attempts(tx, ids)
        holds = [item.hold_id for one in orders.values() for item in one.items if item.hold_id is not None]
        bound = BoundCodes(tx, buying.books.keyring, node=buying.books.node, actor=ACTOR)
        codes: list[tuple[str, PlainCode]] = []
        for one in answers:
            if isinstance(one.call.outcome, Delivered):
                order = orders[one.seen.id]
                item = next(item for item in order.items if item.line == one.asked.line)
                codes += [(_brand_of(one.snapshot, order, item), code) for code in one.call.outcome.codes]
        bound.look_for(codes)
        postings = Postings.of(tx, wallets, holds if codes else ())
        return cls(tx, buying, orders, procurements, attempts, postings, bound)

    def take(self, answer: _Answer) -> tuple[Order | None, bool]:
        """The order, if codes were given to it; and whether all is done."""
        call, asked, now, at = answer.call, answer.asked, answer.now, to_micros(answer.now)
        order = self.orders[answer.seen.id]
        procurements = self.procurements[order.id]
        waiting = next(one for one in procurements if one.line == asked.line)
        item = next(one for one in order.items if one.line == asked.line)
        known = next(one for one in self.attempts[order.id] if one.id == asked.id)
        given = False
        has_codes = isinstance(call.outcome, Delivered)
        ended = known.state in (AttemptState.DELIVERED, AttemptState.INVALIDATED)
        is_stale = call.outcome is not None and not has_codes and (known.state, known.looks) != (asked.state, asked.looks)
        is_ours = not ended if has_codes else known.is_open and not is_stale
        if is_stale:
            late = _late(known, call.outcome, at)
            self._save(late, known.state)
            if late.is_open and not known.is_open:
                log.warning(
                    "a purchase that was given up is at the supplier after all", attempt=known.id, supplier=known.supplier_id
                )
                waiting = self._settle(order, item, waiting, at, has_changed=False)
            known = late
        if isinstance(call.outcome, Delivered) and ended:
            receipt = _Receipt(self, answer.snapshot, order, item, waiting, known, known, call.outcome, now)
            self._save(receipt.keep_after_the_end(), known.state)
        elif is_ours:
            attempt = replace(call.change(known, at), leased_until=None)
            if isinstance(call.outcome, Delivered) and attempt.state is AttemptState.DELIVERED:
                receipt = _Receipt(self, answer.snapshot, order, item, waiting, known, attempt, call.outcome, now)
                attempt, waiting = receipt.keep()
                given = receipt.given > 0
            self._save(attempt, known.state)
            waiting = self._settle(order, item, waiting, at, has_changed=isinstance(call.outcome, Delivered))
            known = attempt
        self.calls.append((asked, known, call, at, is_ours))
        is_done = all(one.state is ProcurementState.DONE for one in procurements if one.line != asked.line)
        return order if given else None, is_done and waiting.state is ProcurementState.DONE

    def write(self) -> None:
        """Write what changed. The codes' lots and the wallets are locked; the other accounts and the suppliers' health come last."""
        tx = self.tx
        self.bound.write()
        save_attempts(tx, self.saved_attempts)
        save_procurements(tx, self.saved_procurements)
        write_changes(tx, self.changes, actor=ACTOR)
        self.postings.write()
        _note_health(tx, self.calls)

    def is_order_of_another(self, attempt: Attempt, number: str) -> bool:
        """Whether the supplier's number is that of another attempt, also of one whose answer came together with this one's."""
        mine = (attempt.supplier_id, number)
        if any((one.supplier_id, one.supplier_order_id) == mine and one.id != attempt.id for one, _ in self.saved_attempts):
            return True
        return is_order_of_another(self.tx, attempt.supplier_id, number, but=attempt.id)

    def _save(self, attempt: Attempt, from_state: AttemptState) -> None:
        self.saved_attempts.append((attempt, from_state))
        self.attempts[attempt.order_id] = [attempt if one.id == attempt.id else one for one in self.attempts[attempt.order_id]]

    def _settle(self, order: Order, item: OrderItem, waiting: Procurement, at: int, *, has_changed: bool) -> Procurement:
        """The item's and the order's state, as the attempts now say."""
        before = item.state
        own = [one for one in self.attempts[order.id] if one.line == item.line]
        waiting, because = _settled(item, waiting, own, at)
        self.saved_procurements.append(waiting)
        if has_changed or item.state is not before:
            self.changes.append(_changed(order, because, at))
        return waiting


def _late(known: Attempt, outcome: LookupOutcome | None, at: int) -> Attempt:
    """The attempt after an answer that is out of date."""
    if not isinstance(outcome, (Accepted, Unknown)) or outcome.supplier_order_id is None or known.supplier_order_id is not None:
        return known
    return after_late_answer(known, outcome.supplier_order_id, at)


# --- codes and money --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Receipt:
    """Codes that came, on their way into the vault and the books."""

    sheet: _Sheet
    snapshot: CatalogSnapshot
    order: Order
    item: OrderItem
    waiting: Procurement
    before: Attempt
    attempt: Attempt
    delivered: Delivered
    now: datetime
    given: int = 0

    def keep(self) -> tuple[Attempt, Procurement]:
        """Give the item what it waits for, make stock of the rest, and book what all of it cost."""
        codes, known = self.sheet.bound.split_known(self._brand_id, self.delivered.codes)
        if self._is_topup:
            codes, known = [*codes, *self._told_apart(known)], []
        if known and not codes and self._is_strange(known):
            number = None if self._is_anothers() else self.delivered.supplier_order_id
            return after_strange_codes(self.before, number, to_micros(self.now)), self.waiting
        wanted = self._wanted(len(codes))
        mine, late = codes[:wanted], codes[wanted:]
        cost = self.attempt.cost_minor or 0
        kept = len(mine) + len(late)
        if mine:
            allocation = self._bind(mine, self._expires_at)
            if self.item.allocations:
                insert_allocation(self.sheet.tx, self.order, self.item, allocation)
            self.item.allocations.append(allocation)
            post_units(self.sheet.postings, self.order, self.item, self.item.delivered + len(mine), node=self._node, now=self.now)
        late_cost = share(cost, kept, len(mine), len(late)) if kept else 0
        if late and self._is_topup:
            self._keep_receipts(late, late_cost)
        elif late:
            self._stock(late, late_cost)
        self._book_cost(cost - late_cost)
        attempt = self.attempt
        at = to_micros(self.now)
        if known:
            attempt = told(attempt, f"{len(known)} of the codes were in the vault already: they are not given out again", at)
        if late and self._is_topup:
            attempt = told(
                attempt, f"{len(late)} top-ups were delivered when they had been given up: their cost is written off", at
            )
        elif late:
            attempt = told(attempt, f"{len(late)} codes came too late, and are in stock now", at)
        waiting = replace(self.waiting, delivered=self.waiting.delivered + len(mine))
        self.given = len(mine)
        return replace(attempt, delivered=min(len(mine), attempt.quantity)), waiting

    def keep_after_the_end(self) -> Attempt:
        """Codes of a purchase that has ended: more than came at first, or of one that was killed.

        What was killed must not redeem, so nobody is given it, and nobody pays the supplier. What comes besides the first codes becomes
        stock, at what it cost more.
        """
        attempt, at = self.attempt, to_micros(self.now)
        codes, _ = self.sheet.bound.split_known(self._brand_id, self.delivered.codes)
        if not codes or (self._is_topup and attempt.state is AttemptState.DELIVERED):
            return attempt
        if attempt.state is AttemptState.INVALIDATED:
            self._withhold(codes, f"a code of {attempt.id}, which was invalidated at the supplier")
            log.warning("codes came of a purchase that was invalidated", attempt=attempt.id, supplier=attempt.supplier_id)
            return told(attempt, f"{len(codes)} codes came after that: they are kept, and blocked", at)
        paid, told_cost = attempt.cost_minor or 0, self.delivered.cost
        more = told_cost.minor - paid if told_cost is not None and told_cost.currency.code == attempt.cost_currency else 0
        self._stock(codes, max(0, more))
        log.warning("more codes came of a purchase that had been delivered", attempt=attempt.id, supplier=attempt.supplier_id)
        return told(replace(attempt, cost_minor=paid + max(0, more)), f"{len(codes)} more codes came, and are in stock now", at)

    def _is_strange(self, known: Sequence[PlainCode]) -> bool:
        """Whether codes that are all in the vault already cannot be what was bought here.

        They may be for an item that has ended: a human had them from the supplier and gave them out.
        """
        return self._wanted(len(known)) > 0 or self._is_anothers()

    def _is_anothers(self) -> bool:
        """Whether the supplier's number is that of another purchase."""
        number = self.delivered.supplier_order_id
        return number is not None and self.sheet.is_order_of_another(self.attempt, number)

    def _wanted(self, came: int) -> int:
        """How many of the codes the item still waits for: none once it is closed, and all or none where parts were refused."""
        if self.item.state not in (S.PROCESSING, S.NEEDS_REVIEW):
            return 0
        missing = self.waiting.quantity - self.waiting.delivered
        if self.waiting.all_or_nothing and came < missing:
            return 0
        return min(came, missing)

    @property
    def _is_topup(self) -> bool:
        """Whether what came are receipts: what was bought is in somebody's account, and nobody else can have it."""
        offer = self.snapshot.denomination(self.item.denomination_id)
        return offer is not None and offer.kind == "topup"

    def _told_apart(self, receipts: Sequence[PlainCode]) -> list[PlainCode]:
        """Receipts of one number for several units, or of one that was used before: each is a unit that was delivered all the same."""
        return [PlainCode(f"{one.code or one.url}/{self.attempt.id}/{n}") for n, one in enumerate(receipts, 2)]

    def _keep_receipts(self, receipts: Sequence[PlainCode], cost_minor: int) -> None:
        """Receipts of top-ups that nobody pays for any more: kept, never sold, and what they cost is lost."""
        self._withhold(receipts, f"a top-up of {self.attempt.id} that came too late")
        if cost_minor > 0:
            lost = (Purpose.WRITE_OFFS, self._supplier, cost_minor, self.attempt.cost_currency)
            self._book(*lost, TransferPurpose.PURCHASE, self.attempt.id)

    def _withhold(self, codes: Sequence[PlainCode], reason: str) -> None:
        """Keep codes that nobody is given."""
        kept = self._bind(codes, NEVER)
        seqs, at = range(kept.first_seq, kept.first_seq + kept.count), to_micros(self.now)
        mark_exceptions(self.sheet.tx, ExceptionKind.BLOCKED, kept.lot_id, seqs, actor=ACTOR, at=at, reason=reason)

    def _bind(self, codes: Sequence[PlainCode], expires_at: int) -> Allocation:
        return self.sheet.bound.append(
            mode=self.order.mode,
            brand_id=self._brand_id,
            denomination_id=self.item.denomination_id,
            face_minor=self.item.face_minor,
            codes=codes,
            now=to_micros(self.now),
            supplier=self.attempt.supplier_id,
            expires_at=expires_at,
        )

    @property
    def _node(self) -> str:
        return self.sheet.buying.books.node

    @property
    def _brand_id(self) -> str:
        return _brand_of(self.snapshot, self.order, self.item)

    @property
    def _expires_at(self) -> int:
        expires = self.delivered.expires_at
        return NEVER if expires is None else to_micros(expires)

    def _stock(self, codes: Sequence[PlainCode], cost_minor: int) -> None:
        """Codes that nobody waits for: they are on sale from now on."""
        attempt = self.attempt
        lot = stock_late_codes(
            self.sheet.tx,
            self.sheet.buying.books.keyring,
            mode=self.order.mode,
            brand_id=self._brand_id,
            denomination_id=self.item.denomination_id,
            face_minor=self.item.face_minor,
            codes=codes,
            supplier=attempt.supplier_id,
            source=f"late codes of {attempt.id}",
            cost_minor=cost_minor,
            cost_currency=attempt.cost_currency,
            now=to_micros(self.now),
            actor=ACTOR,
            expires_at=self._expires_at,
        )
        self.sheet.bound.remember(self._brand_id, codes)
        if cost_minor:
            self._book(Purpose.STOCK, self._supplier, cost_minor, attempt.cost_currency, TransferPurpose.STOCK_IN, lot.id)

    def _book_cost(self, cost_minor: int) -> None:
        """What the sold codes cost: in the order's currency where a rate of the day leads there, the rest in the FX position."""
        if cost_minor <= 0:
            return
        paid_in, sold_in, reference = self.attempt.cost_currency, self.order.currency, self.attempt.id
        exchange = self.snapshot.exchange(paid_in, sold_in)
        if paid_in == sold_in or exchange is None:
            self._book(Purpose.COST_OF_GOODS, self._supplier, cost_minor, paid_in, TransferPurpose.PURCHASE, reference)
            return
        here = (2 * cost_minor * exchange.numerator + exchange.denominator) // (2 * exchange.denominator)
        self._book(Purpose.FX_POSITION, self._supplier, cost_minor, paid_in, TransferPurpose.PURCHASE, reference)
        if here:
            self._book(Purpose.COST_OF_GOODS, Purpose.FX_POSITION, here, sold_in, TransferPurpose.EXCHANGE, reference)

    @property
    def _supplier(self) -> Any:
        return supplier_account(self.attempt.supplier_id, self.attempt.cost_currency, self.order.mode)

    def _book(self, debit: Any, credit: Any, amount: int, code: str, purpose: TransferPurpose, reference: str) -> None:
        self.sheet.postings.book(
            debit=debit,
            credit=credit,
            amount_minor=amount,
            currency=code,
            mode=self.order.mode,
            node=self._node,
            purpose=purpose,
            now=self.now,
            reference=reference,
            order_id=self.order.id,
        )


def _brand_of(snapshot: CatalogSnapshot, order: Order, item: OrderItem) -> str:
    offer = snapshot.denomination(item.denomination_id)
    return TEST_BRAND if order.mode is Mode.TEST or offer is None else offer.brand_id


def give_codes(
    tx: Tx,
    books: Books,
    snapshot: CatalogSnapshot,
    order: Order,
    item: OrderItem,
    codes: Sequence[PlainCode],
    *,
    supplier: str | None,
    expires_at: int,
    actor: str,
    now: datetime,
) -> None:
    """Seal the codes, bind them to the item, and charge for them. The order and its wallet are locked. Raises DuplicateBoundCode."""
    allocation = append_bound_codes(
        tx,
        books.keyring,
        mode=order.mode,
        brand_id=_brand_of(snapshot, order, item),
        denomination_id=item.denomination_id,
        face_minor=item.face_minor,
        codes=codes,
        now=to_micros(now),
        actor=actor,
        node=books.node,
        supplier=supplier,
        expires_at=expires_at,
    )
    if item.allocations:
        insert_allocation(tx, order, item, allocation)
    item.allocations.append(allocation)
    wallets = load_wallets(tx, [wallet(order.partner_id, order.currency, order.mode)])
    postings = Postings.of(tx, wallets, [item.hold_id] if item.hold_id is not None else ())
    post_units(postings, order, item, item.delivered + len(codes), node=books.node, now=now)
    postings.write()


def insert_allocation(tx: Tx, order: Order, item: OrderItem, one: Allocation) -> None:
    """Write a further allocation of an item; the first is in its own row."""
    store.insert_allocations(tx, [(one.lot_id, one.first_seq, one.count, one.expires_at, order.id, item.line)])


def post_units(postings: Postings, order: Order, item: OrderItem, delivered: int, *, node: str, now: datetime) -> None:
    """Charge the item's hold for units that came now: price, fees and tax, each to its account.

    The tax is on all units together, as when the line was priced, so the parts of a line that comes in pieces sum to its price.
    """
    more = delivered - item.delivered
    sale, fee = more * item.unit_price_minor, more * item.unit_fee_minor
    tax = charge_of(item, delivered) - charge_of(item, item.delivered) - sale - fee
    parts = (
        (TransferPurpose.SALE, Purpose.SALES, sale),
        (TransferPurpose.FEE, Purpose.FEES, fee),
        (TransferPurpose.TAX, Purpose.TAX, tax),
    )
    for purpose, account, amount in parts:
        if amount and item.hold_id is not None:
            earns = platform(account, order.currency, order.mode, node)
            postings.post_hold(HoldId(item.hold_id), amount, now=now, purpose=purpose, credit=earns, reference=order.reference)
    item.delivered = delivered
    item.charged_minor += sale + fee + tax
    order.charged_minor += sale + fee + tax


# --- how the item and its order stand ---------------------------------------------------------------------------------


def settle_item(tx: Tx, order: Order, item: OrderItem, waiting: Procurement, now: datetime, *, has_changed: bool) -> Procurement:
    """Write the item's and the order's state, as the attempts now say. Everything is locked by the caller."""
    at, before = to_micros(now), item.state
    own = [one for one in load_attempts(tx, order.id) if one.line == item.line]
    waiting, because = _settled(item, waiting, own, at)
    save_procurement(tx, waiting)
    if has_changed or item.state is not before:
        _write_order(tx, order, because, at)
    return waiting


def _settled(item: OrderItem, waiting: Procurement, attempts: Sequence[Attempt], at: int) -> tuple[Procurement, str]:
    """The item as its attempts now say, its state set, and why it has that state."""
    is_open = any(one.is_open for one in attempts)
    is_late = any(is_overdue(one, at) for one in attempts)
    because = "delivered"
    if item.state in (S.PROCESSING, S.NEEDS_REVIEW):
        if waiting.delivered == waiting.quantity:
            item.state = advance(item.state, outcome_of(item.quantity, item.delivered))
        elif is_late and item.state is S.PROCESSING:
            item.state, because = advance(item.state, S.NEEDS_REVIEW), "a supplier's answer is unknown past its deadline"
        elif item.state is S.NEEDS_REVIEW and waiting.state is ProcurementState.REVIEW and not is_late:
            item.state, because = advance(item.state, S.PROCESSING), "the supplier's answer is known now"
    closed = item.state not in (S.PROCESSING, S.NEEDS_REVIEW)
    state = _procurement_state(waiting, item, closed=closed, is_open=is_open, is_late=is_late)
    return replace(waiting, state=state, wake_at=at), because


def _procurement_state(waiting: Procurement, item: OrderItem, *, closed: bool, is_open: bool, is_late: bool) -> ProcurementState:
    if closed:
        return ProcurementState.REVIEW if is_open else ProcurementState.DONE
    if item.state is S.NEEDS_REVIEW:
        return ProcurementState.REVIEW if is_late or waiting.state is ProcurementState.REVIEW else waiting.state
    return ProcurementState.BUYING


def close_item(buying: Buying, order_id: OrderId, line: int, because: str, attempts: int) -> None:
    """What has not come by now will not come: give back what is left of the item's hold.

    Unless something has happened since that was decided: then it is decided again.
    """
    now = to_micros(buying.clock.now())
    buying.write(lambda tx: _close_item(tx, order_id, line, because, attempts, now))


def _close_item(tx: Tx, order_id: OrderId, line: int, because: str, attempts: int, now: int) -> None:
    order = lock_order(tx, order_id)
    waiting = next(one for one in load_procurements(tx, order_id, lock=True) if one.line == line)
    item = next(one for one in order.items if one.line == line)
    past = [one for one in load_attempts(tx, order_id) if one.line == line]
    if len(past) != attempts or any(one.is_open for one in past) or item.state is not S.PROCESSING:
        return
    finish_item(tx, item, now)
    trace = (*waiting.trace, (now, because))
    save_procurement(tx, replace(waiting, state=ProcurementState.DONE, trace=trace, wake_at=now))
    _write_order(tx, order, because, now)


def finish_item(tx: Tx, item: OrderItem, now: int) -> None:
    """The item's final state, by what came of it; the rest of its money is free again."""
    item.state = advance(item.state, outcome_of(item.quantity, item.delivered))
    if item.hold_id is not None:
        void_hold(tx, HoldId(item.hold_id), now=from_micros(now))


def review_overdue(buying: Buying, order_id: OrderId) -> None:
    """Ask a human about items with an attempt that is unknown past its deadline."""
    now = to_micros(buying.clock.now())
    buying.write(lambda tx: _review_overdue(tx, order_id, now))


def _review_overdue(tx: Tx, order_id: OrderId, now: int) -> None:
    order = lock_order(tx, order_id)
    late = {one.line for one in load_attempts(tx, order_id) if is_overdue(one, now)}
    for one in load_procurements(tx, order_id, lock=True):
        if one.line not in late or one.state is not ProcurementState.BUYING:
            continue
        item = next(item for item in order.items if item.line == one.line)
        if item.state is S.PROCESSING:
            item.state = advance(item.state, S.NEEDS_REVIEW)
        save_procurement(tx, replace(one, state=ProcurementState.REVIEW, wake_at=now))
    _write_order(tx, order, "a supplier's answer is unknown past its deadline", now)


def _write_order(tx: Tx, order: Order, because: str, now: int) -> None:
    """Write the order and its items; an event where its state changes."""
    write_changes(tx, [_changed(order, because, now)], actor=ACTOR)


def _changed(order: Order, because: str, now: int) -> Change:
    """The order with the state that its items make."""
    before = order.state
    state = state_of([item.state for item in order.items])
    if state is not before:
        order.state = advance(before, state)
    order.updated_at = now
    return Change(order, before, because, now)


# --- the supplier's health --------------------------------------------------------------------------------------------


def _note_health(tx: Tx, calls: Sequence[_Ended]) -> None:
    """What the calls say about their suppliers; and what was bought, off its stock and balance as we know them."""
    told_of = [one for one in calls if one[1].supplier_id != SIMULATED.id and one[2].answered is not None]
    known = lock_healths(tx, [one[1].supplier_id for one in told_of])
    taken: dict[tuple[str, str], int] = defaultdict(int)
    dearer: dict[tuple[str, str], int] = defaultdict(int)
    for asked, attempt, call, now, is_ours in told_of:
        before = health = known[attempt.supplier_id]
        product = (attempt.supplier_id, attempt.supplier_sku)
        assert call.answered is not None
        wait = None if call.wait_seconds is None else int(call.wait_seconds * 1_000_000)
        health = after_call(health, call.answered, now=now, latency_us=call.latency_us, retry_after_us=wait, open_us=call.open_us)
        if before.breaker == "closed" and health.breaker == "open":
            facts = {"failures": health.failures_in_row}
            tell_supplier(tx, "supplier.down", attempt.supplier_id, attempt.mode.value, now, facts)
        elif before.breaker != "closed" and health.breaker == "closed":
            tell_supplier(tx, "supplier.up", attempt.supplier_id, attempt.mode.value, now, {})
        if is_ours and attempt.state is AttemptState.DELIVERED and isinstance(call.outcome, Delivered):
            is_same = attempt.cost_currency == asked.cost_currency
            cost = attempt.cost_minor or 0 if is_same else asked.expected_cost_minor
            health = after_purchase(health, cost, len(call.outcome.codes), now)
            if is_same and attempt.cost_minor is not None and attempt.cost_minor > asked.max_cost_minor > 0:
                dearer[product] = max(dearer[product], -(-attempt.cost_minor // len(call.outcome.codes)))
            taken[product] += len(call.outcome.codes)
        elif is_ours and attempt.state is AttemptState.REFUSED and attempt.refusal == RefusalKind.OUT_OF_STOCK:
            taken[product] += NO_MORE
        known[attempt.supplier_id] = health
    for supplier_id, sku in sorted({*taken, *dearer}):
        if dearer[supplier_id, sku]:
            note_cost(tx, supplier_id, sku, dearer[supplier_id, sku])
        if taken[supplier_id, sku]:
            take_stock(tx, supplier_id, sku, min(taken[supplier_id, sku], NO_MORE))
    save_healths(tx, known.values())
