"""The balance, and what moved it (specs/oneclickdz.md, sections 2.3 and 2.4)."""

from __future__ import annotations

from typing import Final

from cardrail.access import Principal
from cardrail.api.compat import Answer, Call, json_number
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.envelope import moment, success
from cardrail.api.dialects.oneclickdz.paging import Wanted, items_out, wanted_of
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.wire import BalanceOut, TransactionOut
from cardrail.kernel import Mode, currency, hex24_of, to_micros
from cardrail.ledger import BalanceChange, TransferPurpose, balances, slice_changes

_TYPES: Final[dict[TransferPurpose, str]] = {
    TransferPurpose.SALE: "ORDER",
    TransferPurpose.FEE: "ORDER",
    TransferPurpose.TAX: "ORDER",
    TransferPurpose.HOLD: "ORDER",
    TransferPurpose.VOID: "REFUND-ORDER",
    TransferPurpose.REFUND: "REFUND-ORDER",
    TransferPurpose.CREDIT: "DEPOSIT",
    TransferPurpose.DEBIT: "WITHDRAW",
}
"""A reversal is the other one of DEPOSIT and WITHDRAW, by its direction."""


class Account:
    """The handlers."""

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._desk = desk
        self._profile = profile

    async def show_balance(self, call: Call) -> Answer:
        """What the caller can spend; a constant in a sandbox that is free."""
        principal = call.principal
        if self._is_free(principal):
            unit = currency(principal.currency)
            return self._balance(call, self._profile.sandbox_balance * 10**unit.digits)

        def look() -> int:
            with self._desk.parts.db.read() as tx:
                found = balances(tx, principal.partner_id, principal.mode)
            own = [one for one in found if one.currency == principal.currency]
            return sum([one.available_minor - self._without_credit(one.credit_limit_minor) for one in own])

        return self._balance(call, await self._desk.read(look))

    async def list_transactions(self, call: Call) -> Answer:
        """A page of what moved the balance, newest first."""
        wanted, principal = wanted_of(call), call.principal
        if self._is_free(principal):
            return success(call, self._profile, items_out([], 0, wanted))
        changes, total = await self._desk.read(lambda: self._changes(principal, wanted))
        credit = changes[0].credit_limit_minor if changes else 0
        rows = [self._row(one, principal.currency, self._without_credit(credit)) for one in changes]
        return success(call, self._profile, items_out(rows, total, wanted))

    def _changes(self, principal: Principal, wanted: Wanted) -> tuple[list[BalanceChange], int]:
        with self._desk.parts.db.read() as tx:
            return slice_changes(
                tx,
                principal.partner_id,
                principal.mode,
                principal.currency,
                since=wanted.since,
                until=wanted.until,
                offset=wanted.offset,
                limit=wanted.page_size,
            )

    def _row(self, one: BalanceChange, code: str, less_minor: int) -> TransactionOut:
        transfer, is_in = one.transfer, one.change_minor > 0
        own_id = hex24_of(transfer.id)
        return TransactionOut(
            id=own_id,
            type=_TYPES.get(transfer.purpose, "DEPOSIT" if is_in else "WITHDRAW"),
            operation=self._profile.increment if is_in else self._profile.decrement,
            amount=json_number(abs(one.change_minor), code),
            old_balance=json_number(one.after_minor - one.change_minor - less_minor, code),
            new_balance=json_number(one.after_minor - less_minor, code),
            objid=hex24_of(transfer.order_id) if transfer.order_id is not None else own_id,
            note="" if transfer.order_id is not None else transfer.reference or "",
            time=moment(to_micros(transfer.created_at)),
        )

    def _balance(self, call: Call, minor: int) -> Answer:
        return success(call, self._profile, BalanceOut(json_number(minor, call.principal.currency)))

    def _without_credit(self, credit_limit_minor: int) -> int:
        return 0 if self._profile.balance_counts_credit else credit_limit_minor

    def _is_free(self, principal: Principal) -> bool:
        return principal.mode is Mode.TEST and self._profile.sandbox_is_free
