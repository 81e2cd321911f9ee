"""What ends a replacement: another code, the money, or a no. Everything here joins its caller's transaction, which holds the order's
wallet, the order and the replacement; slices, lots and the supplier's health come after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardrail.catalog import CatalogSnapshot
from cardrail.kernel import Mode, PlainCode, to_micros
from cardrail.ledger import Purpose, TransferPurpose, book
from cardrail.orders import store as orders_store
from cardrail.orders.errors import NothingToReplaceWith, RefundTooLarge
from cardrail.orders.history import record
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.refund import give_back_units
from cardrail.orders.replacements import store
from cardrail.orders.replacements.desk import ReplacementDesk
from cardrail.orders.replacements.model import CallState, Replacement, ReplacementState, told
from cardrail.orders.replacements.tell import change
from cardrail.orders.save import TEST_BRAND
from cardrail.orders.states import OrderState
from cardrail.orders.units import CodeAt, by_line, is_paid, may_be_refunded, unit_charge
from cardrail.sourcing import after_bad_code, find_supplier, load_health, save_health
from cardrail.storage import Tx
from cardrail.vault import (
    NEVER,
    Allocation,
    ExceptionKind,
    Lot,
    LotKind,
    Stock,
    advance_heads,
    append_bound_codes,
    cost_of,
    generate_test_codes,
    load_lots,
    load_open_slices,
    mark_exceptions,
)

S: Final = ReplacementState


@dataclass(slots=True)
class Case:
    """A replacement with its order, in the transaction that holds both."""

    tx: Tx
    desk: ReplacementDesk
    snapshot: CatalogSnapshot
    order: Order
    item: OrderItem
    one: Replacement
    now: datetime

    @property
    def at(self) -> int:
        return to_micros(self.now)

    @property
    def is_standing(self) -> bool:
        """Whether the partner still has and pays for the code: what was taken back or paid back is not replaced."""
        held = self.order.state in (OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED)
        return held and is_paid(self.order, self.item, self.one.position)

    @property
    def may_be_refunded(self) -> bool:
        """Whether so much of the order was given back without naming units that this one may have been meant: a human looks at it."""
        return may_be_refunded(self.order, self.item, self.one.position)

    @property
    def brand_id(self) -> str:
        offer = self.snapshot.denomination(self.item.denomination_id)
        return TEST_BRAND if self.order.mode is Mode.TEST or offer is None else offer.brand_id

    @property
    def is_topup(self) -> bool:
        """Whether the unit is a top-up, whose receipt cannot be replaced by another receipt."""
        offer = self.snapshot.denomination(self.item.denomination_id)
        return offer is not None and offer.kind == "topup"

    @property
    def is_written_off(self) -> bool:
        """Whether what the bad code had cost was booked as lost already."""
        one = self.one
        gave = one.state is S.REFUNDED or (one.state is S.REPLACED and one.source == "stock")
        return (gave or self.order.state is OrderState.INVALIDATED) and cost_of(self._lot, one.seq, 1) > 0

    # --- the ways it ends ---------------------------------------------------------------------------------------------

    def refuse(self, because: str, actor: str) -> None:
        self.one = change(self.tx, self.desk.audit, self.order, self.one, S.REFUSED, because=because, actor=actor, now=self.now)

    def review(self, because: str, actor: str) -> None:
        """Ask a human; one that is asked already only reads more."""
        if self.one.state is S.NEEDS_REVIEW:
            self.note(because)
            return
        self.one = change(
            self.tx, self.desk.audit, self.order, self.one, S.NEEDS_REVIEW, because=because, actor=actor, now=self.now
        )

    def note(self, sentence: str, **changes: object) -> None:
        """Write a sentence and these changes down, whatever the state."""
        self.one = told(self.one, sentence, self.at, **changes)
        store.save_replacement(self.tx, self.one)

    def refund(self, because: str, actor: str) -> None:
        """Give back what the unit was charged, less its share of what was given back without naming units. Raises RefundTooLarge: nothing
        of it is left."""
        order, tx = self.order, self.tx
        unit = CodeAt(self.one.line, self.one.position)
        if not is_paid(order, self.item, unit.position):
            raise RefundTooLarge(asked_minor=unit_charge(self.item, unit.position), left_minor=0)
        amount = give_back_units(tx, order, [unit], node=self.desk.node, now=self.now, replacement_id=self.one.id)
        order.updated_at = self.at
        orders_store.update_order(tx, order, from_version=order.version)
        if amount:
            data = {
                "amount_minor": amount,
                "currency": order.currency,
                "units": by_line([unit]),
                "replacement_id": self.one.id,
            }
            record(tx, order, "order.refunded", before=order.state, because=because, actor=actor, now=self.at, data=data)
        self._mark(ExceptionKind.REVOKED, f"refunded: {self.one.id}", actor)
        self.one = change(
            tx,
            self.desk.audit,
            order,
            self.one,
            S.REFUNDED,
            because=because,
            actor=actor,
            now=self.now,
            refunded_minor=amount,
        )
        if self.one.call is not CallState.CREDITED:
            self._write_off()
        self._count_bad_code()

    def replace_from_stock(self, because: str, actor: str) -> None:
        """Take a code of the same denomination and face value out of stock. Raises NothingToReplaceWith."""
        new = self._take()
        if self.one.call is not CallState.CREDITED:
            self._write_off()
        self._give(new, "stock", because, actor)

    def replace_by_supplier(self, code: PlainCode, expires_at: int, because: str, actor: str) -> None:
        """Give the code that the supplier sent for it. Raises DuplicateBoundCode."""
        self._give(self._bind([code], self.one.supplier_id, expires_at, actor), "supplier", because, actor)

    # --- codes --------------------------------------------------------------------------------------------------------

    def _give(self, new: Allocation, source: str, because: str, actor: str) -> None:
        self._mark(ExceptionKind.REPLACED, f"replaced: {self.one.id}", actor)
        self.one = change(
            self.tx,
            self.desk.audit,
            self.order,
            self.one,
            S.REPLACED,
            because=because,
            actor=actor,
            now=self.now,
            source=source,
            new_lot_id=new.lot_id,
            new_seq=new.first_seq,
            new_expires_at=new.expires_at,
        )
        store.mark_unjournalled(self.tx, self.one.id, self.at)
        self._count_bad_code()

    def _mark(self, kind: ExceptionKind, reason: str, actor: str) -> None:
        """What happened to the sold code is read together with it. A shared code is everybody's, and stays as it is."""
        lot = self._lot
        if lot.kind is not LotKind.SHARED:
            mark_exceptions(self.tx, kind, self.one.lot_id, [self.one.seq], actor=actor, at=self.at, reason=reason)

    def _bind(self, codes: Sequence[PlainCode], supplier: str | None, expires_at: int, actor: str) -> Allocation:
        return append_bound_codes(
            self.tx,
            self.desk.buying.books.keyring,
            mode=self.order.mode,
            brand_id=self.brand_id,
            denomination_id=self.item.denomination_id,
            face_minor=self.item.face_minor,
            codes=codes,
            now=self.at,
            actor=actor,
            node=self.desk.node,
            supplier=supplier,
            expires_at=expires_at,
        )

    def _take(self) -> Allocation:
        """The next code of stock, its cost booked as sold; a test order's is made up where none is in stock."""
        item, mode = self.item, self.order.mode
        if self.is_topup:
            raise NothingToReplaceWith(because="a top-up has no stock")
        stock = Stock(load_open_slices(self.tx, mode, [item.denomination_id], limit=1, now_micros=self.at), self.at)
        taken = stock.take(item.denomination_id, item.face_minor, 1)
        if not taken or taken[0].is_shared:  # a shared code is the same bad one again
            if mode is Mode.TEST:
                return self._bind(generate_test_codes(1), None, NEVER, "system")
            raise NothingToReplaceWith(sku=item.sku)
        advance_heads(self.tx, stock.moved())
        lot = load_lots(self.tx, [taken[0].lot_id])[taken[0].lot_id]
        self._book_cost(
            lot, taken[0].first_seq, Purpose.COST_OF_GOODS, Purpose.STOCK, TransferPurpose.COST_OF_SALE, of_order=False
        )
        return taken[0]

    # --- money and figures --------------------------------------------------------------------------------------------

    @property
    def _lot(self) -> Lot:
        return load_lots(self.tx, [self.one.lot_id])[self.one.lot_id]

    def _write_off(self) -> None:
        """What the bad code had cost is lost, where nobody makes it good. Of a code bought on demand the order's own cost says it."""
        self._book_cost(self._lot, self.one.seq, Purpose.WRITE_OFFS, Purpose.COST_OF_GOODS, TransferPurpose.WRITE_OFF)

    def _book_cost(
        self, lot: Lot, seq: int, debit: Purpose, credit: Purpose, purpose: TransferPurpose, *, of_order: bool = True
    ) -> None:
        cost = cost_of(lot, seq, 1)
        if not cost or lot.cost_currency is None:
            return
        book(
            self.tx,
            debit=debit,
            credit=credit,
            amount_minor=cost,
            currency=lot.cost_currency,
            mode=self.order.mode,
            node=self.desk.node,
            purpose=purpose,
            now=self.now,
            reference=lot.id,
            order_id=self.order.id if of_order else None,
        )

    def _count_bad_code(self) -> None:
        """Against whoever sold us the code, where he is one of our suppliers."""
        name = self._lot.supplier
        supplier = find_supplier(self.tx, name) if name is not None and self.order.mode is Mode.LIVE else None
        if supplier is not None:
            health = load_health(self.tx, supplier.id, lock=True)
            save_health(self.tx, after_bad_code(health, self.at))
