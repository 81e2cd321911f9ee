"""A shop that takes claims: its desk, and short words for what the tests do at it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cardrail.kernel import Mode, PlainCode, to_micros
from cardrail.ledger import Purpose, platform_balances
from cardrail.orders import (
    Buyer,
    CodeAt,
    Order,
    Replacement,
    ReplacementDecision,
    ReplacementDesk,
    ReplacementPolicy,
    ReplacementReason,
    RequestReplacement,
    find_replacements,
    pursue_replacement,
    request_replacements,
    resolve_replacement,
)
from cardrail.sourcing import (
    Accepted,
    Capabilities,
    Credited,
    Delivered,
    NoAnswer,
    NotFound,
    NotSent,
    RefusalKind,
    Refused,
    ReplacementOutcome,
    ReplaceOutcome,
    ReplaceRequest,
    Unknown,
)
from cardrail.storage import Database, events
from cardrail.vault import CodeOpener, create_key_file
from tests.build import NODE
from tests.sourcing.build import Supplied
from tests.sourcing.fake import QUICK, Died, ScriptedSupplier

CLAIMING = replace(QUICK, can_replace=True, tells_replacements=True)
MUTE = replace(QUICK, can_replace=True)
"""Takes claims, and cannot be asked about them."""


@dataclass
class ClaimedSupplier(ScriptedSupplier):
    """``verdicts`` says what each claim comes to, one word after the other, ``tellings`` each look at one. Empty: another code.

    replace, refuse, credit, accept, lost (it has the claim, and the answer is lost), unreached, dies; and absent, for a look.
    """

    verdicts: deque[str] = field(default_factory=deque)
    tellings: deque[str] = field(default_factory=deque)
    asked_after: int = 0
    gives: list[str] = field(default_factory=list)
    """Codes that it gives instead of new ones."""

    def replace(self, request: ReplaceRequest) -> ReplaceOutcome:
        self.replaced.append(request)
        self._wait()
        return self._verdict(self.verdicts.popleft() if self.verdicts else "replace", request)

    def replacement(self, about: ReplaceRequest, claim_id: str | None) -> ReplacementOutcome:
        self.asked_after += 1
        word = self.tellings.popleft() if self.tellings else "replace"
        return NotFound() if word == "absent" else self._verdict(word, about)

    def _verdict(self, word: str, request: ReplaceRequest) -> ReplaceOutcome:
        if word == "refuse":
            return Refused("the code was used by its owner", RefusalKind.INVALID)
        if word == "credit":
            return Credited(self.unit_cost)
        if word == "accept":
            return Accepted("claim-1")
        if word == "lost":
            raise NoAnswer(because="ReadTimeout")
        if word == "unknown":
            return Unknown("it says nothing")
        if word == "unreached":
            raise NotSent(because="no route")
        if word == "dies":
            raise Died
        code = self.gives.pop(0) if self.gives else f"GOOD-{self.name}-{request.reference[-8:]}-{len(self.replaced)}"
        return Delivered((PlainCode(code),))


@dataclass
class Claims(Supplied):
    """A world with suppliers and claims."""

    policy: ReplacementPolicy = field(default_factory=ReplacementPolicy)

    @property
    def desk(self) -> ReplacementDesk:
        return ReplacementDesk(self.buying, self.audit, CodeOpener(self.keys), self.policy)

    def claimed_supplier(self, *verdicts: str, abilities: Capabilities = CLAIMING) -> ClaimedSupplier:
        """A supplier that sells CARD and takes claims."""
        self.supplier("A", abilities=abilities)
        fake = ClaimedSupplier("A", abilities, self.fakes["A"].unit_cost)
        fake.verdicts.extend(verdicts)
        self.connectors.put(self.suppliers["A"], fake)
        self.fakes["A"] = fake
        return fake

    def sold(self, sku: str = "TEA", quantity: int = 1, **facts: Any) -> Order:
        """An order whose codes the partner has seen."""
        order = self.bought(sku, quantity, **facts)
        self.shown(order)
        return self.stands(order)

    def claim(self, order: Order, *positions: int, line: int = 1, buyer: Buyer | None = None, **facts: Any) -> Replacement:
        """A claim; the first of them, if there are several positions."""
        facts = {"reason": ReplacementReason.ALREADY_REDEEMED, **facts}
        codes = tuple([CodeAt(line, one) for one in positions or (1,)])
        made, _ = request_replacements(self.desk, RequestReplacement(order.id, buyer or self.owner(order), codes, **facts))
        return made[0]

    def pursue(self, one: Replacement) -> int | None:
        """What a worker does for one claim, once."""
        return pursue_replacement(self.desk, one.id)

    def settle(self, one: Replacement, visits: int = 40) -> Replacement:
        """Visit until nothing is open, going on in time as the visits say."""
        for _ in range(visits):
            until = self.pursue(one)
            if until is None:
                break
            self.frozen.advance(microseconds=max(0, until - to_micros(self.clock.now())))
        return self.now(one)

    def now(self, one: Replacement) -> Replacement:
        return find_replacements(self.db, ids=[one.id])[0]

    def decide(self, one: Replacement, decision: ReplacementDecision) -> Replacement:
        return resolve_replacement(self.desk, one.id, decision, because="looked at it", actor="cli")

    def worth(self, purpose: Purpose, mode: Mode = Mode.LIVE) -> int:
        with self.db.read() as tx:
            found = platform_balances(tx)
        return sum(one.balance_minor for one in found if one.purpose is purpose and one.mode is mode)

    def told(self) -> list[str]:
        """The types of all events about codes, in the order of their writing."""
        with self.db.read() as tx:
            found = tx.execute(sa.select(events.c.type).order_by(events.c.id)).scalars()
            return [one for one in found if one.startswith(("replacement.", "code."))]

    def later(self, **span: float) -> None:
        self.frozen.advance(**span)


def claims(db: Database, folder: Path) -> Claims:
    return Claims(db, create_key_file(folder / "master.keys"))


__all__ = ["CLAIMING", "MUTE", "NODE", "ClaimedSupplier", "Claims", "Died", "claims"]
