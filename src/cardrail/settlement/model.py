"""The statement: a partner's wallet over one period, movement by movement, and the hash that seals it. No I/O.

Its canonical form is a text of JSON lines: a head, a line for each movement, a foot. The hash is the SHA-256 of exactly these bytes, and
the head names the hash of the statement before; so whoever has the files can check them without us (docs/operating/closing-the-books.md).
What stands in it are facts that never change: transfers, and what was agreed on when the order was placed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from cardrail.kernel import Mode, apply_bps, currency, rfc3339, rfc3339_of
from cardrail.ledger import Purpose, TransferPurpose, WalletMovement
from cardrail.orders import SoldLine
from cardrail.settlement.periods import Schedule

FORMAT: Final = "cardrail.statement.1"

_encode: Final = msgspec.json.Encoder().encode


class SoldItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a movement is about: one line of its order, as it was agreed on."""

    sku: str
    name: str
    ordered: int
    unit_price_minor: int
    unit_fee_minor: int
    tax_bps: int
    units: int | None = None
    """Units that this movement charges; absent where its amount does not tell."""
    fx_rate_e10: int | None = None
    """Face value's currency to the wallet's, x 10**10; absent where they are the same."""
    face_minor: int | None = None
    face_currency: str | None = None


class StatementLine(msgspec.Struct, frozen=True):
    """One movement."""

    n: int
    """1, 2, 3 … within the statement."""
    position: int
    at: str
    """When it was made, RFC 3339 UTC. One that committed after its period was closed stands in the next, with its own time."""
    transfer_id: str
    kind: str
    """sale, fee, tax, refund, refund_fee, refund_tax, credit, debit, reversal."""
    change_minor: int
    balance_minor: int
    """The wallet's balance after it."""
    order_id: str | None
    reference: str | None
    reverses: str | None
    items: list[SoldItem]


class TaxRate(msgspec.Struct, frozen=True):
    """What was charged and given back under one tax rate; amounts as the partner owes them (charged is positive)."""

    rate_bps: int | None
    """None: the movements' amounts do not tell."""
    net_minor: int
    """Price and fees."""
    tax_minor: int


class StatementHead(msgspec.Struct, frozen=True):
    """The first line of the canonical form."""

    format: str
    statement_id: str
    partner_id: str
    currency: str
    digits: int
    """Of the currency's minor unit."""
    mode: str
    number: int
    period_from: str
    period_to: str
    timezone: str
    after_position: int
    through_position: int
    opening_minor: int
    opening_held_minor: int
    previous_id: str | None
    previous_hash: str | None


class StatementFoot(msgspec.Struct, frozen=True):
    """The last line of the canonical form."""

    closing_minor: int
    closing_held_minor: int
    movements: int
    totals: dict[str, int]
    """Kind → sum of changes, in the order of kinds' names."""
    taxes: list[TaxRate]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: closed, or a draft (then it has no number, no hash and no time of closing)."""

    id: str
    partner_id: str
    currency: str
    mode: Mode
    number: int
    period_from: datetime
    period_to: datetime
    timezone: str
    schedule: Schedule
    after_position: int
    through_position: int
    opening_minor: int
    opening_held_minor: int
    closing_minor: int
    closing_held_minor: int
    movements: int
    totals: dict[str, int]
    taxes: list[TaxRate]
    previous_id: str | None
    previous_hash: str | None
    hash: str | None
    closed_at: datetime | None
    closed_by: str | None

    @property
    def is_closed(self) -> bool:
        return self.hash is not None

    @property
    def state(self) -> str:
        return "closed" if self.is_closed else "draft"


def head_of(one: Statement) -> StatementHead:
    """What the canonical form begins with."""
    return StatementHead(
        format=FORMAT,
        statement_id=one.id,
        partner_id=one.partner_id,
        currency=one.currency,
        digits=currency(one.currency).digits,
        mode=one.mode.value,
        number=one.number,
        period_from=rfc3339(one.period_from),
        period_to=rfc3339(one.period_to),
        timezone=one.timezone,
        after_position=one.after_position,
        through_position=one.through_position,
        opening_minor=one.opening_minor,
        opening_held_minor=one.opening_held_minor,
        previous_id=one.previous_id,
        previous_hash=one.previous_hash,
    )


def foot_of(one: Statement) -> StatementFoot:
    """What the canonical form ends with."""
    return StatementFoot(one.closing_minor, one.closing_held_minor, one.movements, one.totals, one.taxes)


def canonical(head: StatementHead, lines: Iterable[StatementLine], foot: StatementFoot) -> Iterator[bytes]:
    """The canonical form, a line at a time."""
    yield _encode(head) + b"\n"
    for line in lines:
        yield canonical_line(line)
    yield _encode(foot) + b"\n"


def canonical_head(one: Statement) -> bytes:
    """The first line of a statement's canonical form."""
    return _encode(head_of(one)) + b"\n"


def canonical_line(line: StatementLine) -> bytes:
    """The line of one movement."""
    return _encode(line) + b"\n"


def canonical_foot(one: Statement) -> bytes:
    """The last line of a statement's canonical form."""
    return _encode(foot_of(one)) + b"\n"


# --- lines ------------------------------------------------------------------------------------------------------------

_PARTS: Final = {Purpose.FEES.value: "_fee", Purpose.TAX.value: "_tax"}
_CHARGES: Final = {"sale": 0, "fee": 1, "tax": 2}
_REFUNDS: Final = {"refund": 0, "refund_fee": 1, "refund_tax": 2}


def kind_of(movement: WalletMovement) -> str:
    """What the line calls it."""
    return kind_name(movement.purpose, movement.account)


def kind_name(purpose: str, account: str) -> str:
    """The transfer's purpose, and for a refund which part of the charge it gives back: refund, refund_fee, refund_tax."""
    return purpose + _PARTS.get(account, "") if purpose == TransferPurpose.REFUND.value else purpose


def items_of(movement: WalletMovement, kind: str, lines: Sequence[SoldLine]) -> list[SoldItem]:
    """The order's lines that the movement is about: the held line that it charges, or else all of the order's."""
    if movement.line is not None:
        lines = [one for one in lines if one.line == movement.line]
    units = units_of(kind, -movement.change_minor, lines)
    return [
        SoldItem(
            sku=one.sku,
            name=one.name,
            ordered=one.quantity,
            unit_price_minor=one.unit_price_minor,
            unit_fee_minor=one.unit_fee_minor,
            tax_bps=one.tax_bps,
            units=count,
            fx_rate_e10=one.fx_rate_e10,
            face_minor=one.face_minor,
            face_currency=one.face_currency,
        )
        for one, count in zip(lines, units, strict=True)
    ]


def units_of(kind: str, charged_minor: int, lines: Sequence[SoldLine]) -> list[int | None]:
    """How many units of each line a sale or fee charges, where its amount tells; a guess is never made."""
    if kind not in ("sale", "fee") or not lines:
        return [None] * len(lines)
    each = [one.unit_price_minor if kind == "sale" else one.unit_fee_minor for one in lines]
    if len(lines) == 1:
        count, rest = divmod(charged_minor, each[0]) if each[0] else (0, 1)
        return [count if not rest and 0 < count <= lines[0].quantity else None]
    if sum(price * one.quantity for price, one in zip(each, lines, strict=True)) == charged_minor:
        return [one.quantity for one in lines]
    return [None] * len(lines)


def by_rate(kind: str, amount_minor: int, lines: Sequence[SoldLine]) -> list[tuple[int | None, int]]:
    """(tax rate, part of the amount): what a movement of price, fees or tax belongs to. The parts sum to the amount.

    One rate has it all. Several share it if their lines' whole price, fees or tax is just the amount; else no rate has it (None).
    """
    if len(lines) == 1:
        return [(lines[0].tax_bps, amount_minor)]
    part = _CHARGES.get(kind, _REFUNDS.get(kind))
    if part == 2:
        lines = [one for one in lines if one.tax_bps]
    rates = {one.tax_bps for one in lines}
    if len(rates) == 1:
        return [(rates.pop(), amount_minor)]
    whole: dict[int | None, int] = {}
    for one in lines:
        net = one.quantity * (one.unit_price_minor + one.unit_fee_minor)
        of_line = (one.quantity * one.unit_price_minor, one.quantity * one.unit_fee_minor, apply_bps(net, one.tax_bps))
        whole[one.tax_bps] = whole.get(one.tax_bps, 0) + of_line[part or 0]
    if whole and sum(whole.values()) == abs(amount_minor):
        return [(rate, minor if amount_minor > 0 else -minor) for rate, minor in whole.items()]
    return [(None, amount_minor)]


@dataclass(slots=True)
class Tally:
    """Goes through a statement's movements once: numbers them, carries the balance, adds up kinds and tax rates."""

    balance_minor: int
    count: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    _taxes: dict[int | None, list[int]] = field(default_factory=dict)

    def line(self, movement: WalletMovement, sold: Sequence[SoldLine]) -> StatementLine:
        """The next line."""
        kind = kind_of(movement)
        self.count += 1
        self.balance_minor += movement.change_minor
        self.totals[kind] = self.totals.get(kind, 0) + movement.change_minor
        if movement.line is not None:
            sold = [one for one in sold if one.line == movement.line]
        if kind in _CHARGES or kind in _REFUNDS:
            self._add_tax(kind, -movement.change_minor, sold)
        return StatementLine(
            n=self.count,
            position=movement.position,
            at=rfc3339_of(movement.created_at),
            transfer_id=movement.id,
            kind=kind,
            change_minor=movement.change_minor,
            balance_minor=self.balance_minor,
            order_id=movement.order_id,
            reference=movement.reference,
            reverses=movement.reverses,
            items=items_of(movement, kind, sold),
        )

    def _add_tax(self, kind: str, amount_minor: int, sold: Sequence[SoldLine]) -> None:
        place = 1 if kind.endswith("tax") else 0
        for rate, minor in by_rate(kind, amount_minor, sold):
            self._taxes.setdefault(rate, [0, 0])[place] += minor

    @property
    def taxes(self) -> list[TaxRate]:
        """By rate; what could not be told stands last."""
        order = sorted(self._taxes.items(), key=lambda one: (one[0] is None, one[0] or 0))
        return [TaxRate(rate, net, tax) for rate, (net, tax) in order]

    @property
    def sorted_totals(self) -> dict[str, int]:
        return dict(sorted(self.totals.items()))


class Seal:
    """The hash over what passes through it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> bytes:
        self._hash.update(data)
        return data

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()
