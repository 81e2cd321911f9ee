"""Claim links: made for what was delivered, opened by the recipient, withdrawn by the partner.

Nothing is spent by looking: a link stays unclaimed until somebody presses the button behind which the codes are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cardrail.delivery import store
from cardrail.delivery.errors import ClaimEmpty, ClaimNotFound, DeliveryError, InvalidDelivery, NothingToClaim
from cardrail.delivery.model import Claim, LinkSigner, Protection, Wish, check_open, check_pin, check_wish, new_pin
from cardrail.kernel import Clock, OrderId, Secret, new_event_id, new_id, to_micros
from cardrail.orders import Buyer, Order, OrderState, get_order, reveal_part
from cardrail.storage import AuditLog, Database, Tx, audit_entry, in_tx, insert_events, is_unique_violation

DELIVERED: Final = frozenset({OrderState.FULFILLED, OrderState.PARTIALLY_FULFILLED})
"""States of an order whose codes are all there."""
_DAY: Final = 86_400 * 1_000_000
CLAIMS_MAX: Final = 1_000
"""Links of one order."""


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim as its maker sees it, once: with its PIN."""

    claim: Claim
    pin: Secret | None


def make_claims(
    db: Database, clock: Clock, audit: AuditLog, signer: LinkSigner, buyer: Buyer, order_id: OrderId, wish: Wish
) -> list[NewClaim]:
    """Links to what a final order has delivered; those that it has already are kept, and answered without their PINs.

    Raises OrderNotFound, NothingToClaim, InvalidDelivery.
    """
    check_wish(wish)
    order = get_order(db, buyer, order_id)
    if order.state not in DELIVERED:  # while codes still arrive, nobody can say which unit is whose
        raise NothingToClaim(order_id=order_id, state=order.state.value)
    parts = list(parts_of(order, wish.per))
    if len(parts) > CLAIMS_MAX:
        raise InvalidDelivery(field="per", maximum=CLAIMS_MAX)

    def work(tx: Tx) -> list[NewClaim]:
        return _add_claims(tx, clock.now(), audit, signer, (buyer.actor, buyer.origin), order, parts, wish)

    try:
        return in_tx(db, work)
    except Exception as error:
        if not is_unique_violation(error):
            raise
        return in_tx(db, work)  # somebody made them meanwhile: now they are found


def claims_in(tx: Tx, now: datetime, audit: AuditLog, signer: LinkSigner, order: Order, wish: Wish) -> list[NewClaim]:
    """``make_claims`` in the caller's transaction, for an order that wished for them; beyond CLAIMS_MAX units, one link for all."""
    parts = list(parts_of(order, wish.per))
    if len(parts) > CLAIMS_MAX:
        parts = [(0, 0)]
    return _add_claims(tx, now, audit, signer, ("system", None), order, parts, wish)


def parts_of(order: Order, per: str) -> Iterator[tuple[int, int]]:
    """(line, unit) of each link: the whole order, or each delivered unit."""
    if per == "order":
        yield 0, 0
        return
    for item in order.items:
        for unit in range(1, item.delivered + 1):
            yield item.line, unit


def _add_claims(  # noqa: PLR0917  # the use case's own
    tx: Tx,
    now: datetime,
    audit: AuditLog,
    signer: LinkSigner,
    who: tuple[str, str | None],
    order: Order,
    parts: Sequence[tuple[int, int]],
    wish: Wish,
) -> list[NewClaim]:
    at = to_micros(now)
    known = {(one.line, one.unit): one for one in store.load_claims(tx, order.id)}
    made: list[NewClaim] = []
    rows = []
    for line, unit in parts:
        present = known.get((line, unit))
        if present is not None:
            made.append(NewClaim(present, None))
            continue
        claim, pin = _new_claim(signer, order, line, unit, wish, at)
        made.append(NewClaim(claim, pin))
        rows.append(_row(claim))
    if rows:
        store.insert_claims(tx, rows)
        details = {"claims": len(rows), "per": wish.per, "protection": wish.protection}
        entry = audit_entry(now, who[0], "claim.created", order.id, partner_id=order.partner_id, origin=who[1], details=details)
        audit.append(tx, [entry])
    return made


def _new_claim(signer: LinkSigner, order: Order, line: int, unit: int, wish: Wish, at: int) -> tuple[Claim, Secret | None]:
    claim_id = new_id("clm")
    pin = (wish.pin or new_pin()) if wish.protection == Protection.PROTECTED.value else None
    claim = Claim(
        id=claim_id,
        order_id=order.id,
        line=line,
        unit=unit,
        partner_id=order.partner_id,
        mode=order.mode,
        protection=Protection(wish.protection),
        pin_hash=signer.pin_hash(claim_id, pin) if pin is not None else None,
        tries=0,
        locked_until=None,
        language=wish.language,
        recipient=wish.recipient,
        created_at=at,
        expires_at=at + wish.expires_days * _DAY if wish.expires_days is not None else None,
        claimed_at=None,
        revoked_at=None,
    )
    return claim, Secret(pin) if pin is not None else None


def _row(claim: Claim) -> tuple[object, ...]:
    return (
        claim.id,
        claim.order_id,
        claim.line,
        claim.unit,
        claim.partner_id,
        claim.mode.value,
        claim.protection.value,
        claim.pin_hash,
        claim.tries,
        claim.locked_until,
        claim.language,
        claim.recipient,
        claim.created_at,
        claim.expires_at,
        claim.claimed_at,
        claim.revoked_at,
    )


def list_claims(db: Database, buyer: Buyer, order_id: OrderId) -> list[Claim]:
    """An order's links, by line and unit. Raises OrderNotFound."""
    get_order(db, buyer, order_id)
    with db.read() as tx:
        return store.load_claims(tx, order_id)


def claims_of(db: Database, order_id: OrderId) -> list[Claim]:
    """``list_claims`` for a caller who knows whose order it is."""
    with db.read() as tx:
        return store.load_claims(tx, order_id)


def find_claim(db: Database, signer: LinkSigner, token: str, now: int) -> Claim:
    """The claim behind a link, which still leads somewhere; nothing is spent. Raises ClaimNotFound, ClaimRevoked, ClaimExpired."""
    claim_id = signer.claim_of(token)
    if claim_id is None:
        raise ClaimNotFound
    with db.read() as tx:
        found = store.load_claim(tx, claim_id)
    if found is None:
        raise ClaimNotFound
    check_open(found, now)
    return found


def open_claim(
    db: Database, clock: Clock, audit: AuditLog, signer: LinkSigner, token: str, pin: str | None, *, origin: str | None
) -> tuple[Claim, Order]:
    """Open a link for its recipient: the claim, and its order with the sealed codes of this part alone.

    The first time is an event (claim.opened); every time is in the audit log. A wrong PIN is counted, and changes nothing else.
    Raises ClaimNotFound, ClaimRevoked, ClaimExpired, PinRequired, WrongPin, ClaimLocked, ClaimEmpty.
    """
    claim_id = signer.claim_of(token)
    if claim_id is None:
        raise ClaimNotFound
    given = signer.pin_hash(claim_id, pin) if pin else None

    def work(tx: Tx) -> tuple[Claim, Order] | DeliveryError:
        now = clock.now()
        at = to_micros(now)
        claim = store.load_claim(tx, claim_id, lock=True)
        if claim is None:
            raise ClaimNotFound
        check_open(claim, at)
        refusal, tries, locked_until = check_pin(claim, given, at)
        if refusal is not None:
            if (tries, locked_until) != (claim.tries, claim.locked_until):
                store.set_tried(tx, claim, tries, locked_until, claim.claimed_at)
            found: DeliveryError = refusal
            return found  # returned, so that the count of tries is committed
        order = reveal_part(tx, audit, claim.order_id, line=claim.line, unit=claim.unit, now=now, actor=claim.id, origin=origin)
        if not any(item.units for item in order.items):
            raise ClaimEmpty
        if claim.claimed_at is None:
            insert_events(tx, [_opened_event(claim, at)])
        if claim.claimed_at is None or claim.tries:
            store.set_tried(tx, claim, 0, None, claim.claimed_at or at)
        return claim, order

    outcome = in_tx(db, work)
    if isinstance(outcome, DeliveryError):
        raise outcome
    return outcome


def _opened_event(claim: Claim, at: int) -> tuple[object, ...]:
    data = f'{{"order_id":"{claim.order_id}","line":{claim.line},"unit":{claim.unit}}}'
    return (
        new_event_id(),
        "claim.opened",
        claim.partner_id,
        claim.mode.value,
        claim.id,
        1,
        "UNCLAIMED",
        "CLAIMED",
        None,
        claim.id,
        at,
        data,
    )


def revoke_claim(db: Database, clock: Clock, audit: AuditLog, buyer: Buyer, claim_id: str) -> Claim:
    """Withdraw a link, for ever; what was shown was shown. Raises ClaimNotFound."""

    def work(tx: Tx) -> Claim:
        claim = _own(tx, buyer, claim_id)
        if store.revoke_claim(tx, claim_id, to_micros(clock.now())):
            entry = audit_entry(
                clock.now(), buyer.actor, "claim.revoked", claim.order_id, partner_id=claim.partner_id, origin=buyer.origin
            )
            audit.append(tx, [entry])
        return _own(tx, buyer, claim_id)

    return in_tx(db, work)


def revoke_any_claim(db: Database, clock: Clock, audit: AuditLog, claim_id: str, *, actor: str) -> Claim:
    """``revoke_claim`` by the operator. Raises ClaimNotFound."""
    with db.read() as tx:
        found = store.load_claim(tx, claim_id)
    if found is None:
        raise ClaimNotFound
    buyer = Buyer(found.partner_id, found.mode, "", actor)
    return revoke_claim(db, clock, audit, buyer, claim_id)


def renew_pin(db: Database, clock: Clock, audit: AuditLog, signer: LinkSigner, buyer: Buyer, claim_id: str) -> Secret:
    """A new PIN for a protected link, which is not shown again; a lock is lifted. Raises ClaimNotFound, InvalidDelivery."""
    pin = new_pin()

    def work(tx: Tx) -> None:
        claim = _own(tx, buyer, claim_id)
        if claim.protection is not Protection.PROTECTED:
            raise InvalidDelivery(field="protection")
        store.set_pin(tx, claim_id, signer.pin_hash(claim_id, pin))
        entry = audit_entry(
            clock.now(), buyer.actor, "claim.pin_renewed", claim.order_id, partner_id=claim.partner_id, origin=buyer.origin
        )
        audit.append(tx, [entry])

    in_tx(db, work)
    return Secret(pin)


def _own(tx: Tx, buyer: Buyer, claim_id: str) -> Claim:
    claim = store.load_claim(tx, claim_id, lock=True)
    if claim is None or (claim.partner_id, claim.mode) != (buyer.partner_id, buyer.mode):
        raise ClaimNotFound
    return claim
